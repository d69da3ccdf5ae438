# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
# The cffi module that the build makes: the whole C library, as libreplace/replace.h declares it.
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import Buffer

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_Data = Any  # cffi's objects for C data: pointers, structs, arrays

class _Lib:
    """The functions and constants of the C library, under their C names."""

    # generated: begin library
    LIBREPLACE_VERSION: _Data
    LIBREPLACE_VERSION_NUMBER: int
    LIBREPLACE_THREAD_SCOPE: int
    LIBREPLACE_BACKEND: _Data
    LIBREPLACE_SHIELD_UID: int
    LIBREPLACE_LEVEL_SHIELDED: int
    LIBREPLACE_LEVEL_EFFECTIVE: int
    LIBREPLACE_LEVEL_REAL: int
    LIBREPLACE_LEVEL_FILESYSTEM: int
    LIBREPLACE_STEP_NONE: int
    LIBREPLACE_STEP_REFUSED: int
    LIBREPLACE_STEP_READ: int
    LIBREPLACE_STEP_PRIVILEGE: int
    LIBREPLACE_STEP_GROUPS: int
    LIBREPLACE_STEP_GID: int
    LIBREPLACE_STEP_UID: int
    LIBREPLACE_STEP_VERIFY: int
    LIBREPLACE_STEP_CAPABILITIES: int
    LIBREPLACE_STEP_FOUND: int
    LIBREPLACE_STEP_ORDER: int
    LIBREPLACE_STEP_FORKED: int
    LIBREPLACE_STEP_RETURN: int
    LIBREPLACE_STEP_THREADS: int
    LIBREPLACE_STEP_IO_URING: int
    LIBREPLACE_STEP_ROOT_AGAIN: int
    LIBREPLACE_STEP_KEYRING: int
    LIBREPLACE_STATE_IDLE: int
    LIBREPLACE_STATE_ENTERED: int
    LIBREPLACE_STATE_ROLLED_BACK: int
    LIBREPLACE_STATE_TAINTED: int
    LIBREPLACE_STATE_LEFT: int
    LIBREPLACE_STATE_FOR_GOOD: int
    LIBREPLACE_STATE_ORPHANED: int
    LIBREPLACE_ALLOW_ROOT: int
    LIBREPLACE_ALLOW_PROCESS: int
    LIBREPLACE_ABORT_UNLESS_RESTORED: int
    LIBREPLACE_ALLOW_IO_URING: int
    LIBREPLACE_RESOLVE_NO_XDEV: int
    LIBREPLACE_RESOLVE_NO_MAGICLINKS: int
    LIBREPLACE_RESOLVE_NO_SYMLINKS: int
    LIBREPLACE_RESOLVE_BENEATH: int
    LIBREPLACE_RESOLVE_IN_ROOT: int
    LIBREPLACE_RESOLVE_CACHED: int
    LIBREPLACE_RING_OPEN: int
    LIBREPLACE_RING_STAT: int
    LIBREPLACE_RING_MKDIR: int
    LIBREPLACE_RING_UNLINK: int
    LIBREPLACE_RING_RENAME: int
    LIBREPLACE_RING_LINK: int
    LIBREPLACE_RING_SYMLINK: int
    def libreplace_version(self) -> int:
        """The version of the library that the program runs with

        LIBREPLACE_VERSION_NUMBER is the version of the headers that the program was compiled with. With
        the shared library, the two can differ. If this function returns a smaller number, the library
        may lack functions and fixes that the headers promise.

        Return: the version as a number, in the form of LIBREPLACE_VERSION_NUMBER. As text, the same
        version is libreplace_build_info("version").
        """

    def libreplace_build_info(self, name: _Data, /) -> _Data:
        """One fact about the build, or all facts
        @name:  "version", "backend" (syscall or libc), "scope" (thread or process), "system" or
                "libc"; NULL for all facts, each as a line name=value

        Return: a constant string; NULL for an unknown name. Later versions may add names.
        """

    def libreplace_setuid(self, uid: int, /) -> int:
        """Set the effective user ID; with CAP_SETUID, also the real and saved user ID. EPERM: an
        id is not one of the thread's ids, and the thread lacks CAP_SETUID. EINVAL: an id is -1
        (here it never means "unchanged"), or is not mapped in this user namespace. ENOSYS: this
        system has no such call.

        Return: 0, or -1 with errno set.
        Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
        setreuid(); kernel/sys.c.
        """

    def libreplace_seteuid(self, euid: int, /) -> int:
        """Set the effective user ID only. EPERM: an id is not one of the thread's ids, and the
        thread lacks CAP_SETUID. EINVAL: an id is -1 (here it never means "unchanged"), or is
        not mapped in this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
        setreuid(); kernel/sys.c.
        """

    def libreplace_setreuid(self, ruid: int, euid: int, /) -> int:
        """Set the real and effective user ID. -1 leaves an id unchanged. EPERM: an id is not one
        of the thread's ids, and the thread lacks CAP_SETUID. EINVAL: an id is not mapped in
        this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
        setreuid(); kernel/sys.c.
        """

    def libreplace_setresuid(self, ruid: int, euid: int, suid: int, /) -> int:
        """Set the real, effective and saved user ID. -1 leaves an id unchanged. EPERM: an id is
        not one of the thread's ids, and the thread lacks CAP_SETUID. EINVAL: an id is not
        mapped in this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
        setreuid(); kernel/sys.c.
        """

    def libreplace_getresuid(self, ruid: _Data, euid: _Data, suid: _Data, /) -> int:
        """Read the real, effective and saved user ID of the calling thread. EFAULT: a pointer is
        invalid. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: getresuid(2); kernel/sys.c.
        """

    def libreplace_setfsuid(self, fsuid: int, /) -> int:
        """Set the file system user ID, which the kernel uses to check file access. The kernel
        reports no error, so a second call verifies the result. EPERM: the kernel kept another
        id (the thread has no privilege, the id is not mapped, or a filter refuses the call).
        EINVAL: the id is -1. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setfsuid(2); kernel/sys.c.
        """

    def libreplace_getfsuid(self, fsuid: _Data, /) -> int:
        """Read the file system user ID, which the kernel uses to check file access. If setfsuid(2)
        gives no clear answer, for example because a seccomp filter refuses it, the owner of a
        new pipe gives the answer. EPERM: a filter refuses both setfsuid(2) and pipe2(2).
        EMFILE: the process has too many open files for the pipe. ENOSYS: this system has no
        such call.

        Return: 0, or -1 with errno set.
        Source: setfsuid(2), which returns the present id if its argument is -1; fs/pipe.c.
        """

    def libreplace_setgid(self, gid: int, /) -> int:
        """Set the effective group ID; with CAP_SETGID, also the real and saved group ID. EPERM: an
        id is not one of the thread's ids, and the thread lacks CAP_SETGID. EINVAL: an id is -1
        (here it never means "unchanged"), or is not mapped in this user namespace. ENOSYS: this
        system has no such call.

        Return: 0, or -1 with errno set.
        Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
        setregid(); kernel/sys.c.
        """

    def libreplace_setegid(self, egid: int, /) -> int:
        """Set the effective group ID only. EPERM: an id is not one of the thread's ids, and the
        thread lacks CAP_SETGID. EINVAL: an id is -1 (here it never means "unchanged"), or is
        not mapped in this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
        setregid(); kernel/sys.c.
        """

    def libreplace_setregid(self, rgid: int, egid: int, /) -> int:
        """Set the real and effective group ID. -1 leaves an id unchanged. EPERM: an id is not one
        of the thread's ids, and the thread lacks CAP_SETGID. EINVAL: an id is not mapped in
        this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
        setregid(); kernel/sys.c.
        """

    def libreplace_setresgid(self, rgid: int, egid: int, sgid: int, /) -> int:
        """Set the real, effective and saved group ID. -1 leaves an id unchanged. EPERM: an id is
        not one of the thread's ids, and the thread lacks CAP_SETGID. EINVAL: an id is not
        mapped in this user namespace. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
        setregid(); kernel/sys.c.
        """

    def libreplace_getresgid(self, rgid: _Data, egid: _Data, sgid: _Data, /) -> int:
        """Read the real, effective and saved group ID of the calling thread. EFAULT: a pointer is
        invalid. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: getresgid(2); kernel/sys.c.
        """

    def libreplace_setfsgid(self, fsgid: int, /) -> int:
        """Set the file system group ID, which the kernel uses to check file access. The kernel
        reports no error, so a second call verifies the result. EPERM: the kernel kept another
        id (the thread has no privilege, the id is not mapped, or a filter refuses the call).
        EINVAL: the id is -1. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setfsgid(2); kernel/sys.c.
        """

    def libreplace_getfsgid(self, fsgid: _Data, /) -> int:
        """Read the file system group ID, which the kernel uses to check file access. If
        setfsgid(2) gives no clear answer, for example because a seccomp filter refuses it, the
        owner of a new pipe gives the answer. EPERM: a filter refuses both setfsgid(2) and
        pipe2(2). EMFILE: the process has too many open files for the pipe. ENOSYS: this system
        has no such call.

        Return: 0, or -1 with errno set.
        Source: setfsgid(2), which returns the present id if its argument is -1; fs/pipe.c.
        """

    def libreplace_setgroups(self, size: int, list: _Data, /) -> int:
        """Set the supplementary groups. list has size ids, 0 to NGROUPS_MAX. EPERM: the thread
        lacks CAP_SETGID, or this user namespace denies setgroups. EINVAL: a group is -1 or is
        not mapped in this user namespace, or there are too many groups. EFAULT: a pointer is
        invalid. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: setgroups(2); kernel/groups.c.
        """

    def libreplace_initgroups(self, user: _Data, group: int, /) -> int:
        """Set the supplementary groups to those of a user in the group database, plus one group.
        The look-up comes first; one setgroups() call follows. EPERM: the thread lacks
        CAP_SETGID, or this user namespace denies setgroups. EINVAL: a group is -1 or is not
        mapped in this user namespace, or there are too many groups. ENOMEM: there is no memory
        for the list. ENOSYS: this system has no such call.

        Return: 0, or -1 with errno set.
        Source: initgroups(3), getgrouplist(3).
        """

    def libreplace_getgroups(self, size: int, list: _Data, /) -> int:
        """Read the supplementary groups. list has room for size ids. With size 0, the call only
        counts the groups. EINVAL: size is smaller than the number of groups, and not 0. ENOSYS:
        this system has no such call.

        Return: the number of groups, or -1 with errno set.
        Source: getgroups(2); POSIX.1-2024 getgroups().
        """

    def libreplace_identity_from_user(self, identity: _Data, name: _Data, groups: _Data, room: int, /) -> int:
        """Look up a user in the user and group databases
        @identity:  where to store the identity; its groups are those in @groups
        @name:  the user's name
        @groups:    storage for the groups; it must stay valid as long as the identity
        @room:  number of groups that fit into @groups

        The groups are those that the group database lists for the user, and the user's primary group,
        in ascending order and without duplicates. The look-up may wait for the network, and may allocate
        memory, start threads and open sockets: call it before libreplace_enter(). If one of several
        sources of groups does not answer, libc does not report this, and the groups of that source are
        missing.

        Return: 0, or -1 with errno set. Any errno that is not listed comes from the databases:

        - ENOENT: there is no such user
        - ERANGE: the groups do not fit. @identity->size is the room to try next; it may be larger than
          necessary. The other members are not set
        - EINVAL: an id of the user, or one of the groups, is -1
        - ENOMEM: there is no memory for the user's entry
        - ENOSYS: this system cannot list the groups of a user (getgrouplist(3))

        Source: getpwnam_r(3), getgrouplist(3).
        """

    def libreplace_sort_groups(self, groups: _Data, size: int, /) -> int:
        """Sort a list of groups and remove the duplicates
        @groups:    the list; it is changed
        @size:  number of groups in the list

        An identity needs its groups in this form. Allocates no memory.

        Return: the number of groups that remain.
        """

    def libreplace_identity_has_root(self, identity: _Data, /) -> int:
        """Tell whether an identity has user ID 0, group ID 0 or group 0
        @identity:  its groups must be in ascending order

        Return: 1 or 0.
        """

    def libreplace_step_name(self, step: int, /) -> _Data:
        """A step in words, for messages
        @step:  enum libreplace_step

        Return: a constant string, such as "setting the uid"; "unknown" for any other number.
        """

    def libreplace_state_name(self, state: int, /) -> _Data:
        """A state in words, for messages
        @state: enum libreplace_state

        Return: a constant string, such as "rolled back"; "unknown" for any other number.
        """

    def libreplace_level_name(self, level: int, /) -> _Data:
        """A level in words: its name in Python
        @level: enum libreplace_level

        Return: a constant string, such as "shielded"; "unknown" for any other number.
        """

    def libreplace_guard_init(self, guard: _Data, size: int, /) -> int:
        """Prepare a guard for its first entry
        @guard: the storage
        @size:  size of the storage in bytes, such as sizeof of the variable that LIBREPLACE_GUARD()
                declares; the room for groups follows from it

        Do not call it while the guard is held, and not for the first time in a signal handler: the first
        call in a process installs a fork handler.

        Return: 0, or -1 with errno EINVAL if @size is too small for a guard, or ENOMEM if the fork
        handler could not be installed.
        """

    def libreplace_enter(self, guard: _Data, identity: _Data, level: int, /) -> int:
        """Act as another user in the calling thread
        @guard: storage for the entry; it must stay valid until libreplace_leave()
        @identity:  the user to act as; it is copied
        @level: which ids change, see enum libreplace_level

        Reads the thread's ids and sets the groups, the group IDs and the user IDs, in this order. Skips
        each step that would change nothing. Then reads the ids and the capabilities again and compares
        them. If a step fails, the ids are rolled back.

        Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the step is
        LIBREPLACE_STEP_REFUSED, nothing was changed and errno says why:

        - ENOTRECOVERABLE: the thread is tainted
        - EBUSY: the process is between libreplace_drop_begin() and libreplace_drop_end(); or a signal
          handler interrupted libreplace_enter(), libreplace_check() or libreplace_leave(); or @guard is
          held already or is the one of the interrupted function, which leaves the guard as it is
        - EINVAL: an id is -1, the groups are not in ascending order, the level does not exist, @guard
          has a flag that does not exist or is only for another function, or @guard was not prepared by
          libreplace_guard_init()
        - EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set
        - ENOSYS: a switch changes every thread, and LIBREPLACE_ALLOW_PROCESS is not set
        - ENOTSUP: LIBREPLACE_ALLOW_PROCESS is set, but the process has more than one thread, or the
          number of threads cannot be determined
        - EOVERFLOW: LIBREPLACE_LEVEL_SHIELDED needs an id that no user has, and the user namespace maps
          no such id; choose another level

        If the step is LIBREPLACE_STEP_RETURN, the thread could not return, nothing was changed, and
        errno says why:

        - EPERM: from the new ids, the kernel would not let the thread set its present ids or groups
          again, or it would clear the thread's permitted capabilities
        - EACCES: the thread could not set its present inheritable or ambient capabilities again, because
          the bounding set lacks one of them, or because of the securebit SECBIT_NO_CAP_AMBIENT_RAISE
        - EOVERFLOW: the user namespace does not map one of the thread's present ids or groups

        LIBREPLACE_STEP_CAPABILITIES with EPERM means that the thread would keep root's capabilities, for
        example because of the securebit SECBIT_NO_SETUID_FIXUP. LIBREPLACE_STEP_READ with ENOBUFS means
        that @guard->room is too small.

        LIBREPLACE_LEVEL_FILESYSTEM fails with ENOSYS on systems without file system ids, and under
        uid_wrapper(1), which does not imitate them.

        Source: credentials(7), capabilities(7), kernel/sys.c.
        """

    def libreplace_check(self, guard: _Data, /) -> int:
        """Check that the calling thread still has the ids that its entry set
        @guard: the entry

        Reads the ids, the groups and the capabilities. Changes nothing but the guard. Use it in a thread
        that holds an identity for longer than one task. If it finds a difference, libreplace_leave()
        reports that difference too.

        Return: 0, or -1 with errno, @guard->step and @guard->error set. If nothing is entered, errno is
        ESRCH and the guard is not changed. If another thread entered, errno is EPERM and the guard is
        not changed. In a signal handler that interrupted a function of this file, errno is EBUSY and the
        guard is not changed. The step is one of:

        - LIBREPLACE_STEP_FOUND: the thread has other ids (file system ids included) or other groups
        - LIBREPLACE_STEP_CAPABILITIES: the thread has other capabilities
        - LIBREPLACE_STEP_ORDER: another thread tried to leave the entry, or an inner entry is still
          held; libreplace_leave() does not report such an inner entry
        - LIBREPLACE_STEP_READ: reading failed
        - LIBREPLACE_STEP_FORKED: this is a child that was forked under the identity
        """

    def libreplace_leave(self, guard: _Data, /) -> int:
        """Restore the ids that the calling thread had on entry
        @guard: the entry

        Does nothing if nothing is entered. If another thread entered, or if an inner entry is still
        held, it changes no id and taints the calling thread. If another thread entered, errno is EPERM,
        and nothing in @guard changes but the state, which becomes LIBREPLACE_STATE_ORPHANED.

        Return: 0, or -1 with errno, @guard->step, @guard->error and @guard->state set. If the state is
        LIBREPLACE_STATE_LEFT, the ids are restored, and the step says what was wrong before, as
        libreplace_check() does. This function itself compares only the ids and groups: if code inside
        the entry may change capabilities, call libreplace_check() before. If the state is
        LIBREPLACE_STATE_TAINTED, the ids or capabilities are not restored, and the step says which step
        of restoring failed. In a signal handler that interrupted a function of this
        file, errno is EBUSY and the guard is not changed.
        """

    def libreplace_private_fs(self) -> int:
        """Give the calling thread its own working directory and umask

        The thread no longer shares them with other threads. This cannot be undone. The main thread
        cannot do it.

        Return: 0, or -1 with errno: EINVAL (this is the main thread), ENOSYS (this system has no such
        call) or EPERM (a seccomp filter forbids it).

        Source: unshare(2), CLONE_FS.
        """

    def libreplace_active(self) -> int:
        """Count the switched threads of this process

        A thread that ends while it is switched is counted until none of the program's code can run in
        it. The kernel is asked about each switched thread.

        Return: the number of threads that hold at least one entry.
        """

    def libreplace_main_is_switched(self) -> int:
        """Tell whether the main thread holds an entry

        A thread that the main thread starts meanwhile inherits the identity, but holds no entry. Its ids
        are those of the main thread, so they do not show this. A pool should start no workers then.

        Return: 1 or 0. On kernels other than Linux, 0.
        """

    def libreplace_depth(self) -> int:
        """Count the entries that the calling thread holds

        Return: the number of entries; 0 if the thread is not switched.
        """

    def libreplace_tainted(self) -> int:
        """Tell whether the calling thread is tainted

        A thread is tainted after its ids could not be restored. It is also tainted after it tried to
        leave an entry of another thread, or an entry with an inner entry that was still held. It refuses
        every further entry until it ends. A thread is also tainted while one of its entries has
        LIBREPLACE_STATE_ORPHANED; it can still leave the entry.

        Return: 1 or 0.
        """

    def libreplace_drop_privileges(self, identity: _Data, flags: int, result: _Data, /) -> int:
        """Become another user for good, in all threads of the process
        @identity:  the user that the process becomes
        @flags: LIBREPLACE_ALLOW_ROOT and LIBREPLACE_ALLOW_IO_URING, or 0; see enum libreplace_flag
        @result:    what failed, and what the process is now; may be NULL

        First looks for reasons to refuse. Then sets the groups, the group IDs and the user IDs with
        libc's calls, and drops the capabilities of the calling thread. Then reads the credentials of
        all threads from the kernel, and tries to become root again. If the effective and another user ID
        are 0, it first sets only the effective one and looks at all threads, which shows who would not
        become the user. If a step fails, the ids are rolled back. While this function runs, no thread
        can enter an identity. It allocates memory.

        The calling thread gets a new session keyring, unless the kernel has no keyrings or a filter
        refuses keyctl(2). A roll-back does not restore the old one.

        Return: 0, or -1 with errno and @result set. In these cases, nothing was changed:

        - LIBREPLACE_STEP_REFUSED, EINVAL: an id is -1, the groups are not in ascending order, or a flag
          is not one of the two
        - LIBREPLACE_STEP_REFUSED, EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set
        - LIBREPLACE_STEP_REFUSED, EBUSY: a thread is switched or tainted, or another drop is under way
        - LIBREPLACE_STEP_READ: /proc does not show the threads of this process; mount it. EAGAIN:
          threads start and end too fast for a list of them; try again
        - LIBREPLACE_STEP_THREADS: @result->thread has other ids or other effective capabilities than
          another thread, so libc would abort the process
        - LIBREPLACE_STEP_CAPABILITIES: @result->thread has capabilities that it would keep, and that
          only it can drop; drop privileges before you start threads. Inheritable capabilities count. If
          the state is LIBREPLACE_STATE_ROLLED_BACK, the thread has SECBIT_NO_SETUID_FIXUP
        - LIBREPLACE_STEP_IO_URING: @result->thread has an open io_uring, or is a thread that the kernel
          runs for one. A ring can keep the old credentials and use them after the drop. Close all rings,
          or drop privileges before you create one, or set LIBREPLACE_ALLOW_IO_URING. If the process has
          a ring of libreplace_ring_open(), @result->thread is 0, and the flag does not help

        With LIBREPLACE_STEP_VERIFY, @result->thread has not become the user. If the state is
        LIBREPLACE_STATE_TAINTED, the thread is another one than the calling thread, and the ids are
        right, then it has SECBIT_KEEP_CAPS and the calling thread has not: only the last step shows this
        bit. Only Linux threads can differ, so the other systems need no /proc.

        Other threads keep their session keyring. No call can read or change it from outside.

        A ring is not found if it has neither a descriptor in this process nor a thread of its own:
        a ring that is only registered or mapped, or whose descriptor another process has. Other threads
        must not create a ring during the call.

        Source: credentials(7), capabilities(7), setresuid(2), io_uring_register(2).
        """

    def libreplace_drop_begin(self) -> int:
        """Keep every thread from entering

        Call it before you call a process-wide function of libc, such as setresuid(2), and call
        libreplace_drop_end() after it. If a thread were switched during such a call, libc would abort
        the process or make that thread root again.

        Return: 0, or -1 with errno EBUSY: a thread is switched, or another drop is under way.
        """

    def libreplace_drop_end(self) -> None:
        """Let threads enter again"""

    def libreplace_drop_capabilities(self) -> int:
        """Drop all capabilities of the calling thread for good

        Empties the effective, permitted and inheritable sets. This empties the ambient set, too. Does
        nothing on a system without capabilities.

        Return: 0, or -1 with errno set.

        Source: capset(2), capabilities(7).
        """

    def libreplace_open_beneath(
        self, dir_fd: int, path: _Data, flags: int, mode: int, resolve: int, regular: int, /
    ) -> int:
        """Open a file below a folder by a path that a client sent
        @dir_fd:    descriptor of the folder; AT_FDCWD is the working directory
        @path:  the path, relative to the folder
        @flags: flags of open(2); O_CLOEXEC and O_NOCTTY are always added
        @mode:  permissions of a new file; ignored without O_CREAT and O_TMPFILE
        @resolve:   enum libreplace_resolve, combined. For a path that a client sent, use
                LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS. Without
                LIBREPLACE_RESOLVE_BENEATH or LIBREPLACE_RESOLVE_IN_ROOT the path may lead anywhere
        @regular:   1: open only a regular file, or with O_DIRECTORY a folder. 0: open any kind of file

        Works in every thread, switched or not; the kernel checks the permissions of the calling thread.
        If the kernel cannot do what @resolve asks, the call fails. No weaker method is tried.

        If @regular is 1, the call does not block. It opens the file with O_NONBLOCK and looks at its
        kind. It closes a file of another kind, and removes O_NONBLOCK unless @flags has it. So a device
        is opened and closed, with all effects that this has on the device. If another process holds a
        lease on the file (F_SETLEASE), the call fails with EAGAIN. With O_PATH, which opens nothing, the
        kind is checked in the same way.

        Return: a file descriptor, or -1 with errno set to one of these, or to another error of open(2):

        - EXDEV: the path leads out of the folder
        - ELOOP: a magic link, or another link that @resolve or O_NOFOLLOW forbids
        - ENXIO: @regular is 1, and the file is a FIFO, a socket or a device
        - EISDIR: @regular is 1, the file is a folder, and @flags has no O_DIRECTORY
        - EAGAIN: each of 17 attempts failed because a file or folder somewhere was renamed at the same
          time, or because another process holds a lease on the file
        - ENOSYS: Linux before 5.6, another system, a seccomp filter that refuses openat2(2), or a build
          whose headers had no SYS_openat2
        - EINVAL: unknown flags, or flags that contradict each other

        Source: openat2(2), open(2), fs/open.c, fs/namei.c.
        """

    def libreplace_ring_open(self, ring: _Data, options: _Data, /) -> int:
        """Make a ring
        @ring:  where to store it
        @options:   how to make it; NULL means the usual values

        Only the thread that makes the ring may use it. While a ring exists,
        libreplace_drop_privileges() refuses: the ring keeps the credentials of users. A forked child has
        no ring. The fork handler of the library closes its copies of the descriptors, and each function
        but libreplace_ring_close() fails there with EOWNERDEAD.

        The kernel is asked once, here, whether it has each thing that a ring needs. A later error is the
        error of a request and never means that something is missing.

        Return: 0, or -1 with errno set:

        - ENOSYS: the kernel has no io_uring, or a seccomp filter hides it; or this build has no support
        - EPERM: the sysctl kernel.io_uring_disabled, a seccomp filter or a security module forbids
          io_uring; or the calling thread has no capabilities, so it could not become another user
        - EOPNOTSUPP: the kernel is older than Linux 5.15, or lacks one of the operations
        - EBUSY: the calling thread is switched or tainted, or the process drops its privileges
        - EINVAL: an option is out of range or unknown
        - ENOMEM, EMFILE, ENFILE: there is no memory or no descriptor

        Source: io_uring(7), io_uring_setup(2), io_uring_register(2).
        """

    def libreplace_ring_fd(self, ring: _Data, /) -> int:
        """Get the descriptor to wait on
        @ring:  the ring

        It is an eventfd(2) that is readable when there are results. libreplace_ring_results() reads it.

        Return: the descriptor.
        """

    def libreplace_ring_start(self, ring: _Data, identity: _Data, call: _Data, data: _Data, request: _Data, /) -> int:
        """Add a request
        @ring:  the ring
        @identity:  the user who makes the request
        @call:  what to do; it is copied, with its paths
        @data:  a value for the result
        @request:   where to store a handle for libreplace_ring_cancel(); may be NULL. It is valid until
            the result is returned or the request is cancelled

        The first request of a user takes about 0.1 ms longer: a new thread becomes the user for good,
        without capabilities unless it is root, verifies it, stores its credentials in the ring, and
        ends. Its real and saved user ID are those of LIBREPLACE_LEVEL_SHIELDED, so the user cannot
        signal it.

        The kernel gets the request with the next libreplace_ring_flush(). If it has no room, the request
        waits.

        Return: 0, or -1 with errno set, and then there will be no result:

        - EINVAL: the kind, the flags of a kind other than LIBREPLACE_RING_OPEN, or the identity is wrong
        - EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set; or the calling thread is
          not the one that made the ring
        - EBUSY: the calling thread is switched or tainted, or the process drops its privileges
        - ESHUTDOWN: libreplace_ring_close() was called
        - EOWNERDEAD: this is a forked child
        - ENOMEM, EAGAIN: there is no memory, or no new thread
        - EDQUOT: the server may not have another key, although the ring has forgotten users without
          requests; each user in the ring needs one, see keyrings(7)
        - another errno, if the new thread could not become the user; see libreplace_enter()
        """

    def libreplace_ring_flush(self, ring: _Data, /) -> int:
        """Give the kernel the requests that were added
        @ring:  the ring

        One call for many requests costs less than one call for each. Requests that cannot block are done
        when this function returns.

        If the kernel has no memory, the requests wait, and libreplace_ring_fd() becomes readable.

        Return: 0, or -1 with errno EPERM or EOWNERDEAD as for libreplace_ring_start(). Another errno of
        io_uring_enter(2) means that the ring cannot be used any more.
        """

    def libreplace_ring_results(self, ring: _Data, results: _Data, room: int, /) -> int:
        """Get the results of requests
        @ring:  the ring
        @results:   where to store them
        @room:  number of results that fit

        Requests that waited for others are given to the kernel, too. The function does not wait.

        Return: the number of results stored. If it is @room, call the function again. If it is -1, errno
        is EPERM or EOWNERDEAD as for libreplace_ring_start().
        """

    def libreplace_ring_get_result(self, ring: _Data, request: _Data, result: _Data, /) -> int:
        """Get the result of one request, if it is there
        @ring:  the ring
        @request:   the handle
        @result:    where to store the result

        Gives the kernel all requests that were added, as libreplace_ring_flush() does. Most requests to
        open an existing file are then done, and need no turn of the event loop. If results of other
        requests are there, libreplace_ring_fd() becomes readable.

        Return: 1, or 0 if the request is not done yet. -1 with errno as for libreplace_ring_flush().
        """

    def libreplace_ring_cancel(self, ring: _Data, request: _Data, /) -> None:
        """Stop a request and forget it
        @ring:  the ring
        @request:   the handle

        There will be no result. The kernel is told to stop, and a file that it has opened is closed.
        Other effects may have happened or may still happen. Call libreplace_ring_flush() afterwards.
        """

    def libreplace_ring_close(self, ring: _Data, /) -> int:
        """Stop all requests and free the ring
        @ring:  the ring; may be NULL

        Does not wait: call the function again while it fails with EAGAIN, for example when
        libreplace_ring_fd() is readable, but at least every 10 ms. After 0 is returned, the ring is
        freed, no request of it is under way, and the kernel has ended its workers. If the calling thread
        has another ring, or the kernel is old, idle workers may stay longer than a second; the function
        then returns 0, too.

        Return: 0, or -1 with errno EAGAIN, or EPERM if the calling thread is not the one that made the
        ring.
        """

    # generated: end

