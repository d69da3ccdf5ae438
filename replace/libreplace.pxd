# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
#
# libreplace for Cython: `from replace.libreplace cimport rep_setresuid`. The C compiler needs `libreplace config
# --cflags --libs`, or pkg-config. tests/test_table.py holds this against detect/calls.py and the header files, which
# explain every name. None of it needs the GIL.

from libc.stdint cimport uint64_t
from posix.types cimport gid_t, uid_t


cdef extern from "<libreplace/replace.h>" nogil:
    const int LIBREPLACE_THREAD_SCOPE
    const char *LIBREPLACE_BACKEND
    const uid_t LIBREPLACE_SHIELD_UID

    int rep_setuid(uid_t uid)
    int rep_seteuid(uid_t euid)
    int rep_setreuid(uid_t ruid, uid_t euid)
    int rep_setresuid(uid_t ruid, uid_t euid, uid_t suid)
    int rep_getresuid(uid_t *ruid, uid_t *euid, uid_t *suid)
    int rep_setfsuid(uid_t fsuid)
    int rep_getfsuid(uid_t *fsuid)
    int rep_setgid(gid_t gid)
    int rep_setegid(gid_t egid)
    int rep_setregid(gid_t rgid, gid_t egid)
    int rep_setresgid(gid_t rgid, gid_t egid, gid_t sgid)
    int rep_getresgid(gid_t *rgid, gid_t *egid, gid_t *sgid)
    int rep_setfsgid(gid_t fsgid)
    int rep_getfsgid(gid_t *fsgid)
    int rep_setgroups(size_t size, const gid_t *list)
    int rep_initgroups(const char *user, gid_t group)
    int rep_getgroups(int size, gid_t *list)

    cdef enum rep_level:
        REP_LEVEL_EFFECTIVE
        REP_LEVEL_SHIELDED
        REP_LEVEL_REAL
        REP_LEVEL_FILESYSTEM

    cdef enum rep_step:
        REP_STEP_NONE
        REP_STEP_REFUSED
        REP_STEP_READ
        REP_STEP_PRIVILEGE
        REP_STEP_GROUPS
        REP_STEP_GID
        REP_STEP_UID
        REP_STEP_VERIFY
        REP_STEP_CAPABILITIES
        REP_STEP_FOUND
        REP_STEP_ORDER
        REP_STEP_FORKED

    cdef enum rep_state:
        REP_STATE_IDLE
        REP_STATE_ENTERED
        REP_STATE_ROLLED_BACK
        REP_STATE_TAINTED
        REP_STATE_LEFT
        REP_STATE_FOR_GOOD

    cdef enum rep_flag:
        REP_ALLOW_ROOT
        REP_ALLOW_PROCESS
        REP_ABORT_UNLESS_RESTORED

    cdef struct rep_identity:
        uid_t uid
        gid_t gid
        size_t size
        const gid_t *groups

    cdef struct rep_ids:
        uid_t ruid, euid, suid, fsuid
        gid_t rgid, egid, sgid, fsgid
        size_t size

    cdef struct rep_capabilities:
        uint64_t effective, permitted, inheritable, ambient

    # Allocate sizeof(rep_guard) + 3 * room * sizeof(gid_t), all zero; then set room and flags.
    cdef struct rep_guard:
        size_t room
        int flags
        int step
        int error
        int state
        int changes
        int level

    int rep_enter(rep_guard *guard, const rep_identity *identity, int level)
    int rep_check(rep_guard *guard)
    int rep_leave(rep_guard *guard)
    int rep_private_fs()
    unsigned rep_active()
    unsigned rep_depth()
    int rep_tainted()
    int rep_identity_has_root(const rep_identity *identity)
    int rep_drop_begin()
    void rep_drop_end()
    int rep_drop_capabilities()
    const char *replace_build_info(const char *name)
