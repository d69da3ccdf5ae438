/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * One thread acts as another user and then gets its old ids back. Include libreplace/replace.h,
 * which includes this file.
 *
 * If LIBREPLACE_THREAD_SCOPE is 0, a switch changes every thread. libreplace_enter() then fails
 * with ENOSYS unless the guard's flags have LIBREPLACE_ALLOW_PROCESS.
 *
 * Entering does not drop privileges: the saved user ID stays, and the thread uses it to return. A
 * child that is forked under an identity becomes that user for good: it gets the user ID, group ID
 * and groups of the innermost entry, whatever ids the thread has at that moment, and no
 * capabilities. Signals that had handlers get their default action in it. If the child cannot
 * become the user, the child aborts. It also aborts if the thread that forks is tainted, unless
 * only an orphaned entry taints it. All this is true also for a fork in a signal handler that
 * interrupts libreplace_enter() or libreplace_leave(). A child of vfork(2), _Fork(3), clone(2) or
 * posix_spawn(3) does not become the user, because these functions run no fork handlers.
 *
 * A signal handler that interrupts libreplace_enter(), libreplace_check() or libreplace_leave() may
 * call these functions. They then fail with EBUSY and change nothing. It must return to the
 * interrupted function: after siglongjmp(3), the thread can neither enter nor leave.
 */
#ifndef LIBREPLACE_GUARD_H
#define LIBREPLACE_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <libreplace/identity.h>

#ifdef __clang__ /* clang does not know the @ of kernel-doc */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdocumentation-unknown-command"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum libreplace_level - which ids an entry changes
 * @LIBREPLACE_LEVEL_SHIELDED:	the effective user ID becomes the user's. The real user ID becomes
 *	an id that no user has: LIBREPLACE_SHIELD_UID, or 65535 if the user namespace does not map
 *	that id or the user has it. Use this level unless you need another. The user cannot signal
 *	the process, and a program that the thread executes cannot get the old ids back. But SIGIO
 *	signals that the thread requests under the identity (F_SETOWN) are lost
 * @LIBREPLACE_LEVEL_EFFECTIVE:	the effective user ID becomes the user's. SIGIO signals arrive. But
 *	a program that the thread executes can get the old ids back, and access(2) answers for the
 *	old user ID
 * @LIBREPLACE_LEVEL_REAL:	the real and effective user IDs become the user's. access(2) answers
 *	for the user. But the user can signal the process, and so kill it. SIGIO
 *	signals are lost as at LIBREPLACE_LEVEL_SHIELDED
 * @LIBREPLACE_LEVEL_FILESYSTEM: only the file system ids become the user's (setfsuid(2)). The
 *	kernel checks access to files with these ids, and everything else with the old ids
 *
 * Every level sets the supplementary groups and the file system ids. All levels but
 * LIBREPLACE_LEVEL_FILESYSTEM set the real and effective group ID. Every other id keeps the value
 * that it had before the thread's outermost entry.
 */
enum libreplace_level {
	LIBREPLACE_LEVEL_SHIELDED = 1,
	LIBREPLACE_LEVEL_EFFECTIVE = 0,
	LIBREPLACE_LEVEL_REAL = 2,
	LIBREPLACE_LEVEL_FILESYSTEM = 3
};

/* The real user ID at LIBREPLACE_LEVEL_SHIELDED: an id that no user has. It is not -1, not the id
 * of the user nobody (65534) and not systemd's 32-bit id of that user (4294967294). */
#define LIBREPLACE_SHIELD_UID ((uid_t)4294967293U)

/**
 * enum libreplace_step - the step that failed
 * @LIBREPLACE_STEP_NONE:	nothing failed
 * @LIBREPLACE_STEP_REFUSED:	the entry was refused; libreplace_enter() lists the reasons
 * @LIBREPLACE_STEP_READ:	reading the ids, the groups or the capabilities
 * @LIBREPLACE_STEP_PRIVILEGE:	returning to the privileged user ID, or raising capabilities
 * @LIBREPLACE_STEP_GROUPS:	setgroups
 * @LIBREPLACE_STEP_GID:	setresgid or setfsgid
 * @LIBREPLACE_STEP_UID:	setresuid or setfsuid
 * @LIBREPLACE_STEP_VERIFY:	every call reported success, but the kernel reports other ids
 * @LIBREPLACE_STEP_CAPABILITIES: the capabilities could not be read or set, or are not the right
 *	ones
 * @LIBREPLACE_STEP_FOUND:	the ids or groups were not those that the entry had set
 * @LIBREPLACE_STEP_ORDER:	the call came from another thread, or an inner entry is still held
 * @LIBREPLACE_STEP_FORKED:	this is a child that was forked under an identity
 * @LIBREPLACE_STEP_RETURN:	the thread could not return from the identity, so nothing changed;
 *	libreplace_enter() lists the reasons
 * @LIBREPLACE_STEP_THREADS:	a thread has other ids than the others; see libreplace/drop.h, also
 *	for the next three steps
 * @LIBREPLACE_STEP_IO_URING:	the process uses io_uring
 * @LIBREPLACE_STEP_ROOT_AGAIN:	the process dropped its privileges, but could become root again
 * @LIBREPLACE_STEP_KEYRING:	joining a new session keyring
 */
