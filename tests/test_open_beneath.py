# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""open_beneath() with real names, links, FIFOs and devices, as the server and as users."""

import contextlib
import errno
import fcntl
import inspect
import os
import re
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import golden
import pytest
from support.builds import ROOT, run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LEVELS,
    as_root,
    call_number,
    held_elsewhere,
    in_child,
    install_filter,
    raises_audit_events,
    wait_until,
)
from support.peers import other_process

import replace
from replace import Resolve, ffi, impersonate, lib, open_beneath
from replace._native import O_PATH

SAFE = Resolve.BENEATH | Resolve.NO_MAGICLINKS
O_TMPFILE = getattr(os, "O_TMPFILE", 0o20000000 | os.O_DIRECTORY)  # PyPy lacks the name


@pytest.fixture(autouse=True)
def _skip_without_openat2():
    if sys.platform != "linux":
        pytest.skip("needs Linux: other systems have no openat2()")
    question = next(q for q in replace.report()["questions"] if q["id"] == "libreplace_sys_openat2")
    if question["answer"] != "yes":
        pytest.skip("needs a build with SYS_openat2 in the kernel headers (Linux 5.6)")


@pytest.fixture
def place(folder):
    """The descriptor of a folder with one file of each type. All users may write to the folder."""
    os.fchmod(folder, 0o777)
    put(folder, "file", b"of the server", 0o644)
    put(folder, "closed", b"of the server alone", 0o600)
    os.mkdir("dir", dir_fd=folder)
    os.symlink("file", "link", dir_fd=folder)
    os.symlink("..", "out", dir_fd=folder)
    os.symlink("/etc/passwd", "passwd", dir_fd=folder)
    os.mkfifo("fifo", 0o666, dir_fd=folder)
    os.chmod("fifo", 0o666, dir_fd=folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/socket")
    with contextlib.suppress(PermissionError):  # only root outside of containers may make a device
        os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3), dir_fd=folder)
    return folder


def put(folder, name, data, mode=0o600):
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
    os.write(descriptor, data)
    os.close(descriptor)


def content(descriptor):
    with open(descriptor, "rb") as file:
        return file.read()


def flags_of(descriptor):
    """Return the access mode and the status flags of a descriptor, and close it."""
    try:
        assert not os.get_inheritable(descriptor)
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | O_PATH)
    finally:
        os.close(descriptor)


def descriptors():
    with os.scandir("/proc/self/fd") as names:
        return sorted(entry.name for entry in names)


def refused(number, *arguments, **options):
    """Check that open_beneath() fails with this errno, names the file and leaves no descriptor."""
    before = descriptors()
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught:
        open_beneath(*arguments, **options)
    assert caught.value.errno == number
    assert caught.value.filename == arguments[1]
    assert descriptors() == before


# ---- Files and flags


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize(
    "flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR, os.O_RDONLY | os.O_NONBLOCK, O_PATH], ids=hex
)
@pytest.mark.parametrize("name", ["file", "link", "./dir/../file", b"file", Path("file")], ids=repr)
def test_regular_file_has_the_requested_flags(place, name, flags, regular):
    assert flags_of(open_beneath(place, name, flags, regular=regular)) == flags


