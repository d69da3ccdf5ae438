/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A thread acts as another user and then gets back the ids that it had. libreplace/replace.h
 * includes this file; include that one. replace/core/guard.c has the functions.
 *
 * If LIBREPLACE_THREAD_SCOPE is 0, a switch would change every thread. libreplace_enter() then
 * fails with ENOSYS unless LIBREPLACE_ALLOW_PROCESS is given.
 *
 * This does not drop privileges: the saved user id stays, and the thread comes back with it. A
 * child that is forked while an identity is held becomes that user for good, and signals that had
 * handlers have their default action there. A child of vfork(2) or posix_spawn(3) does not, since
 * these run no fork handlers.
 */
#ifndef LIBREPLACE_GUARD_H
#define LIBREPLACE_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum libreplace_level - which ids an identity sets
 * @LIBREPLACE_LEVEL_SHIELDED:	uids X/u/P, gids g/g/P. Take this one unless you know why not: the
 *	user cannot signal the process, and a child that execs cannot become P again. X is an id
 *	that nobody has: LIBREPLACE_SHIELD_UID, or 65535 if the user namespace does not map that one
 * @LIBREPLACE_LEVEL_EFFECTIVE:	uids P/u/P, gids g/g/P. SIGIO works, but a child that execs can
 *	become P again, and access(2) answers for P
 * @LIBREPLACE_LEVEL_REAL:	uids u/u/P, gids g/g/P. access(2) answers for the user, but the user
 * can signal, and so kill, the process
 * @LIBREPLACE_LEVEL_FILESYSTEM: the fs ids only. Everything but files is done as P
 *
 * Real, effective and saved id; u and g are the identity's. P is the id that the thread had there
 * on its outermost entry. Every level also sets the supplementary groups and the fs ids.
 */
enum libreplace_level {
	LIBREPLACE_LEVEL_SHIELDED = 1,
	LIBREPLACE_LEVEL_EFFECTIVE = 0,
	LIBREPLACE_LEVEL_REAL = 2,
	LIBREPLACE_LEVEL_FILESYSTEM = 3,
};

/* An id that nobody has: it is not -1, not nobody's (65534) and not systemd's 32-bit nobody's
 * (4294967294). */
#define LIBREPLACE_SHIELD_UID ((uid_t)4294967293U)

/**
 * enum libreplace_step - where something failed
 * @LIBREPLACE_STEP_NONE:	nothing failed
 * @LIBREPLACE_STEP_REFUSED:	the entry was refused; see libreplace_enter()
 * @LIBREPLACE_STEP_READ:	reading the ids, the groups or the capabilities
 * @LIBREPLACE_STEP_PRIVILEGE:	going back to the privileged id, or raising capabilities; or the
 *	thread could not come back, and so was not changed
 * @LIBREPLACE_STEP_GROUPS:	setgroups
 * @LIBREPLACE_STEP_GID:	setresgid or setfsgid
 * @LIBREPLACE_STEP_UID:	setresuid or setfsuid
 * @LIBREPLACE_STEP_VERIFY:	every call reported success, but the ids are not those that were set
 * @LIBREPLACE_STEP_CAPABILITIES: the thread's capabilities are not what they should be
 * @LIBREPLACE_STEP_FOUND:	the ids were not those that entering had set
 * @LIBREPLACE_STEP_ORDER:	another thread, or an entry inside is still held
 * @LIBREPLACE_STEP_FORKED:	a child that was forked under an identity
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
};

/**
 * enum libreplace_state - what the thread is after a call
 * @LIBREPLACE_STATE_IDLE:	nothing was entered; the ids are those from before
 * @LIBREPLACE_STATE_ENTERED:	the identity is held
 * @LIBREPLACE_STATE_ROLLED_BACK: a step failed; the ids are those from before, verified
 * @LIBREPLACE_STATE_TAINTED:	the ids are not known to be right; the thread refuses more entries
 * @LIBREPLACE_STATE_LEFT:	the ids are those from before, verified
 * @LIBREPLACE_STATE_FOR_GOOD:	a child that was forked under an identity and has become it
 */
