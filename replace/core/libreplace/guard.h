/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An identity that a thread takes on and surely loses again. Included by
 * libreplace/replace.h; include that. The other half is replace/core/guard.c.
 *
 * Where LIBREPLACE_THREAD_SCOPE is 0 a switch would change every thread, so libreplace_enter()
 * is ENOSYS there unless LIBREPLACE_ALLOW_PROCESS is given. This is not a privilege drop: the
 * saved user id stays, that is how the thread comes back. A child that is forked while
 * an identity is held becomes that user for good; vfork(2) and posix_spawn(3) do not.
 */
#ifndef LIBREPLACE_GUARD_H
#define LIBREPLACE_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which ids an identity sets: real/effective/saved, with P the thread's own on its outermost entry.
 */
enum libreplace_level {
	LIBREPLACE_LEVEL_EFFECTIVE = 0,  /* uids P/u/P, gids g/g/P */
	LIBREPLACE_LEVEL_SHIELDED = 1,   /* uids X/u/P with X = LIBREPLACE_SHIELD_UID, gids g/g/P */
	LIBREPLACE_LEVEL_REAL = 2,       /* uids u/u/P, gids g/g/P */
	LIBREPLACE_LEVEL_FILESYSTEM = 3, /* the fs ids and the groups alone */
};

/* An id that nobody has: neither nobody (65534) nor systemd's 32-bit nobody, nor -1. */
#define LIBREPLACE_SHIELD_UID ((uid_t)4294967293U)

/* Where something failed. */
enum libreplace_step {
	LIBREPLACE_STEP_NONE = 0,
	LIBREPLACE_STEP_REFUSED = 1, /* before anything was looked at; see libreplace_enter() */
	LIBREPLACE_STEP_READ = 2, /* reading the thread's ids; ENOBUFS: the buffer is too small */
	LIBREPLACE_STEP_PRIVILEGE =
	    3,                      /* going back to the privileged id, or raising capabilities */
	LIBREPLACE_STEP_GROUPS = 4, /* setgroups */
	LIBREPLACE_STEP_GID = 5,    /* setresgid or setfsgid */
	LIBREPLACE_STEP_UID = 6,    /* setresuid or setfsuid */
	LIBREPLACE_STEP_VERIFY = 7, /* a call reported success and did nothing */
	LIBREPLACE_STEP_CAPABILITIES = 8, /* capabilities would remain */
	LIBREPLACE_STEP_FOUND = 9,        /* on leave, the ids were not those that enter had set */
	LIBREPLACE_STEP_ORDER = 10,       /* left on another thread, or before an inner identity */
	LIBREPLACE_STEP_FORKED = 11,      /* left in a child that was forked while it was held */
};

