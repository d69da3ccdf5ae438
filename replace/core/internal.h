/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Declarations that the files of core/ share; not installed. guard.c enters and leaves; prepare.c
 * decides before an entry, and can_return.c whether the thread could return; walk.c reads and
 * changes ids; capabilities.c decides which capabilities an entry keeps; signals.c copes with
 * signal handlers; imitation.c recognizes uid_wrapper; threads.c counts the switched threads and
 * the rings; fork.c changes forked children. drop.c changes the whole process, and drop_*.c looks
 * at all of its threads, which proc_linux.c reads. open_beneath_linux.c opens files, also for
 * rings. identity.c, users_*.c, names.c and private_fs_*.c define public functions only. The files
 * ring_*linux.c share ring_internal.h. Meson compiles one file each of capabilities_*.c, drop_*.c,
 * ids_*.c, threads_*.c, private_fs_*.c and open_beneath_*.c: on Linux *_linux.c, elsewhere
 * *_none.c. open_beneath_linux.c also needs headers with SYS_openat2. Meson compiles all of
 * ring_*linux.c if the headers have the numbers of io_uring's calls, too, and a call changes one
 * thread, else ring_none.c. It compiles users_libc.c if libc has getgrouplist(3), else
 * users_none.c.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <stdatomic.h>
#include <libreplace/replace.h>

#define LIBREPLACE_HIDDEN __attribute__((visibility("hidden")))

/**
 * struct libreplace_thread - the state that the library keeps for one thread
 * @top:	innermost entry, or NULL. If the thread is tainted, its memory may be freed
 * @walking:	the entry that libreplace_enter() or libreplace_leave() works on at this moment, or
 *	NULL. A signal handler sees it: the ids are then neither the old nor the new ones. In a
 *	child that was forked then, it stays until the function ends
 * @busy:	the guard of the function of guard.c that runs in this thread at this moment, or
 *	NULL. A signal handler that calls such a function is refused
 * @token:	token of the innermost entry; another guard may have the same address as @top
 * @last:	last token that was used: an address in this thread's storage, plus a counter
 * @depth:	number of entries that the thread holds
 * @tainted:	see libreplace_tainted()
 * @counted:	0, or 1 plus the thread's place in the table of threads.c
 * @id:		libreplace_thread_id(), or 0 if it was not read yet
 * @explicit:	the library raises and clears the capabilities of this thread; if 0, the kernel
 *	does it when the effective user ID becomes 0 or another id. Set when an entry begins
 * @forked:	this is a forked child that has become the user for good
 * @base:	ids found on the outermost entry; its euid is the privileged user ID
 *
 * The present ids are not stored. They are read from the kernel each time.
 */
struct libreplace_thread {
	struct libreplace_guard *top;
	struct libreplace_guard *walking;
	struct libreplace_guard *busy;
	uint64_t token;
	uint64_t last;
	unsigned depth;
	int tainted;
	unsigned counted;
	int id;
	int explicit;
	int forked;
	struct libreplace_ids base;
};

/* ---- threads.c: counts the switched threads */

extern LIBREPLACE_HIDDEN _Thread_local struct libreplace_thread libreplace_mine;

/* Count the calling thread as switched. Return: 0, or EBUSY during a drop; errno is not set. */
LIBREPLACE_HIDDEN int libreplace_count_in(void);
/* Stop counting the calling thread, if it is counted. */
LIBREPLACE_HIDDEN void libreplace_count_out(void);
/* Stop counting a thread that was joined. @counted and @id: those of its libreplace_mine. */
LIBREPLACE_HIDDEN void libreplace_count_out_joined(unsigned counted, int id);
/* Count a ring. While there are rings, the process cannot drop its privileges. Return: 0, or EBUSY
 * during a drop; errno is not set. */
LIBREPLACE_HIDDEN int libreplace_count_ring_in(void);
LIBREPLACE_HIDDEN void libreplace_count_ring_out(void);
/* Whether the process has rings. */
LIBREPLACE_HIDDEN int libreplace_has_rings(void);
/* Reset the counts and the drop, in a forked child. */
LIBREPLACE_HIDDEN void libreplace_count_anew(void);

/* Whether the calling thread is the only thread of its process; 0 if this cannot be determined. */
LIBREPLACE_HIDDEN int libreplace_alone(void);

/* ---- threads_*.c: asks the kernel about threads */

