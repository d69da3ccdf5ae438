# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
#
# libreplace for Cython: `from replace.libreplace cimport libreplace_setresuid`. The C compiler needs the flags from
# `libreplace config --cflags --libs` or pkg-config. The header files explain every name. No function needs the GIL. For
# a libreplace_guard, allocate sizeof(libreplace_guard) + 3 * room * sizeof(gid_t) bytes, and pass their number to
# libreplace_guard_init(). Then you may set flags. detect/sources.py writes the declarations.

# generated: begin types
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.types cimport gid_t, mode_t, pid_t, uid_t
# generated: end


cdef extern from "<libreplace/replace.h>" nogil:
    # generated: begin declarations
    const char *LIBREPLACE_VERSION
    const int LIBREPLACE_VERSION_NUMBER
    const int LIBREPLACE_THREAD_SCOPE
    const char *LIBREPLACE_BACKEND
    const uid_t LIBREPLACE_SHIELD_UID

    cdef enum libreplace_level:
        LIBREPLACE_LEVEL_SHIELDED
        LIBREPLACE_LEVEL_EFFECTIVE
        LIBREPLACE_LEVEL_REAL
        LIBREPLACE_LEVEL_FILESYSTEM

    cdef enum libreplace_step:
        LIBREPLACE_STEP_NONE
        LIBREPLACE_STEP_REFUSED
        LIBREPLACE_STEP_READ
        LIBREPLACE_STEP_PRIVILEGE
        LIBREPLACE_STEP_GROUPS
        LIBREPLACE_STEP_GID
        LIBREPLACE_STEP_UID
        LIBREPLACE_STEP_VERIFY
        LIBREPLACE_STEP_CAPABILITIES
        LIBREPLACE_STEP_FOUND
        LIBREPLACE_STEP_ORDER
        LIBREPLACE_STEP_FORKED
        LIBREPLACE_STEP_RETURN
        LIBREPLACE_STEP_THREADS
        LIBREPLACE_STEP_IO_URING
        LIBREPLACE_STEP_ROOT_AGAIN
        LIBREPLACE_STEP_KEYRING

    cdef enum libreplace_state:
        LIBREPLACE_STATE_IDLE
        LIBREPLACE_STATE_ENTERED
        LIBREPLACE_STATE_ROLLED_BACK
        LIBREPLACE_STATE_TAINTED
        LIBREPLACE_STATE_LEFT
        LIBREPLACE_STATE_FOR_GOOD
        LIBREPLACE_STATE_ORPHANED

    cdef enum libreplace_flag:
        LIBREPLACE_ALLOW_ROOT
        LIBREPLACE_ALLOW_PROCESS
        LIBREPLACE_ABORT_UNLESS_RESTORED
        LIBREPLACE_ALLOW_IO_URING

    cdef enum libreplace_resolve:
        LIBREPLACE_RESOLVE_NO_XDEV
        LIBREPLACE_RESOLVE_NO_MAGICLINKS
        LIBREPLACE_RESOLVE_NO_SYMLINKS
        LIBREPLACE_RESOLVE_BENEATH
        LIBREPLACE_RESOLVE_IN_ROOT
        LIBREPLACE_RESOLVE_CACHED

    cdef enum libreplace_ring_kind:
        LIBREPLACE_RING_OPEN
        LIBREPLACE_RING_STAT
        LIBREPLACE_RING_MKDIR
        LIBREPLACE_RING_UNLINK
        LIBREPLACE_RING_RENAME
        LIBREPLACE_RING_LINK
        LIBREPLACE_RING_SYMLINK

    cdef struct libreplace_ring
    cdef struct libreplace_ring_request

    cdef struct libreplace_identity:
        uid_t uid
        gid_t gid
        size_t size
        const gid_t *groups

    cdef struct libreplace_ids:
        uid_t ruid, euid, suid, fsuid
        gid_t rgid, egid, sgid, fsgid
        size_t size

    cdef struct libreplace_capabilities:
        uint64_t effective, permitted, inheritable, ambient

    cdef struct libreplace_guard:
        size_t room
        int flags
        int step
        int error
        int state
        int changes
        int level
        uint64_t initialized
        uint64_t token, outer_token
        libreplace_guard *outer
        const void *owner
        libreplace_ids before, set
        libreplace_capabilities capabilities
        uint64_t reserved[8]
        gid_t groups[]

    cdef struct libreplace_drop:
        int step
        int error
        int state
        pid_t thread
        uint64_t reserved[8]

    cdef struct libreplace_ring_options:
        unsigned entries, workers, identities
        int flags
        uint64_t reserved[4]

    cdef struct libreplace_ring_call:
        int kind
        int dir_fd
        const char *path
        int flags
        mode_t mode
        uint64_t resolve
        int new_dir_fd
        const char *new_path

    cdef struct libreplace_ring_status:
        uint64_t dev, ino, nlink, rdev, size, blksize, blocks
        int64_t atime, mtime, ctime
        uint32_t atime_nsec, mtime_nsec, ctime_nsec
        uint32_t mode, uid, gid

    cdef struct libreplace_ring_result:
        void *data
        libreplace_ring_request *request
        int value
        libreplace_ring_status status

    int libreplace_version()
    const char *libreplace_build_info(const char *name)
    int libreplace_setuid(uid_t uid)
    int libreplace_seteuid(uid_t euid)
    int libreplace_setreuid(uid_t ruid, uid_t euid)
    int libreplace_setresuid(uid_t ruid, uid_t euid, uid_t suid)
    int libreplace_getresuid(uid_t *ruid, uid_t *euid, uid_t *suid)
    int libreplace_setfsuid(uid_t fsuid)
    int libreplace_getfsuid(uid_t *fsuid)
    int libreplace_setgid(gid_t gid)
    int libreplace_setegid(gid_t egid)
    int libreplace_setregid(gid_t rgid, gid_t egid)
    int libreplace_setresgid(gid_t rgid, gid_t egid, gid_t sgid)
    int libreplace_getresgid(gid_t *rgid, gid_t *egid, gid_t *sgid)
    int libreplace_setfsgid(gid_t fsgid)
    int libreplace_getfsgid(gid_t *fsgid)
    int libreplace_setgroups(size_t size, const gid_t *list)
    int libreplace_initgroups(const char *user, gid_t group)
    int libreplace_getgroups(int size, gid_t *list)
    int libreplace_identity_from_user(libreplace_identity *identity, const char *name, gid_t *groups, size_t room)
    size_t libreplace_sort_groups(gid_t *groups, size_t size)
    int libreplace_identity_has_root(const libreplace_identity *identity)
    const char *libreplace_step_name(int step)
    const char *libreplace_state_name(int state)
    const char *libreplace_level_name(int level)
    int libreplace_guard_init(libreplace_guard *guard, size_t size)
    int libreplace_enter(libreplace_guard *guard, const libreplace_identity *identity, int level)
    int libreplace_check(libreplace_guard *guard)
    int libreplace_leave(libreplace_guard *guard)
    int libreplace_private_fs()
    unsigned libreplace_active()
    int libreplace_main_is_switched()
    unsigned libreplace_depth()
    int libreplace_tainted()
    int libreplace_drop_privileges(const libreplace_identity *identity, int flags, libreplace_drop *result)
    int libreplace_drop_begin()
    void libreplace_drop_end()
    int libreplace_drop_capabilities()
    int libreplace_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve, int regular)
    int libreplace_ring_open(libreplace_ring **ring, const libreplace_ring_options *options)
    int libreplace_ring_fd(const libreplace_ring *ring)
    int libreplace_ring_start(libreplace_ring *ring, const libreplace_identity *identity, const libreplace_ring_call *call, void *data, libreplace_ring_request **request)
    int libreplace_ring_flush(libreplace_ring *ring)
    int libreplace_ring_results(libreplace_ring *ring, libreplace_ring_result *results, int room)
    int libreplace_ring_get_result(libreplace_ring *ring, libreplace_ring_request *request, libreplace_ring_result *result)
    void libreplace_ring_cancel(libreplace_ring *ring, libreplace_ring_request *request)
    int libreplace_ring_close(libreplace_ring *ring)
    # generated: end