enum libreplace_state {
	LIBREPLACE_STATE_IDLE = 0,
	LIBREPLACE_STATE_ENTERED = 1,
	LIBREPLACE_STATE_ROLLED_BACK = 2,
	LIBREPLACE_STATE_TAINTED = 3,
	LIBREPLACE_STATE_LEFT = 4,
	LIBREPLACE_STATE_FOR_GOOD = 5,
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
 * libreplace_level_name() - a level in words: the name that it has in Python
 * @level:	enum libreplace_level
 *
 * Return: a constant string, such as "shielded"; "unknown" for any other number.
 */
const char *libreplace_level_name(int level);

/**
 * enum libreplace_flag - what an entry may do; combine them with |
 * @LIBREPLACE_ALLOW_ROOT:	accept uid 0, gid 0 or group 0 in the identity
 * @LIBREPLACE_ALLOW_PROCESS:	enter although one call changes every thread, if there is only one
 * @LIBREPLACE_ABORT_UNLESS_RESTORED: call abort(3) if the ids cannot be restored, so that no thread
 *	is tainted by that
 */
enum libreplace_flag {
	LIBREPLACE_ALLOW_ROOT = 1,
	LIBREPLACE_ALLOW_PROCESS = 2,
	LIBREPLACE_ABORT_UNLESS_RESTORED = 4,
};

/**
 * struct libreplace_identity - whom a thread becomes
 * @uid:	user id; not -1
 * @gid:	group id; not -1
 * @size:	number of supplementary groups, 0 to NGROUPS_MAX
 * @groups:	the supplementary groups, ascending and without duplicates; not read if @size is 0
 */
struct libreplace_identity {
	uid_t uid;
	gid_t gid;
	size_t size;
	const gid_t *groups;
};

/* The ids of a thread: real, effective, saved and fs id, and how many supplementary groups. */
struct libreplace_ids {
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid;
	size_t size;
};

/* The capability sets of a thread, one bit a capability; capabilities(7). */
struct libreplace_capabilities {
	uint64_t effective, permitted, inheritable, ambient;
};

/**
 * struct libreplace_guard - one entry
 * @room:	how many groups fit: at least as many as the thread has, and as the identity has
 * @flags:	enum libreplace_flag
 * @step:	result: enum libreplace_step, the first step that failed
 * @error:	result: errno of that step
 * @state:	result: enum libreplace_state
 * @changes:	result: credential-changing system calls made so far, in and out
 * @level:	result: enum libreplace_level, as it was entered
 *
 * Set it to zero, then set @room and @flags. Do not move it until it is left. The other fields
 * belong to the library. LIBREPLACE_GUARD(name, 64) declares one with room for 64 groups:
 * name.guard.
 */
struct libreplace_guard {
	size_t room;
	int flags;
	int step;
	int error;
	int state;
	int changes;
	int level;
	uint64_t token, outer_token;
	const struct libreplace_guard *outer;
	struct libreplace_ids before, set;
	struct libreplace_capabilities capabilities;
#ifndef __cplusplus /* C++ has no such arrays; the size is the same without it */
	__extension__ gid_t
	    groups[]; /* 3 * room: those found on entry, those set, room to verify */
#endif
};

#define LIBREPLACE_GUARD(name, room_)                                                              \
	union {                                                                                    \
		struct libreplace_guard guard;                                                     \
		unsigned char                                                                      \
		    space[sizeof(struct libreplace_guard) + 3 * (room_) * sizeof(gid_t)];          \
	} name

/**
 * libreplace_enter() - act as another user in the calling thread
 * @guard:	storage for the entry
 * @identity:	whom to become; it is copied
 * @level:	which ids change, see enum libreplace_level
 *
 * Reads the thread's ids and sets groups, gid and uid, in this order. Skips each step that would
 * change nothing. Then reads the ids and the capabilities again and compares. If a step fails, the
 * ids are rolled back.
 *
 * Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the step is
 * LIBREPLACE_STEP_REFUSED, errno says why:
 *
 * - ENOTRECOVERABLE: the thread is tainted
 * - EBUSY: the process is between libreplace_drop_begin() and libreplace_drop_end()
 * - EINVAL: an id is -1, the groups are not in order, or there is no such level
 * - EPERM: the identity has root, and LIBREPLACE_ALLOW_ROOT is not given
 * - ENOSYS: every thread would change, and LIBREPLACE_ALLOW_PROCESS is not given
 * - ENOTSUP: it is given, but this is not known to be the only thread
 * - EOVERFLOW: at LIBREPLACE_LEVEL_SHIELDED, the user namespace maps no id that nobody has; choose
 *   another level
 *
 * LIBREPLACE_STEP_READ with ENOBUFS means that @guard->room is too small.
 *
 * Source: credentials(7), capabilities(7), kernel/sys.c.
 */
int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level);