/* The kernel's id of the calling thread. It is greater than 0. */
LIBREPLACE_HIDDEN int libreplace_thread_id(void);

/* Whether no code of the program can run any more in this thread of the process; 0 if this cannot
 * be determined. */
LIBREPLACE_HIDDEN int libreplace_has_ended(int id);

/* ---- fork.c: makes a forked child the user for good */

/* Make the calling thread, which holds the guard, the user of the guard for good, without any
 * capability, and verify this. @others: its real and saved user ID. It can never leave the guard.
 * Return: 1, or 0 if it failed. */
LIBREPLACE_HIDDEN int libreplace_stay(struct libreplace_guard *guard, uid_t others);
/* In a forked child, make its only thread the user of the guard, and verify this; abort if it
 * fails.
 */
LIBREPLACE_HIDDEN void libreplace_become_for_good(struct libreplace_guard *guard);
/* Forget all entries, in a child that has become a user for good. */
LIBREPLACE_HIDDEN void libreplace_forget(void);

/* Install the fork handler that counts anew. threads.c calls this when the library is loaded. */
LIBREPLACE_HIDDEN void libreplace_watch_forks(void);

/* Install the fork handler that makes a child the user, at the first call. Return: 0, or -1 with
 * errno set. */
LIBREPLACE_HIDDEN int libreplace_become_on_fork(void);

/* ---- walk.c: reads, compares and changes ids */

/* The three lists of groups in a guard: the list found on entry, the list to set, and a scratch
 * list to read into. */