enum libreplace_step {
	LIBREPLACE_STEP_NONE = 0,
	LIBREPLACE_STEP_REFUSED = 1,
	LIBREPLACE_STEP_READ = 2,
	LIBREPLACE_STEP_PRIVILEGE = 3,
	LIBREPLACE_STEP_GROUPS = 4,
	LIBREPLACE_STEP_GID = 5,
	LIBREPLACE_STEP_UID = 6,
	LIBREPLACE_STEP_VERIFY = 7,
	LIBREPLACE_STEP_CAPABILITIES = 8,
	LIBREPLACE_STEP_FOUND = 9,
	LIBREPLACE_STEP_ORDER = 10,
	LIBREPLACE_STEP_FORKED = 11,
	LIBREPLACE_STEP_RETURN = 12,
	LIBREPLACE_STEP_THREADS = 13,
	LIBREPLACE_STEP_IO_URING = 14,
	LIBREPLACE_STEP_ROOT_AGAIN = 15,
	LIBREPLACE_STEP_KEYRING = 16
};

/**
 * enum libreplace_state - what the thread is after a call
 * @LIBREPLACE_STATE_IDLE:	nothing was entered; the thread has its old ids
 * @LIBREPLACE_STATE_ENTERED:	the thread holds the identity
 * @LIBREPLACE_STATE_ROLLED_BACK: a step failed; the thread has its old ids, verified
 * @LIBREPLACE_STATE_TAINTED:	the ids are not known to be right. The thread refuses more entries
 * @LIBREPLACE_STATE_LEFT:	the thread has its old ids, verified
 * @LIBREPLACE_STATE_FOR_GOOD:	the process has become the user for good: it is a child that was
 *	forked under an identity, or it has dropped its privileges
 * @LIBREPLACE_STATE_ORPHANED:	another thread tried to leave the entry. The thread that entered
 *	still holds the identity. Until it leaves the entry, it is tainted
 */
enum libreplace_state {
	LIBREPLACE_STATE_IDLE = 0,
	LIBREPLACE_STATE_ENTERED = 1,
	LIBREPLACE_STATE_ROLLED_BACK = 2,
	LIBREPLACE_STATE_TAINTED = 3,
	LIBREPLACE_STATE_LEFT = 4,
	LIBREPLACE_STATE_FOR_GOOD = 5,
	LIBREPLACE_STATE_ORPHANED = 6
};

/**
 * libreplace_step_name() - a step in words, for messages
 * @step:	enum libreplace_step
 *
 * Return: a constant string, such as "setting the uid"; "unknown" for any other number.
 */
const char *libreplace_step_name(int step);

/**
 * libreplace_state_name() - a state in words, for messages
 * @state:	enum libreplace_state
 *
 * Return: a constant string, such as "rolled back"; "unknown" for any other number.
 */
const char *libreplace_state_name(int state);

/**
 * libreplace_level_name() - a level in words: its name in Python
 * @level:	enum libreplace_level
 *
 * Return: a constant string, such as "shielded"; "unknown" for any other number.
 */
const char *libreplace_level_name(int level);

/**
 * enum libreplace_flag - options of an entry, to be combined with bitwise or
 * @LIBREPLACE_ALLOW_ROOT:	accept user ID 0, group ID 0 or group 0 in the identity
 * @LIBREPLACE_ALLOW_PROCESS:	if a switch changes every thread, accept an entry in a process that
 *	has only one thread
 * @LIBREPLACE_ABORT_UNLESS_RESTORED: if the ids cannot be restored, call abort(3) instead of
 *	tainting the thread
 * @LIBREPLACE_ALLOW_IO_URING:	only for libreplace_drop_privileges(): accept a process that uses
 *	io_uring
 */
enum libreplace_flag {
	LIBREPLACE_ALLOW_ROOT = 1,
	LIBREPLACE_ALLOW_PROCESS = 2,
	LIBREPLACE_ABORT_UNLESS_RESTORED = 4,
	LIBREPLACE_ALLOW_IO_URING = 8
};

/* The real, effective, saved and file system ids of a thread, and the number of its groups. */
struct libreplace_ids {
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid;
	size_t size;
};