@pytest.mark.parametrize("name", ["two\nlines", " ", "-", "\udcff", "ä", "*", "a" * 255, "..."], ids=ascii)
def test_unusual_name_reaches_the_kernel_unchanged(place, name):
    os.close(open_beneath(place, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    assert name in os.listdir(place)
    refused(errno.EEXIST, place, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def test_too_long_name_fails_with_enametoolong(place):
    os.close(open_beneath(place, "./" * 2040 + "file", os.O_RDONLY))
    refused(errno.ENAMETOOLONG, place, "./" * 2050 + "file", os.O_RDONLY)
    refused(errno.ENAMETOOLONG, place, "a" * 256, os.O_RDONLY)


def test_new_file_has_the_requested_mode(place):
    def body():
        os.umask(0o027)

        def mode(name, flags, *arguments):
            descriptor = open_beneath(place, name, os.O_WRONLY | flags, *arguments)
            found = os.fstat(descriptor).st_mode
            assert flags_of(descriptor) == os.O_WRONLY
            return oct(found)

        assert mode("default", os.O_CREAT) == oct(stat.S_IFREG | 0o600)
        assert mode("new", os.O_CREAT | os.O_EXCL, 0o666) == oct(stat.S_IFREG | 0o640)
        assert mode("new", os.O_CREAT | os.O_TRUNC, 0o777) == oct(stat.S_IFREG | 0o640)
        assert mode("new", 0, 0o7777) == oct(stat.S_IFREG | 0o640)
        assert mode("new", 0, -1) == oct(stat.S_IFREG | 0o640)
        refused(errno.EEXIST, place, "link", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        refused(errno.EXDEV, place, "out/new", os.O_WRONLY | os.O_CREAT)
        refused(errno.EINVAL, place, "newer", os.O_WRONLY | os.O_CREAT, -1)
        refused(errno.EINVAL, place, "newer", os.O_WRONLY | os.O_CREAT, 0o10000)
        assert "newer" not in os.listdir(place)

    in_child(body)


def test_tmpfile_is_created_without_a_name(place):
    try:
        descriptor = open_beneath(place, "dir", os.O_RDWR | O_TMPFILE, 0o604)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("needs a file system with O_TMPFILE")
    assert oct(os.fstat(descriptor).st_mode) == oct(stat.S_IFREG | 0o604)
    assert flags_of(descriptor) == os.O_RDWR


def test_file_of_more_than_4_gib_is_read_and_written(place):
    """On 32-bit systems, open(2) refuses it without O_LARGEFILE."""
    end = 5 * 2**30
    for regular in (True, False):
        descriptor = open_beneath(place, "file", os.O_RDWR, regular=regular)
        try:
            assert os.pwrite(descriptor, b"end", end) == 3
            assert os.pread(descriptor, 3, end) == b"end"
            assert os.fstat(descriptor).st_size == end + 3
        finally:
            os.close(descriptor)


def test_file_is_truncated_and_appended_to(place):
    os.close(open_beneath(place, "file", os.O_WRONLY | os.O_TRUNC))
    for word in (b"one ", b"two"):
        descriptor = open_beneath(place, "file", os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, word)
        os.close(descriptor)
    assert content(open_beneath(place, "file", os.O_RDONLY)) == b"one two"


# ---- Where a name leads


@pytest.mark.parametrize(
    "name", ["..", "dir/../..", "/", "/etc/passwd", "//etc/passwd", "out", "out/x", "passwd", "dir/../../etc"]
)
@pytest.mark.parametrize("flags", [os.O_RDONLY, O_PATH, os.O_WRONLY | os.O_CREAT], ids=hex)
@pytest.mark.parametrize("regular", [True, False])
def test_name_that_leads_out_fails_with_exdev(place, name, flags, regular):
    refused(errno.EXDEV, place, name, flags, regular=regular)


def test_link_swapped_by_another_process_never_leads_out(place, tmp_path):
    """Another process repeatedly swaps a folder with a symbolic link that leads out."""
    put(place, "dir/file", b"inside")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"outside")
    os.symlink(outside, "trap", dir_fd=place)
    child = os.fork()
    if child == 0:
        try:
            while True:  # until this child is killed
                for old, new in (("dir", "aside"), ("trap", "dir"), ("dir", "trap"), ("aside", "dir")):
                    os.rename(old, new, src_dir_fd=place, dst_dir_fd=place)
        finally:
            os._exit(1)
    plain, found = set(), set()

    def attempt(name):
        with contextlib.suppress(FileNotFoundError):
            plain.add(content(os.open(name, os.O_RDONLY, dir_fd=place)))
        try:
            found.add(content(open_beneath(place, name, os.O_RDONLY)))
        except OSError as error:
            found.add(error.errno)

    try:
        for _ in range(1000):
            attempt("dir/file")
            attempt("dir/../dir/file")
        wait_until(
            lambda: attempt("dir/file") or (plain == {b"inside", b"outside"} and found >= {b"inside", errno.EXDEV})
        )
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert b"outside" in plain, "a plain open() followed the link out"
    assert found <= {b"inside", errno.EXDEV, errno.ENOENT, errno.EAGAIN}


def test_magic_link_of_proc_is_refused(place):
    """A name in /proc leads to a file that the server has open for bob, in a folder that is closed to all users."""

    def body():
        os.mkdir("private", 0o700, dir_fd=place)
        put(place, "private/file", b"of bob", 0o644)
        of_bob = os.open("private/file", os.O_RDONLY, dir_fd=place)
        proc = os.open("/proc", os.O_RDONLY)
        with impersonate(ALICE):
            refused(errno.EACCES, place, "private/file", os.O_RDONLY)
            for name in (f"self/fd/{of_bob}", f"{os.getpid()}/fd/{of_bob}"):
                assert content(os.open(name, os.O_RDONLY, dir_fd=proc)) == b"of bob", "the attack works on plain open()"
                assert content(open_beneath(proc, name, os.O_RDONLY, resolve=0)) == b"of bob"
                for regular in (True, False):
                    refused(errno.ELOOP, proc, name, os.O_RDONLY, regular=regular)
                refused(errno.EXDEV, proc, name, os.O_RDONLY, resolve=Resolve.BENEATH)
                refused(errno.ELOOP, proc, name, os.O_RDONLY, resolve=Resolve.NO_MAGICLINKS)
            refused(errno.ELOOP, proc, "self/cwd/etc/passwd", os.O_RDONLY)
            refused(errno.ELOOP, proc, "self/root", os.O_RDONLY | os.O_DIRECTORY)

    as_root(body)


def test_resolve_flags_act_as_in_openat2(place):
    put(place, "dir/file", b"in the folder")
    for name in ("/dir/file", "out/dir/file", "../../dir/file", "out/../dir/file"):
        assert content(open_beneath(place, name, os.O_RDONLY, resolve=Resolve.IN_ROOT)) == b"in the folder"
    refused(errno.ELOOP, place, "link", os.O_RDONLY, resolve=SAFE | Resolve.NO_SYMLINKS)
    assert content(open_beneath(place, "file", os.O_RDONLY, resolve=SAFE | Resolve.NO_SYMLINKS)) == b"of the server"
    root = os.open("/", os.O_RDONLY)
    try:
        os.close(open_beneath(root, "proc/self/status", os.O_RDONLY))
        refused(errno.EXDEV, root, "proc/self/status", os.O_RDONLY, resolve=SAFE | Resolve.NO_XDEV)
    finally:
        os.close(root)
    for wrong in (Resolve.BENEATH | Resolve.IN_ROOT, 1 << 30, 2**63, 2**64 - 1):
        refused(errno.EINVAL, place, "file", os.O_RDONLY, resolve=wrong)
    refused(errno.EINVAL, place, "file", os.O_RDONLY | 1 << 30)
    refused(errno.EINVAL, place, "file", -(2**31))
    refused(errno.EINVAL, place, "file", O_PATH | os.O_WRONLY)


def test_resolve_flags_equal_the_kernel_header():
    header = Path("/usr/include/linux/openat2.h")
    if not header.exists():
        pytest.skip("needs the kernel's headers (Debian: linux-libc-dev)")
    found = {name: int(number, 0) for name, number in re.findall(r"#define RESOLVE_(\w+)\s+(\w+)", header.read_text())}
    ours = {name: value for name, value in vars(Resolve).items() if name.isupper()}
    assert {name: ours[name] for name in found} == found
    assert {f"LIBREPLACE_RESOLVE_{name}": value for name, value in ours.items()} == {
        name: getattr(lib, name) for name in dir(lib) if name.startswith("LIBREPLACE_RESOLVE_")
    }
    assert inspect.signature(open_beneath).parameters["resolve"].default == SAFE


def test_dir_fd_accepts_only_a_folder_or_the_working_directory(place):
    def body():
        os.fchdir(place)
        assert content(open_beneath(-100, "file", os.O_RDONLY)) == b"of the server", "-100 is AT_FDCWD"
        refused(errno.EXDEV, -100, "../..", os.O_RDONLY)
        refused(errno.EBADF, -1, "file", os.O_RDONLY)
        refused(errno.EBADF, 4000, "file", os.O_RDONLY)
        file = open_beneath(place, "file", os.O_RDONLY)
        refused(errno.ENOTDIR, file, "file", os.O_RDONLY)
        refused(errno.ENOENT, place, "", os.O_RDONLY)
        refused(errno.ENOENT, place, "nothing", os.O_RDONLY)
        by_path = open_beneath(place, "dir", O_PATH | os.O_DIRECTORY)
        put(by_path, "inner", b"deeper")
        assert content(open_beneath(by_path, "inner", os.O_RDONLY)) == b"deeper"
        refused(errno.EXDEV, by_path, "../file", os.O_RDONLY)

    in_child(body)


# ---- Types of files


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, O_PATH, os.O_WRONLY | os.O_CREAT], ids=hex)
@pytest.mark.parametrize("name", ["fifo", "socket", "null"])
def test_fifo_socket_and_device_fail_with_enxio(place, name, flags):
    if name not in os.listdir(place):
        pytest.skip("needs the right to make device nodes")
    refused(errno.ENXIO, place, name, flags)
    refused(errno.ENXIO, place, name, flags | (0 if flags & O_PATH else os.O_NONBLOCK))


def test_fifo_with_an_open_other_end_fails_with_enxio(place):
    with open(os.open("fifo", os.O_RDWR, dir_fd=place), "rb"):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            refused(errno.ENXIO, place, "fifo", flags)
            assert flags_of(open_beneath(place, "fifo", flags, regular=False)) == flags


def test_link_itself_opens_only_with_regular_false(place):
    refused(errno.ELOOP, place, "link", os.O_RDONLY | os.O_NOFOLLOW)
    refused(errno.ELOOP, place, "link", O_PATH | os.O_NOFOLLOW)
    link = open_beneath(place, "link", O_PATH | os.O_NOFOLLOW, regular=False)
    assert os.readlink("", dir_fd=link) == "file"
    os.close(link)


def test_folder_opens_only_with_o_directory_or_regular_false(place):
    for flags in (os.O_RDONLY, O_PATH, os.O_WRONLY, os.O_RDWR | os.O_CREAT):
        refused(errno.EISDIR, place, "dir", flags)
    for flags in (os.O_RDONLY, O_PATH):
        for regular in (True, False):
            assert flags_of(open_beneath(place, "dir", flags | os.O_DIRECTORY, regular=regular)) == flags
    refused(errno.ENOTDIR, place, "file", os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.ENOTDIR, place, "fifo", os.O_RDONLY | os.O_DIRECTORY)
    os.close(open_beneath(place, "dir", os.O_RDONLY, regular=False))


def test_leased_file_fails_with_eagain(place):
    """Another process holds a lease. open_beneath() adds O_NONBLOCK, so the kernel does not wait for that process."""

    def lease():
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        file = os.open("file", os.O_RDWR, dir_fd=place)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    try:
        in_child(lease)
    except OSError:
        pytest.skip("needs a file system with leases")
    with other_process(lease):
        refused(errno.EAGAIN, place, "file", os.O_RDONLY)
    assert content(open_beneath(place, "file", os.O_RDONLY)) == b"of the server"


@pytest.mark.parametrize(("failures", "status"), [(16, 0), (17, errno.EAGAIN)])
def test_openat2_is_tried_at_most_17_times(tmp_path, failures, status):
    code = (
        "import os, sys; from replace import open_beneath; folder = os.open('/etc', os.O_RDONLY)\n"
        "try: open_beneath(folder, 'passwd', os.O_RDONLY)\n"
        "except OSError as error: sys.exit(error.errno)"
    )
    fault = f"inject=openat2:error=EAGAIN:when=1..{failures}"
    strace = [tool("strace", "injects faults"), "-f", "-o", tmp_path / "log", "-e", fault]
    out = run(*strace, sys.executable, "-c", code, cwd="/")
    assert (out.returncode, out.stderr) == (status, "")
    assert (tmp_path / "log").read_text().count("openat2(") == 17


# ---- Identities


@pytest.mark.parametrize("level", LEVELS)
def test_open_beneath_uses_the_identity_of_the_thread(place, level):
    def body():
        os.umask(0o022)
        with impersonate(ALICE, level=level):
            new = open_beneath(place, "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            assert (os.fstat(new).st_uid, os.fstat(new).st_gid) == (ALICE.uid, ALICE.gid)
            os.write(new, b"of alice")
            refused(errno.EACCES, place, "closed", os.O_RDONLY)
            refused(errno.EPERM, place, "file", os.O_RDONLY | os.O_NOATIME)
            refused(errno.ENXIO, place, "fifo", os.O_RDONLY)
            refused(errno.EXDEV, place, "out", os.O_RDONLY)
        with impersonate(BOB, level=level):
            refused(errno.EACCES, place, "new", os.O_RDONLY)
        assert content(open_beneath(place, "new", os.O_RDONLY)) == b"of alice"
        with held_elsewhere(impersonate(BOB, level=level)):
            assert content(open_beneath(place, "closed", os.O_RDONLY)) == b"of the server alone"
        with replace.IdentityExecutor(2, level=level) as pool:
            assert content(pool.submit(ALICE, open_beneath, place, "new", os.O_RDONLY).result()) == b"of alice"
            with pytest.raises(PermissionError):
                pool.submit(BOB, open_beneath, place, "new", os.O_RDONLY).result()

    as_root(body)


def test_fifo_does_not_block_a_worker(place):
    def body():
        with replace.IdentityExecutor(1) as pool:
            pool.submit(ALICE, os.mkfifo, "trap", dir_fd=place).result()
            with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
                pool.submit(ALICE, open_beneath, place, "trap", os.O_RDONLY).result(HANG)
            assert content(pool.submit(ALICE, open_beneath, place, "file", os.O_RDONLY).result()) == b"of the server"

    as_root(body)


# ---- Systems without openat2()


@pytest.mark.parametrize("answer", ["EPERM", "ENOSYS"])
def test_call_refused_by_seccomp_fails_with_enosys(place, answer):
    def body():
        install_filter("openat2", getattr(errno, answer))
        for regular in (True, False):
            refused(errno.ENOSYS, place, "file", os.O_RDONLY, regular=regular)
        os.close(os.open("file", os.O_RDONLY, dir_fd=place))

    in_child(body)


@pytest.mark.parametrize("fault", ["error=ENOSYS", "error=EPERM"])
def test_open_beneath_has_no_weaker_fallback(tmp_path, fault):
    code = (
        "import os, sys; from replace import open_beneath; folder = os.open('/etc', os.O_RDONLY)\n"
        "try: open_beneath(folder, 'no-such-name', os.O_RDONLY)\n"
        "except OSError as error: sys.exit(error.errno)"
    )
    strace = [tool("strace", "injects faults"), "-f", "-o", tmp_path / "log", "-e", f"inject=openat2:{fault}"]
    out = run(*strace, "-e", "trace=%file", sys.executable, "-c", code, cwd="/")
    assert (out.returncode, out.stderr) == (errno.ENOSYS, "")
    calls = [line for line in (tmp_path / "log").read_text().splitlines() if '"no-such-name"' in line]
    assert len(calls) == 1
    assert "openat2(" in calls[0]


NONE = """
#include <errno.h>
#include <libreplace/replace.h>
int main(void)
{
	return libreplace_open_beneath(0, "file", 0, 0, 0, 0) == -1 ? errno : 0;
}
"""


def test_open_beneath_fails_with_enosys_on_other_systems(tmp_path):
    golden.write_headers(golden.GOLDEN / "nothing", tmp_path)
    (tmp_path / "main.c").write_text(NONE)
    core = ROOT / "replace" / "core"
    compiler = [tool("cc", "compiles a program"), "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    sources = [tmp_path / "main.c", core / "open_beneath_none.c"]
    out = run(*compiler, f"-I{tmp_path}", *sources, "-o", tmp_path / "main")
    assert out.returncode == 0, out.stderr
    assert run(tmp_path / "main").returncode == errno.ENOSYS


# ---- The Python function


@pytest.mark.parametrize("wrong", [True, False, 1.0, "1", None, b"1", [1]], ids=repr)
@pytest.mark.parametrize("name", ["dir_fd", "flags", "mode", "resolve"])
def test_argument_that_is_not_an_integer_raises_type_error(place, name, wrong):
    arguments = {"dir_fd": place, "path": "new", "flags": os.O_CREAT, name: wrong}
    with pytest.raises(TypeError, match="integer"):
        open_beneath(**arguments)
    assert "new" not in os.listdir(place)


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, 2**64, -(2**64)])
@pytest.mark.parametrize("name", ["dir_fd", "flags", "mode"])
def test_argument_out_of_range_raises_overflow_error(place, name, wrong):
    with pytest.raises(OverflowError, match=f"{name} is out of range"):
        open_beneath(**{"dir_fd": place, "path": "new", "flags": os.O_CREAT, name: wrong})
    for number in (-1, 2**64):
        with pytest.raises(OverflowError):
            open_beneath(place, "new", os.O_CREAT, resolve=number)
    assert "new" not in os.listdir(place)


def test_invalid_path_raises(place):
    for wrong in (None, 5, 1.0, ["file"], bytearray(b"file")):
        with pytest.raises(TypeError):
            open_beneath(place, wrong, os.O_RDONLY)
    for wrong in ("file\0", b"\0file", "..\0", Path("a\0b")):
        with pytest.raises(ValueError, match="null byte"):
            open_beneath(place, wrong, os.O_RDONLY)


def test_arguments_are_accepted_by_name_and_by_position(place):
    os.close(open_beneath(flags=os.O_RDONLY, path="file", dir_fd=place, mode=0, regular=True, resolve=SAFE))
    for wrong in ((), (place,), (place, "file"), (place, "file", 0, 0, SAFE), (place, "file", 0, 0, SAFE, True)):
        with pytest.raises(TypeError):
            open_beneath(*wrong)
    with pytest.raises(TypeError):
        open_beneath(place, "file", 0, regularly=False)


def test_exception_raised_by_an_argument_is_passed_on(place):
    class Wrong:
        def __index__(self):
            raise LookupError("of the argument")

        def __fspath__(self):
            raise LookupError("of the path")

    for name, text in (("dir_fd", "argument"), ("flags", "argument"), ("mode", "argument"), ("path", "path")):
        with pytest.raises(LookupError, match=text):
            open_beneath(**{"dir_fd": place, "path": "file", "flags": 0, name: Wrong()})
    with pytest.raises(LookupError, match="argument"):
        open_beneath(place, "file", 0, resolve=Wrong())


@raises_audit_events
def test_audit_event_equals_that_of_os_open(place):
    def body():
        seen = []
        sys.addaudithook(lambda event, arguments: seen.append(arguments) if event == "open" else None)
        for name in ("file", b"file", Path("file")):
            flags = os.O_WRONLY | os.O_APPEND
            os.close(os.open(name, flags, dir_fd=place))
            os.close(open_beneath(place, name, flags))
            assert seen[-2] == seen[-1]
            assert len(seen) % 2 == 0

    in_child(body)


def test_audit_hook_can_refuse_a_file(place):
    def body():
        def refuse(event, arguments):
            if event == "open" and arguments[0] == "new":
                raise LookupError("of the hook")

        sys.addaudithook(refuse)
        with pytest.raises(LookupError, match="of the hook"):
            open_beneath(place, "new", os.O_WRONLY | os.O_CREAT)
        assert "new" not in os.listdir(place)

    in_child(body)


def test_c_and_python_fail_with_the_same_errno(place):
    for name, number in (("fifo", errno.ENXIO), ("out", errno.EXDEV), ("dir", errno.EISDIR), ("no", errno.ENOENT)):
        refused(number, place, name, os.O_RDONLY)
        assert lib.libreplace_open_beneath(place, name.encode(), os.O_RDONLY, 0, SAFE, 1) == -1
        assert ffi.errno == number
    assert content(lib.libreplace_open_beneath(place, b"file", os.O_RDONLY, 0, SAFE, 1)) == b"of the server"


def waits_in_the_call(thread):
    """Whether the thread waits in openat2() (proc_pid_syscall(5))."""
    return Path(f"/proc/self/task/{thread}/syscall").read_text().startswith(f"{call_number('openat2')} ")


def test_other_threads_run_while_open_beneath_waits(place):
    """With regular=False, open_beneath() waits for the other end of a FIFO."""
    found, opened = [], threading.Event()

    def work():
        found.append(threading.get_native_id())
        found.append(open_beneath(place, "fifo", os.O_RDONLY, regular=False))
        opened.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: found and waits_in_the_call(found[0]))
        assert not opened.is_set()
    finally:
        os.close(os.open("fifo", os.O_RDWR, dir_fd=place))
        thread.join(HANG)
    assert flags_of(found[1]) == os.O_RDONLY


@pytest.mark.parametrize("raises", [True, False])
def test_signal_handler_runs_while_open_beneath_waits(place, raises):
    """If the handler raises, so does the call. Otherwise the call continues, like os.open() (PEP 475)."""

    def body():
        handled = threading.Event()
        main = threading.get_native_id()

        def handler(number, frame):
            handled.set()
            if raises:
                raise LookupError("of the handler")

        def send_signal():
            wait_until(lambda: waits_in_the_call(main))
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            handled.wait(HANG)
            if not raises:
                wait_until(lambda: waits_in_the_call(main))
                os.close(os.open("fifo", os.O_RDWR, dir_fd=place))

        signal.signal(signal.SIGUSR1, handler)
        before = descriptors()
        thread = threading.Thread(target=send_signal)
        thread.start()
        if raises:
            with pytest.raises(LookupError, match="of the handler"):
                open_beneath(place, "fifo", os.O_RDONLY, regular=False)
        else:
            os.close(open_beneath(place, "fifo", os.O_RDONLY, regular=False))
        thread.join()
        assert handled.is_set()
        assert descriptors() == before

    in_child(body)