LIBREPLACE_HIDDEN gid_t *libreplace_found(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_wanted(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_scratch(struct libreplace_guard *guard);

/* Store a failure in the guard, unless one is stored already. Return: -1. */
LIBREPLACE_HIDDEN int libreplace_fail(struct libreplace_guard *guard, int step, int error);

/* The size of a list of groups that is longer than the guard has room for, and was not read. */
#define LIBREPLACE_NOT_READ ((size_t)-1)

/*
 * Read the ids and the groups; libreplace_read_ids() does not read the fs ids. If the groups do not
 * fit, @ids->size becomes LIBREPLACE_NOT_READ. Return: 0, or -1 with the failure stored in the
 * guard.
 */
LIBREPLACE_HIDDEN int libreplace_read_ids(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);
LIBREPLACE_HIDDEN int libreplace_read_all(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);

/* Whether the real, effective and saved ids are equal. The fs ids are not compared. */
LIBREPLACE_HIDDEN int libreplace_same_uids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
LIBREPLACE_HIDDEN int libreplace_same_gids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
/* Whether @uid is the real, effective or saved user ID. */
LIBREPLACE_HIDDEN int libreplace_has_uid(const struct libreplace_ids *ids, uid_t uid);
/* Whether two lists of groups are equal. May sort @read. */
LIBREPLACE_HIDDEN int libreplace_same_groups(const struct libreplace_ids *a, gid_t *read,
                                             const struct libreplace_ids *b, const gid_t *set);
/* Whether a list is in ascending order, without duplicates. */
LIBREPLACE_HIDDEN int libreplace_ascending(const gid_t *list, size_t size);

/* Why nobody may become this identity: EINVAL if its ids or groups are wrong, EPERM if it has root
 * and @flags lack LIBREPLACE_ALLOW_ROOT. Return: 0, or the errno. */
LIBREPLACE_HIDDEN int libreplace_unacceptable(const struct libreplace_identity *identity,
                                              int flags);

/* Whether a thread without privilege could set the real, effective and saved user ID of @to. */
LIBREPLACE_HIDDEN int libreplace_reaches_uids(const struct libreplace_ids *from,
                                              const struct libreplace_ids *to);

/* Make all permitted capabilities effective, if the kernel does not do it. Return: 0, or -1 with
 * the failure stored in the guard. */
LIBREPLACE_HIDDEN int libreplace_raise(struct libreplace_guard *guard);

/**
 * libreplace_walk() - change the calling thread's ids and verify them
 * @guard:	storage; its scratch list holds the groups of @now
 * @now:	the thread's ids, as read; updated
 * @to:		the ids to set
 * @groups:	the groups to set, @to->size of them
 *
 * Return: 0, or -1 with the failure stored in the guard. On failure, some of the ids may be
 * changed.
 */
LIBREPLACE_HIDDEN int libreplace_walk(struct libreplace_guard *guard, struct libreplace_ids *now,
                                      const struct libreplace_ids *to, const gid_t *groups);

/* ---- imitation.c: recognizes layers that imitate ids, such as uid_wrapper */

/* Whether a layer imitates the ids of this process. Then there are no file system ids. */
LIBREPLACE_HIDDEN int libreplace_ids_are_imitated(void);
/* Find out, before the entry of @guard changes anything, and set the fs ids of @guard->before to
 * the effective ids if so. Return: 0, or -1 with the failure stored in the guard if the entry is
 * impossible under the layer. */
LIBREPLACE_HIDDEN int libreplace_recognize_imitation(struct libreplace_guard *guard);
/* After libreplace_walk(), verify that the file system ids have followed the effective ids. Return:
 * 0, or -1 with the failure stored in the guard. */
LIBREPLACE_HIDDEN int libreplace_verify_fs_ids(struct libreplace_guard *guard);

/* ---- prepare.c: the part of libreplace_enter() that changes nothing */

/* The real user ID at level shielded if LIBREPLACE_SHIELD_UID is not mapped, or is the user's own.
 * systemd's list of ids reserves it, and it is the last id in the usual map of a container. */
#define LIBREPLACE_SECOND_SHIELD_UID ((uid_t)65535)

/* The value of guard->initialized, so that storage that was only set to zero is refused. */
#define LIBREPLACE_INITIALIZED 0x6c69627265706c61ULL

/* Look for a reason to refuse the entry before the ids are read. Return: the errno of that reason,
 * or 0. */
LIBREPLACE_HIDDEN int libreplace_refusal(const struct libreplace_guard *guard,
                                         const struct libreplace_identity *identity, int level);
/* Store the identity. Then a signal handler can fork, because fork.c finds it; see signals.c. */
LIBREPLACE_HIDDEN void libreplace_copy_identity(struct libreplace_guard *guard,
                                                const struct libreplace_identity *identity);
/* Read what the thread is, choose the ids to set, and decide whether the thread may enter. Return:
 * 0, or -1 with the failure stored in the guard. */
LIBREPLACE_HIDDEN int libreplace_prepare(struct libreplace_guard *guard,
                                         const struct libreplace_identity *identity);

/* ---- capabilities.c: which capabilities a thread keeps in an entry */

/* Decide whether the library raises and clears the capabilities of the thread. Return: the
 * securebits, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_choose_explicit(const struct libreplace_guard *guard);
/* Clear the capabilities and check that no forbidden one remains. An identity with uid 0 keeps the
 * capabilities of root. Return: 0, or -1 with the failure stored in the guard; the same is true for
 * the next two functions. */
LIBREPLACE_HIDDEN int libreplace_lose_capabilities(struct libreplace_guard *guard, uid_t uid,
                                                   int level);
/* Check that the thread still has the capabilities that the entry left it. */
LIBREPLACE_HIDDEN int libreplace_compare_capabilities(struct libreplace_guard *guard);
/* Restore the capabilities that were found on entry, and verify them. */
LIBREPLACE_HIDDEN int libreplace_restore_capabilities(struct libreplace_guard *guard);
/* Whether restoring the user IDs restores the capabilities, too. @euid is the effective user ID
 * before that. */
LIBREPLACE_HIDDEN int libreplace_kernel_restores_capabilities(const struct libreplace_guard *guard,
                                                              uid_t euid);

/* ---- signals.c: signal handlers that fork, or call the library */

/* Tell the functions that a signal handler calls that this one runs. Return: 1, or 0 if this one
 * was called by such a handler. */
static inline int libreplace_mark_busy(struct libreplace_guard *guard)
{
	if (libreplace_mine.busy != NULL)
		return 0;
	libreplace_mine.busy = guard;
	atomic_signal_fence(memory_order_seq_cst);
	return 1;
}

/* @started: the result of libreplace_mark_busy() */
static inline void libreplace_unmark_busy(int started)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (started)
		libreplace_mine.busy = NULL;
}

/* Begin to change the ids of the thread for this entry. Return: 1, or 0 if this is a forked child
 * already. */
LIBREPLACE_HIDDEN int libreplace_begin(struct libreplace_guard *guard);
/* End what libreplace_begin() began, if it did, and store the state. Return: 0, or -1 with errno
 * set if a step is stored. */
LIBREPLACE_HIDDEN int libreplace_end(struct libreplace_guard *guard, int state);

/* ---- can_return.c */

/*
 * Look for a reason why the thread could not return from the ids in @guard->set to those in
 * @guard->before, with the capabilities of @guard. Changes nothing. Return: 0, or the errno of the
 * reason; see LIBREPLACE_STEP_RETURN.
 */
LIBREPLACE_HIDDEN int libreplace_cannot_return(struct libreplace_guard *guard, int securebits);

/* ---- ids_*.c */

/* Read the fs ids; @ids has the other ids already. On a system without fs ids, they are the
 * effective ids. Return: 0, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_read_fs_ids(struct libreplace_ids *ids);
/* Whether the thread, which is @ids, can make setfsuid(2) or setfsgid(2). A filter may refuse
 * them. */
LIBREPLACE_HIDDEN int libreplace_can_set_fsuid(const struct libreplace_ids *ids);
LIBREPLACE_HIDDEN int libreplace_can_set_fsgid(const struct libreplace_ids *ids);
/* Whether a thread without capabilities can change its groups, which Linux refuses. The groups are
 * restored. */
LIBREPLACE_HIDDEN int libreplace_imitates_groups(const struct libreplace_ids *ids,
                                                 const gid_t *groups);
/* Whether one of these ids or groups may stand for an id that the user namespace does not map. */
LIBREPLACE_HIDDEN int libreplace_unmapped(const struct libreplace_ids *ids, const gid_t *groups);

/* ---- capabilities_*.c: on a kernel without capabilities, these succeed and do nothing */

/* The securebits of the calling thread that matter here. Source: capabilities(7). */
enum {
	LIBREPLACE_NO_SETUID_FIXUP = 1 << 2,
	LIBREPLACE_KEEP_CAPS = 1 << 4,
	LIBREPLACE_NO_CAP_AMBIENT_RAISE = 1 << 6
};
/* Read the securebits. Return: the bits, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_get_securebits(void);

/* Read the effective, permitted and inheritable set, and the ambient set. Return: 0, or -1 with
 * errno set; the same is true for the next three functions. */
LIBREPLACE_HIDDEN int libreplace_get_capabilities(struct libreplace_capabilities *set);
/* Make all permitted capabilities effective, so that the thread can change its ids. */
LIBREPLACE_HIDDEN int libreplace_raise_capabilities(const struct libreplace_capabilities *held);
/* Make @effective the effective set, and clear the permitted capabilities of @held in the
 * inheritable set, which clears the ambient set, too. */
LIBREPLACE_HIDDEN int libreplace_clear_capabilities(const struct libreplace_capabilities *held,
                                                    uint64_t effective);
/* Set the effective, permitted, inheritable and ambient set to those in @held. */
LIBREPLACE_HIDDEN int libreplace_set_capabilities(const struct libreplace_capabilities *held);
/* The effective capabilities that a thread must not have at @level (enum libreplace_level). */
LIBREPLACE_HIDDEN uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level);
/* Whether a thread with this effective uid and these effective capabilities may set any user ID, or
 * any group ID and groups. */