/* The capability sets of a thread, one bit for each capability. Source: capabilities(7). */
struct libreplace_capabilities {
	uint64_t effective, permitted, inheritable, ambient;
};

/**
 * struct libreplace_guard - one entry
 * @room:	number of groups that fit, set by libreplace_guard_init()
 * @flags:	enum libreplace_flag
 * @step:	result: enum libreplace_step, the first step that failed
 * @error:	result: errno of that step
 * @state:	result: enum libreplace_state
 * @changes:	result: number of credential-changing system calls that this entry has made so far
 * @level:	result: enum libreplace_level of the entry
 *
 * Declare it with LIBREPLACE_GUARD(), call libreplace_guard_init(), then set @flags if you need
 * them. The library sets the other members; the reserved ones are 0. Until you have left the guard,
 * do not move it and do not free it. You can use a guard again after you left it.
 */
struct libreplace_guard {
	size_t room;
	int flags;
	int step;
	int error;
	int state;
	int changes;
	int level;
	/* private: only the library uses them */
	uint64_t initialized;
	uint64_t token, outer_token;
	struct libreplace_guard *outer;
	const void *owner;
	struct libreplace_ids before, set;
	struct libreplace_capabilities capabilities;
	uint64_t reserved[8];
	/* C90 and C++ have no flexible array members; the size is the same without it */
#if !defined __cplusplus && defined __STDC_VERSION__ && __STDC_VERSION__ >= 199901L
	gid_t groups[]; /* 3 * room: the groups found on entry, those set, and a scratch list */
#endif
};

/**
 * LIBREPLACE_GUARD() - declare a guard with room for groups
 * @name:	name of the variable, a union; its member guard is the struct libreplace_guard
 * @room:	number of groups that fit; a constant: at least as many as the thread has and the
 *		identity has
 *
 * Then call libreplace_guard_init(&name.guard, sizeof name).
 */
#define LIBREPLACE_GUARD(name, room)                                                               \
	union {                                                                                    \
		struct libreplace_guard guard;                                                     \
		unsigned char space[sizeof(struct libreplace_guard) + 3 * (room) * sizeof(gid_t)]; \
	} name

/**
 * libreplace_guard_init() - prepare a guard for its first entry
 * @guard:	the storage
 * @size:	size of the storage in bytes, such as sizeof of the variable that LIBREPLACE_GUARD()
 *		declares; the room for groups follows from it
 *
 * Do not call it while the guard is held, and not for the first time in a signal handler: the first
 * call in a process installs a fork handler.
 *
 * Return: 0, or -1 with errno EINVAL if @size is too small for a guard, or ENOMEM if the fork
 * handler could not be installed.
 */
int libreplace_guard_init(struct libreplace_guard *guard, size_t size);

/**
 * libreplace_enter() - act as another user in the calling thread
 * @guard:	storage for the entry; it must stay valid until libreplace_leave()
 * @identity:	the user to act as; it is copied
 * @level:	which ids change, see enum libreplace_level
 *
 * Reads the thread's ids and sets the groups, the group IDs and the user IDs, in this order. Skips
 * each step that would change nothing. Then reads the ids and the capabilities again and compares
 * them. If a step fails, the ids are rolled back.
 *
 * Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the step is
 * LIBREPLACE_STEP_REFUSED, nothing was changed and errno says why:
 *
 * - ENOTRECOVERABLE: the thread is tainted
 * - EBUSY: the process is between libreplace_drop_begin() and libreplace_drop_end(); or a signal
 *   handler interrupted libreplace_enter(), libreplace_check() or libreplace_leave(); or @guard is
 *   held already or is the one of the interrupted function, which leaves the guard as it is
 * - EINVAL: an id is -1, the groups are not in ascending order, the level does not exist, @guard
 *   has a flag that does not exist or is only for another function, or @guard was not prepared by
 *   libreplace_guard_init()
 * - EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set
 * - ENOSYS: a switch changes every thread, and LIBREPLACE_ALLOW_PROCESS is not set
 * - ENOTSUP: LIBREPLACE_ALLOW_PROCESS is set, but the process has more than one thread, or the
 *   number of threads cannot be determined
 * - EOVERFLOW: LIBREPLACE_LEVEL_SHIELDED needs an id that no user has, and the user namespace maps
 *   no such id; choose another level
 *
 * If the step is LIBREPLACE_STEP_RETURN, the thread could not return, nothing was changed, and
 * errno says why:
 *
 * - EPERM: from the new ids, the kernel would not let the thread set its present ids or groups
 *   again, or it would clear the thread's permitted capabilities
 * - EACCES: the thread could not set its present inheritable or ambient capabilities again, because
 *   the bounding set lacks one of them, or because of the securebit SECBIT_NO_CAP_AMBIENT_RAISE
 * - EOVERFLOW: the user namespace does not map one of the thread's present ids or groups
 *
 * LIBREPLACE_STEP_CAPABILITIES with EPERM means that the thread would keep root's capabilities, for
 * example because of the securebit SECBIT_NO_SETUID_FIXUP. LIBREPLACE_STEP_READ with ENOBUFS means
 * that @guard->room is too small.
 *
 * LIBREPLACE_LEVEL_FILESYSTEM fails with ENOSYS on systems without file system ids, and under
 * uid_wrapper(1), which does not imitate them.
 *
 * Source: credentials(7), capabilities(7), kernel/sys.c.
 */