class _FFI:
    """cffi's object for C types, memory and casts: https://cffi.readthedocs.io/en/stable/ref.html."""

    CData: type[Any]
    CType: type[Any]
    NULL: _Data
    RTLD_DEEPBIND: int
    RTLD_GLOBAL: int
    RTLD_LAZY: int
    RTLD_LOCAL: int
    RTLD_NODELETE: int
    RTLD_NOLOAD: int
    RTLD_NOW: int
    buffer: type[Any]
    errno: int
    error: type[Exception]
    def addressof(self, cdata: _Data, /, *fields: str | int) -> _Data: ...
    def alignof(self, cdecl: str | _Data) -> int: ...
    def callback(
        self,
        cdecl: str | _Data,
        python_callable: Callable[..., Any] | None = None,
        error: Any = ...,
        onerror: Any = None,
    ) -> Any: ...
    def cast(self, cdecl: str | _Data, value: Any) -> _Data: ...
    def def_extern(self, name: str = ..., error: Any = ..., onerror: Any = None) -> Callable[[_F], _F]: ...
    def dlclose(self, lib: Any, /) -> None: ...
    def dlopen(self, libpath: str | _Data | None, flags: int = 0, /) -> Any: ...
    def from_buffer(
        self, cdecl: str | _Data | Buffer, python_buffer: Buffer = ..., require_writable: bool = False
    ) -> _Data: ...
    def from_handle(self, x: _Data, /) -> Any: ...
    def gc(self, cdata: _Data, destructor: Callable[[_Data], Any] | None, size: int = 0) -> _Data: ...
    def getctype(self, cdecl: str | _Data, replace_with: str = "") -> str: ...
    def init_once(self, func: Callable[[], _T], tag: object) -> _T: ...
    def integer_const(self, name: str) -> int: ...
    def list_types(self) -> tuple[list[str], list[str], list[str]]: ...
    def memmove(self, dest: _Data | Buffer, src: _Data | Buffer, n: int) -> None: ...
    def new(self, cdecl: str | _Data, init: Any = None) -> _Data: ...
    def new_allocator(
        self,
        alloc: Callable[[int], _Data] | None = None,
        free: Callable[[_Data], Any] | None = None,
        should_clear_after_alloc: bool = True,
    ) -> Callable[..., _Data]: ...
    def new_handle(self, x: object, /) -> _Data: ...
    def offsetof(self, cdecl: str | _Data, field: str | int, /, *fields: str | int) -> int: ...
    def release(self, cdata: _Data, /) -> None: ...
    def sizeof(self, cdecl: str | _Data, /) -> int: ...
    def string(self, cdata: _Data, maxlen: int = -1) -> bytes | str: ...
    def typeof(self, cdecl: str | _Data, /) -> Any: ...
    def unpack(self, cdata: _Data, length: int) -> Any: ...

lib: _Lib
ffi: _FFI