LIBREPLACE_HIDDEN int libreplace_may_set_uids(uid_t euid, uint64_t effective);
LIBREPLACE_HIDDEN int libreplace_may_set_gids(uid_t euid, uint64_t effective);
/* Whether all of these capabilities are in the bounding set. */
LIBREPLACE_HIDDEN int libreplace_bounded(uint64_t capabilities);

/* ---- replace_calls.c: libc's calls, which change every thread; see libreplace/calls.h */

LIBREPLACE_HIDDEN int libreplace_process_setresuid(uid_t ruid, uid_t euid, uid_t suid);
LIBREPLACE_HIDDEN int libreplace_process_setresgid(gid_t rgid, gid_t egid, gid_t sgid);
LIBREPLACE_HIDDEN int libreplace_process_setgroups(size_t size, const gid_t *list);

/* ---- drop.c: changes the whole process */

/* Store a failure, and the thread that it is about or 0. Return: -1. */
LIBREPLACE_HIDDEN int libreplace_drop_failed(struct libreplace_drop *result, int step, int error,
                                             pid_t thread);

/* ---- drop_*.c: every thread of the process. Elsewhere than on Linux, all threads have the same
 * ids */

/* What libreplace_look_at_threads() looks for: what forbids a drop, whether the other threads have
 * the effective user ID of the identity and no effective capabilities, whether all threads have
 * dropped, or whether all threads have the same ids. */
enum libreplace_look {
	LIBREPLACE_MAY_DROP,
	LIBREPLACE_HAVE_FOLLOWED,
	LIBREPLACE_HAVE_DROPPED,
	LIBREPLACE_ARE_ALIKE
};