int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level);

/**
 * libreplace_check() - check that the calling thread still has the ids that its entry set
 * @guard:	the entry
 *
 * Reads the ids, the groups and the capabilities. Changes nothing but the guard. Use it in a thread
 * that holds an identity for longer than one task. If it finds a difference, libreplace_leave()
 * reports that difference too.
 *
 * Return: 0, or -1 with errno, @guard->step and @guard->error set. If nothing is entered, errno is
 * ESRCH and the guard is not changed. If another thread entered, errno is EPERM and the guard is
 * not changed. In a signal handler that interrupted a function of this file, errno is EBUSY and the
 * guard is not changed. The step is one of:
 *
 * - LIBREPLACE_STEP_FOUND: the thread has other ids (file system ids included) or other groups
 * - LIBREPLACE_STEP_CAPABILITIES: the thread has other capabilities
 * - LIBREPLACE_STEP_ORDER: another thread tried to leave the entry, or an inner entry is still
 *   held; libreplace_leave() does not report such an inner entry
 * - LIBREPLACE_STEP_READ: reading failed
 * - LIBREPLACE_STEP_FORKED: this is a child that was forked under the identity
 */
int libreplace_check(struct libreplace_guard *guard);

/**
 * libreplace_leave() - restore the ids that the calling thread had on entry
 * @guard:	the entry
 *
 * Does nothing if nothing is entered. If another thread entered, or if an inner entry is still
 * held, it changes no id and taints the calling thread. If another thread entered, errno is EPERM,
 * and nothing in @guard changes but the state, which becomes LIBREPLACE_STATE_ORPHANED.
 *
 * Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the state is
 * LIBREPLACE_STATE_LEFT, the ids are restored, and the step says what was wrong before, as
 * libreplace_check() does. This function itself compares only the ids and groups: if code inside
 * the entry may change capabilities, call libreplace_check() before. If the state is
 * LIBREPLACE_STATE_TAINTED, the ids or capabilities are not restored, and the step says which step
 * of restoring failed. In a signal handler that interrupted a function of this
 * file, errno is EBUSY and the guard is not changed.
 */
int libreplace_leave(struct libreplace_guard *guard);

/**
 * libreplace_private_fs() - give the calling thread its own working directory and umask
 *
 * The thread no longer shares them with other threads. This cannot be undone. The main thread
 * cannot do it.
 *
 * Return: 0, or -1 with errno: EINVAL (this is the main thread), ENOSYS (this system has no such
 * call) or EPERM (a seccomp filter forbids it).
 *
 * Source: unshare(2), CLONE_FS.
 */
int libreplace_private_fs(void);

/**
 * libreplace_active() - count the switched threads of this process
 *
 * A thread that ends while it is switched is counted until none of the program's code can run in
 * it. The kernel is asked about each switched thread.
 *
 * Return: the number of threads that hold at least one entry.
 */
unsigned libreplace_active(void);

/**
 * libreplace_main_is_switched() - tell whether the main thread holds an entry
 *
 * A thread that the main thread starts meanwhile inherits the identity, but holds no entry. Its ids
 * are those of the main thread, so they do not show this. A pool should start no workers then.
 *
 * Return: 1 or 0. On kernels other than Linux, 0.
 */
int libreplace_main_is_switched(void);

/**
 * libreplace_depth() - count the entries that the calling thread holds
 *
 * Return: the number of entries; 0 if the thread is not switched.
 */
unsigned libreplace_depth(void);

/**
 * libreplace_tainted() - tell whether the calling thread is tainted
 *
 * A thread is tainted after its ids could not be restored. It is also tainted after it tried to
 * leave an entry of another thread, or an entry with an inner entry that was still held. It refuses
 * every further entry until it ends. A thread is also tainted while one of its entries has
 * LIBREPLACE_STATE_ORPHANED; it can still leave the entry.
 *
 * Return: 1 or 0.
 */
int libreplace_tainted(void);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