/* What the thread is after a call. */
enum libreplace_state {
	LIBREPLACE_STATE_IDLE = 0,    /* nothing entered: as before */
	LIBREPLACE_STATE_ENTERED = 1, /* the identity is held */
	LIBREPLACE_STATE_ROLLED_BACK =
	    2, /* a step failed; the ids are those from before, verified */
	LIBREPLACE_STATE_TAINTED =
	    3,                     /* the ids are not known to be right; the thread refuses more */
	LIBREPLACE_STATE_LEFT = 4, /* the ids are those from before, verified */
	LIBREPLACE_STATE_FOR_GOOD =
	    5, /* a child that was forked under an identity, and has become it */
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

/* What an entry allows beyond the usual. */
enum libreplace_flag {
	LIBREPLACE_ALLOW_ROOT = 1, /* uid 0, gid 0 or group 0 in the identity */
	LIBREPLACE_ALLOW_PROCESS =
	    2, /* where one call changes every thread, and there is but one */
	LIBREPLACE_ABORT_UNLESS_RESTORED = 4, /* abort(3) instead of a tainted thread */
};

struct libreplace_identity {
	uid_t uid;
	gid_t gid;
	size_t size;         /* supplementary groups, 0 to NGROUPS_MAX */
	const gid_t *groups; /* ascending, no duplicates */
};

struct libreplace_ids {
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid;
	size_t size;
};

struct libreplace_capabilities {
	uint64_t effective, permitted, inheritable, ambient;
};

/*
 * One entry. Set it to zero, then room and flags; keep it where it is until it is left. The
 * fields from step to changes are the result; the others belong to the library. With
 * LIBREPLACE_GUARD(name, 64), name.guard has room for 64 groups on the stack.
 */
struct libreplace_guard {
	size_t room; /* at least the groups that the thread has, and those of the identity */
	int flags;   /* of enum libreplace_flag, or-ed */
	int step;    /* enum libreplace_step */
	int error;   /* errno of that step */
	int state;   /* enum libreplace_state */
	int changes; /* credential-changing system calls made, in and out */
	int level;   /* enum libreplace_level, as it was entered */
	uint64_t token, outer_token;
	const struct libreplace_guard *outer;
	struct libreplace_ids before, set;
	struct libreplace_capabilities capabilities;
#ifndef __cplusplus /* which has no such arrays; the size is the same without */
	__extension__ gid_t
	    groups[]; /* 3 * room: those found on entry, those set, and room to verify */
#endif
};

#define LIBREPLACE_GUARD(name, room_)                                                              \
	union {                                                                                    \
		struct libreplace_guard guard;                                                     \
		unsigned char                                                                      \
		    space[sizeof(struct libreplace_guard) + 3 * (room_) * sizeof(gid_t)];          \
	} name

/**
 * libreplace_enter() - take an identity on, in the calling thread
 * @guard:	where the entry is kept
 * @identity:	whom to become; it is copied
 * @level:	enum libreplace_level
 *
 * Reads the ids, skips what changes nothing, sets groups, gid, uid in this order,
 * verifies ids and capabilities, and rolls back what it did if a step fails.
 *
 * Return: 0, or -1 with errno, guard->step and guard->state set. LIBREPLACE_STEP_REFUSED is
 * ENOTRECOVERABLE (the thread is tainted), EBUSY (libreplace_drop_begin()), EINVAL (an id is -1,
 * the groups are not in order, no such level), EPERM (root without LIBREPLACE_ALLOW_ROOT),
 * ENOSYS (every thread would change) or ENOTSUP (this is not the only thread).
 * LIBREPLACE_STEP_READ with ENOBUFS: more room is needed.
 * Source: credentials(7), capabilities(7), kernel/sys.c.
 */
int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level);

/**
 * libreplace_check() - whether the calling thread still is what libreplace_enter() made of it
 * @guard:	what libreplace_enter() filled in
 *
 * Reads ids, groups and capabilities, and changes nothing. For whoever holds an identity
 * for longer than one task. What it found, libreplace_leave() tells as well.
 *
 * Return: 0, or -1 with errno, guard->step and guard->error set: LIBREPLACE_STEP_FOUND (other
 * ids), LIBREPLACE_STEP_CAPABILITIES (others than on entry), LIBREPLACE_STEP_ORDER (an inner
 * identity is held, or this is another thread), LIBREPLACE_STEP_READ, LIBREPLACE_STEP_FORKED;
 * ESRCH: nothing is entered.
 */
int libreplace_check(struct libreplace_guard *guard);

/**
 * libreplace_leave() - go back to the ids that were observed on entry
 * @guard:	what libreplace_enter() filled in
 *
 * Harmless when nothing was entered. On another thread than that of the entry, or
 * while an inner identity is held, it changes no id: the calling thread is tainted.
 *
 * Return: 0, or -1 with errno, guard->step and guard->state set.
 */
int libreplace_leave(struct libreplace_guard *guard);

/**
 * libreplace_private_fs() - a working directory and umask of the calling thread's own
 *
 * For a worker, and for good. The main thread's stay the process's.
 *
 * Return: 0, or -1 with errno: EINVAL (this is the main thread), ENOSYS (no such thing on
 * this system), EPERM (forbidden here). Source: unshare(2), CLONE_FS.
 */
int libreplace_private_fs(void);

/* How many threads of this process are switched, and how many entries the calling one holds. */
unsigned libreplace_active(void);
unsigned libreplace_depth(void);

/* Whether the calling thread refuses to enter: it once could not be brought back. */
int libreplace_tainted(void);

/* Whether uid, gid or one of the groups is 0. */
int libreplace_identity_has_root(const struct libreplace_identity *identity);

/**
 * libreplace_drop_begin() - from here to libreplace_drop_end() no thread can enter
 *
 * Around libc's own process-wide calls: while a thread is switched they abort the
 * process, or make that thread root again.
 *
 * Return: 0, or -1 with errno EBUSY: a thread is switched, or another drop is under way.
 */
int libreplace_drop_begin(void);
void libreplace_drop_end(void);

/* All capabilities of the calling thread, for good. Return: 0, or -1 with errno. Source: capset(2).
 */
int libreplace_drop_capabilities(void);

#ifdef __cplusplus
}
#endif
#endif