/* The monotonic clock, in milliseconds. Only drop_linux.c has it. */
LIBREPLACE_HIDDEN long long libreplace_milliseconds(void);
/* Read the credentials of all threads from the kernel. Return: 0, or -1 with the failure and its
 * thread stored in @result. */
LIBREPLACE_HIDDEN int libreplace_look_at_threads(enum libreplace_look look,
                                                 const struct libreplace_identity *identity,
                                                 int flags, struct libreplace_drop *result);
/*
 * Before a process whose user IDs are @before becomes the user, see whether every thread would. If
 * the process is root and can return to that, this sets the effective user ID, and looks at all
 * threads.
 * Return: 0, or -1 with the failure stored in @result.
 */
LIBREPLACE_HIDDEN int libreplace_try_uid(const struct libreplace_identity *identity,
                                         const struct libreplace_ids *before,
                                         struct libreplace_drop *result);
/* Give the calling thread a new session keyring, if it may. Return: 0, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_join_new_keyring(void);
/* Set the supplementary groups of all threads to those of the identity. Return: 0, or -1 with errno
 * set. */
LIBREPLACE_HIDDEN int libreplace_set_process_groups(const struct libreplace_identity *identity);

/* ---- proc_linux.c: the threads of this process in /proc; only on Linux */

/* A file of /proc, and a 0 behind it. */
struct libreplace_proc_text {
	char *bytes; /* malloc(3) */
	size_t size, room;
};

struct libreplace_proc_thread {
	pid_t number; /* as gettid(2) returns it in the thread */
	struct libreplace_proc_text status;
};

/* The threads, by their numbers in /proc. */
struct libreplace_proc_list {
	int *numbers; /* malloc(3) */
	size_t size, room;
};

/* Open /proc/self/task. Return: the descriptor, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_proc_open_task(void);

/* List all threads. Return: 0, or errno: EAGAIN if a thread may be missing. */
LIBREPLACE_HIDDEN int libreplace_proc_list_threads(int task, struct libreplace_proc_list *list);

/* A flag of a thread, PF_IO_WORKER of linux/sched.h: the kernel runs it for an io_uring. */
enum { LIBREPLACE_PF_IO_WORKER = 0x10 };

/* Read the flags (PF_* of linux/sched.h) of a thread. @text: storage; the caller frees its bytes.
 * Return: 0, or errno: ENOENT or ESRCH if it has ended. */
LIBREPLACE_HIDDEN int libreplace_proc_read_flags(int task, const char *number,
                                                 struct libreplace_proc_text *text,
                                                 unsigned long *flags);

/* Read the flags and the status of a thread. Return: as libreplace_proc_read_flags(). */
LIBREPLACE_HIDDEN int libreplace_proc_read_thread(int task, const char *number,
                                                  struct libreplace_proc_thread *thread,
                                                  unsigned long *flags);

/* The value of a line of a status: "\nUid:" and the like. Return: NULL if there is none.
 * libreplace_proc_read_thread() has checked that there are Uid, Gid, Groups, CapInh, CapPrm and
 * CapEff. */
LIBREPLACE_HIDDEN const char *libreplace_proc_value_of(const struct libreplace_proc_text *status,
                                                       const char *name);

/* ---- open_beneath_linux.c; ring_calls_linux.c uses these, too */

/* How often an opening that fails with EAGAIN is tried again. */
enum { LIBREPLACE_OPEN_RETRIES = 16 };

/* struct open_how of openat2(2). <linux/openat2.h> declares it, but some C libraries (musl-gcc)
 * come without the kernel's headers. */
struct libreplace_how {
	uint64_t flags, mode, resolve;
};

/* What openat2(2) gets for the arguments of libreplace_open_beneath(). */
LIBREPLACE_HIDDEN struct libreplace_how libreplace_how_to_open(int flags, mode_t mode,
                                                               uint64_t resolve, int regular);
/* Why @regular 1 forbids a file of this kind. @mode: the kind, as in st_mode. Return: 0, or the
 * errno. */
LIBREPLACE_HIDDEN int libreplace_file_refusal(mode_t mode, int flags);
/* Remove the O_NONBLOCK that libreplace_how_to_open() added. Return: 0, or the errno. */
LIBREPLACE_HIDDEN int libreplace_block_again(int fd, int flags);

#endif