/**
 * libreplace_check() - whether the calling thread still is what libreplace_enter() made of it
 * @guard:	the entry
 *
 * Reads ids, groups and capabilities, and changes nothing but the guard. It is for threads that
 * hold an identity for longer than one task. If it finds a difference, libreplace_leave() reports
 * that difference too.
 *
 * Return: 0, or -1 with errno, @guard->step and @guard->error set. errno ESRCH means that nothing
 * is entered; the guard is not changed then. The step is one of:
 *
 * - LIBREPLACE_STEP_FOUND: the thread has other ids or groups
 * - LIBREPLACE_STEP_CAPABILITIES: it has other capabilities
 * - LIBREPLACE_STEP_ORDER: this is another thread, or an entry inside is still held
 * - LIBREPLACE_STEP_READ: a call failed
 * - LIBREPLACE_STEP_FORKED: this is a child that was forked under the identity
 */
int libreplace_check(struct libreplace_guard *guard);

/**
 * libreplace_leave() - give the calling thread the ids that it had on entry
 * @guard:	the entry
 *
 * Does nothing if nothing is entered. In another thread than the one that entered, or while an
 * entry inside is still held, it changes no id and taints the calling thread.
 *
 * Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the state is
 * LIBREPLACE_STATE_LEFT, the ids are restored all the same, and the step says what was found.
 */
int libreplace_leave(struct libreplace_guard *guard);

/**
 * libreplace_private_fs() - give the calling thread a working directory and umask of its own
 *
 * Other threads no longer share them. This cannot be undone. The main thread's stay the process's.
 *
 * Return: 0, or -1 with errno: EINVAL (this is the main thread), ENOSYS (this system has no such
 * call) or EPERM (a filter forbids it).
 *
 * Source: unshare(2), CLONE_FS.
 */
int libreplace_private_fs(void);

/**
 * libreplace_active() - how many threads of this process are switched
 *
 * Return: the number of threads that hold at least one entry.
 */
unsigned libreplace_active(void);

/**
 * libreplace_depth() - how many entries the calling thread holds
 *
 * Return: their number; 0 if the thread is not switched.
 */
unsigned libreplace_depth(void);

/**
 * libreplace_tainted() - whether the calling thread refuses to enter
 *
 * It does so for ever after its ids could not be restored, or after it tried to leave an entry that
 * was not its own innermost one.
 *
 * Return: 1 or 0.
 */
int libreplace_tainted(void);

/**
 * libreplace_identity_has_root() - whether uid, gid or one of the groups is 0
 * @identity:	its groups must be in ascending order
 *
 * Return: 1 or 0.
 */
int libreplace_identity_has_root(const struct libreplace_identity *identity);

/**
 * libreplace_drop_begin() - keep every thread from entering
 *
 * Call it before libc's own process-wide calls, and libreplace_drop_end() after them. If a thread
 * were switched during such a call, libc would abort the process or make that thread root again.
 *
 * Return: 0, or -1 with errno EBUSY: a thread is switched, or another drop is under way.
 */
int libreplace_drop_begin(void);

/**
 * libreplace_drop_end() - let threads enter again
 */
void libreplace_drop_end(void);

/**
 * libreplace_drop_capabilities() - drop all capabilities of the calling thread, for good
 *
 * Empties the effective, permitted and inheritable sets, and with them the ambient set. Does
 * nothing on a system without capabilities.
 *
 * Return: 0, or -1 with errno set.
 *
 * Source: capset(2), capabilities(7).
 */
int libreplace_drop_capabilities(void);

#ifdef __cplusplus
}
#endif
#endif
