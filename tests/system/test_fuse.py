# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/examples/fuse_mount.py, started by the command of docs/fuse.md: many users use one mount at once.

Each rule that keeps one user from another's files has a control: a copy of the program without this rule.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest
from support import servers
from support.builds import ROOT, run, tool
from support.children import LIBC, call_number, in_child, needs_user_namespace, wait_until
from support.mounted import ENVIRONMENT, Mounted, is_mounted, mount, needs_fuse
from support.servers import IDS, TEAM, owner, serve_all_users, wait_until_clean

import replace

#: Two settings of the example, and what a copy has instead.
LONG = ('"entry_timeout": 0, "attr_timeout": 0', '"entry_timeout": 3600, "attr_timeout": 3600')
NO_CHECK = ('"default_permissions": True, ', "")
ALICE, BOB = (replace.Identity(*IDS[name], [TEAM]) for name in ("alice", "bob"))
AT_FDCWD, RENAME_EXCHANGE, CLONE_NEWPID = -100, 2, 0x20000000


@pytest.fixture(scope="module")
def whole_world():
    with servers.world() as folder:
        yield folder


@pytest.fixture(scope="module")
def mounted(whole_world):
    """The served folder, and where it is mounted."""
    with mount(whole_world, whole_world) as (pid, point):
        yield whole_world, Path(point)
        wait_until_clean(pid)


@pytest.fixture
def folder(whole_world):
    """A small folder to serve: two users have a closed folder in it, and share another one."""
    with tempfile.TemporaryDirectory(prefix="libreplace-served-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for user in ("alice", "bob"):
            (folder / user / "closed" / "inner").mkdir(parents=True)
            (folder / user / "closed" / "file").touch()
            for path in (folder / user, folder / user / "closed", *(folder / user / "closed").iterdir()):
                os.chown(path, *IDS[user])
            (folder / user / "closed").chmod(0o700)
        (folder / "team").mkdir()
        os.chown(folder / "team", 0, TEAM)
        (folder / "team").chmod(0o770)
        yield folder


def tried(function, *arguments):
    """Return the result of a call, or the name of its error."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def in_thread(identity, function, *arguments):
    with replace.impersonate(identity):
        return tried(function, *arguments)


def in_process(identity, function, *arguments):
    """Call the function in a child process that has these ids and groups for good."""

    def body():
        os.setgroups(identity.groups)
        os.setresgid(*[identity.gid] * 3)
        os.setresuid(*[identity.uid] * 3)
        return tried(function, *arguments)

    return in_child(body)


def size(path):
    return os.stat(path).st_size


def test_mount_serves_sixteen_users_at_once(whole_world):
    with mount(whole_world, whole_world) as (pid, point), contextlib.closing(Mounted(point)) as adapter:
        serve_all_users(whole_world, pid, adapter)
        assert wait_until_clean(pid) >= 2, "a thread of libfuse has started another one, and none kept an identity"


@pytest.mark.parametrize("stop", [SIGTERM, SIGINT], ids=lambda number: number.name)
def test_mount_ends_cleanly(whole_world, folder, stop):
    with mount(whole_world, folder, stop) as (_, point):
        assert is_mounted(point)


def test_mount_can_hide_the_folder_that_it_shows(whole_world, folder):
    with mount(whole_world, folder, over=folder):
        assert tried(os.stat, folder / "alice") == "EACCES", "this is the mount: root is refused"
        assert in_thread(ALICE, os.listdir, folder / "alice") == ["closed"]
    assert os.listdir(folder / "alice") == ["closed"]


def test_benchmark_measures_the_program_and_a_copy_with_a_cache(whole_world):
    needs_fuse()
    out = run(sys.executable, ROOT / "tests" / "benchmarks" / "fuse.py", "1", "1", cwd="/")
    rows = re.findall(r"^(.*?) +\d+\.\d +\d+ us : +\d+ us$", out.stdout, re.M)
    assert rows == ["the program", "the program, if it has the groups already"], out.stderr


def test_blocks_of_the_page_are_in_the_example():
    def lines(text):
        return "\n".join(map(str.strip, text.splitlines()))

    example = lines((ROOT / "docs" / "examples" / "fuse_mount.py").read_text())
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "fuse.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        assert lines(block) in example, block


def test_mfusepy_finds_no_operation_that_runs_as_root():
    """It looks for the names of the operations in the object. init() runs before the first request."""
    needs_fuse()
    code = """if True:
        import mfusepy, fuse_mount
        found = [getattr(fuse_mount.Operations, field[0], None) for field in mfusepy.fuse_operations._fields_]
        print(*sorted({function.__qualname__ for function in found if function}))
    """
    out = run(sys.executable, "-c", code, env=ENVIRONMENT, cwd="/")
    assert out.stdout == "Operations.init with_identity.<locals>.wrapped.<locals>.operation\n", out.stderr


def test_server_follows_no_link_below_its_folder(folder):
    """The kernel follows them. The server sees a link only if it has taken the place of a file or folder just now."""
    needs_fuse()
    (folder / "link").symlink_to("alice")
    code = """if True:
        import errno, fuse_mount, os, sys
        operations = fuse_mount.Operations(sys.argv[1])
        for call in (
            lambda: operations._opened("/link", os.O_RDONLY | os.O_DIRECTORY),
            lambda: operations.pinned("/link/closed").__enter__(),
            lambda: operations._parent("/link/closed").__enter__(),
            lambda: fuse_mount.Folder.lstat(operations, "/link/closed"),
        ):
            try: print(call())
            except OSError as error: print(errno.errorcode[error.errno])
    """
    out = run(sys.executable, "-c", code, folder, env=ENVIRONMENT, cwd="/")
    assert out.stdout.split() == ["ELOOP"] * 4, out.stderr


# ---- What one user may learn from the requests of another


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param((LONG, NO_CHECK), 0, id="control"),
        pytest.param((NO_CHECK,), "EACCES", id="time-outs"),
        pytest.param((LONG,), "EACCES", id="default_permissions"),
        pytest.param((), "EACCES", id="both"),
    ],
)
def test_look_up_of_one_user_is_not_answered_to_another(whole_world, folder, changes, found):
    with mount(whole_world, folder, changes=changes) as (_, point):
        file = f"{point}/alice/closed/file"
        assert in_thread(BOB, size, file) == "EACCES"
        assert in_thread(ALICE, size, file) == 0
        assert in_thread(BOB, size, file) == found
        assert in_thread(BOB, os.open, file, os.O_RDONLY) == "EACCES", "the server is asked for each open()"


@pytest.mark.parametrize(("changes", "found"), [((LONG,), 0), ((), "EACCES")], ids=["control", "example"])
def test_right_that_is_withdrawn_beside_the_mount_ends_at_once(whole_world, folder, changes, found):
    with mount(whole_world, folder, changes=changes) as (_, point):
        (folder / "alice" / "closed").chmod(0o755)
        assert in_thread(BOB, size, f"{point}/alice/closed/file") == 0
        (folder / "alice" / "closed").chmod(0o700)
        assert in_thread(BOB, size, f"{point}/alice/closed/file") == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [((("if all(old.file == new.file ", "if all(True "),), b"secret"), ((), "ESTALE")],
    ids=["control", "example"],
)
def test_two_files_of_one_name_do_not_share_the_page_cache(whole_world, folder, changes, found):
    """Bob exchanges the file beside the mount while Alice has it open. Her mapping fills the cache of his file."""

    def create(path, data):
        path.touch(0o600)
        path.write_bytes(data)

    def mapped(path):
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)

    with mount(whole_world, folder, changes=changes) as (_, point), contextlib.ExitStack() as stack:
        in_thread(ALICE, create, folder / "team" / "name", b"secret")
        hers = stack.enter_context(contextlib.closing(in_thread(ALICE, mapped, f"{point}/team/name")))
        in_thread(BOB, os.rename, folder / "team" / "name", folder / "team" / "old")
        in_thread(BOB, create, folder / "team" / "name", b"public")
        his = in_thread(BOB, mapped, f"{point}/team/name")
        assert in_thread(ALICE, bytes, hers) == b"secret"
        if his != "ESTALE":
            his = in_thread(BOB, bytes, stack.enter_context(contextlib.closing(his)))
        assert his == found


@pytest.mark.parametrize(("changes", "found"), [((NO_CHECK,), "ENOENT"), ((), None)], ids=["control", "example"])
def test_refused_look_up_does_not_take_the_working_directory_of_another_user(whole_world, folder, changes, found):
    """If the server refuses a look-up, the kernel forgets the name, also for the user who works there."""

    def body(path):
        assert in_thread(ALICE, os.chdir, path) is None
        assert in_thread(BOB, os.stat, path) == "EACCES"
        length = LIBC.syscall(call_number("getcwd"), ctypes.create_string_buffer(4096), 4096)
        return None if length > 0 else errno.errorcode[ctypes.get_errno()]

    with mount(whole_world, folder, changes=changes) as (_, point):
        assert in_child(body, f"{point}/alice/closed/inner") == found


# ---- Who asks


@pytest.mark.parametrize("ask", [in_thread, in_process])
def test_groups_of_the_process_count_and_not_those_of_the_database(mounted, ask):
    notes = mounted[1] / "shared" / "notes"
    stranger, gid = IDS["heidi"]
    assert ask(ALICE, notes.read_text) == "notes of the team"
    assert ask(replace.Identity(ALICE.uid, ALICE.gid), notes.read_text) == "EACCES", "she has dropped the group"
    assert ask(replace.Identity(stranger, gid), notes.read_text) == "EACCES"
    assert ask(replace.Identity(stranger, gid, [TEAM]), notes.read_text) == "notes of the team"
    assert ask(replace.Identity(stranger, TEAM), notes.read_text) == "notes of the team"


def test_root_is_refused(mounted):
    _, point = mounted
    assert tried(os.stat, point / "alice") == "EACCES"
    assert tried(os.mkdir, point / "shared" / "new") == "EACCES"
    for identity in (replace.Identity(0, 80001), replace.Identity(80001, 0), replace.Identity(80001, 80001, [0])):
        assert in_process(identity, os.listdir, point) == "EACCES"


def test_caller_in_a_user_namespace_is_the_user_outside(mounted):
    """In the namespace, Alice is root, and her other group is shown as 65534. She owns the new files, and no others."""
    world, point = mounted

    def body(options):
        command = 'id -u; touch "$0/alice/$1" "$0/shared/$1"; touch "$0/bob/$1"'
        return run(unshare, *options, "sh", "-c", command, point, options[0])

    needs_user_namespace()
    unshare = tool("unshare", "makes namespaces")
    for options in (["-Ur"], ["-Urpf"]):
        out = in_process(ALICE, body, options)
        assert out.stdout == "0\n"
        assert re.fullmatch(".*/bob/.*Permission denied\n", out.stderr), out.stderr
        assert [owner(world / folder / options[0])[0] for folder in ("alice", "shared")] == [ALICE.uid] * 2


def test_thread_that_makes_the_request_counts_and_not_its_process(mounted):
    """The main thread is first Bob, and then it has ended."""
    world, point = mounted
    program = f"""if True:
        import ctypes, os, sys, threading
        from replace import Identity, impersonate
        def work():
            with impersonate(Identity{IDS["alice"]}):
                for ended in (False, True):
                    while ended and open(f"/proc/{{os.getpid()}}/stat").read().split()[2] != "Z": pass
                    print(open("{point}/alice/secret").read(), flush=True)
                    ask.set()
            os._exit(0)
        ask = threading.Event()
        threading.Thread(target=work).start()
        ask.wait()
        with impersonate(Identity{IDS["bob"]}):
            try: open("{point}/alice/secret")
            except PermissionError: print("refused", flush=True)
        ctypes.CDLL(None).pthread_exit(None)
    """
    assert (world / "alice" / "secret").stat().st_mode & 0o077 == 0
    out = run(sys.executable, "-c", program, cwd="/")
    assert sorted(out.stdout.splitlines()) == ["refused", "secret of alice", "secret of alice"], out.stderr


def test_open_file_keeps_the_rights_of_its_opener(mounted):
    """Alice passes her open files to Bob, through a socket. He can use them, and open no file again."""
    world, point = mounted
    ours, his = socket.socketpair()

    def send():
        path = point / "alice" / "passed"
        path.write_text("passed")
        path.chmod(0o600)
        found = [os.open(path, flags) for flags in (os.O_RDONLY, os.O_RDWR | os.O_APPEND, os.O_PATH)]
        socket.send_fds(ours, [b"x"], found)

    def receive():
        _, (read, append, path), _, _ = socket.recv_fds(his, 1, 3)
        found = {tried(os.open, f"/proc/self/fd/{number}", flags) for number in (read, append, path) for flags in again}
        os.write(append, b"+")
        return found, os.read(read, 10), tried(os.ftruncate, append, 0)

    again = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC)
    with ours, his:
        assert in_process(ALICE, send) is None
        assert in_process(BOB, receive) == ({"EACCES"}, b"passed+", "EACCES")
    assert (world / "alice" / "passed").read_text() == "passed+"


def test_working_directory_below_a_closed_folder_cannot_be_used_by_another_user(whole_world, folder):
    def body(top):
        with replace.impersonate(ALICE):
            os.chdir(f"{top}/alice/closed/inner")
        return in_thread(BOB, os.listdir, ".")

    with mount(whole_world, folder) as (_, point):
        assert in_child(body, folder) == []
        assert in_child(body, point) == "EACCES"


def test_real_ids_of_a_set_user_id_program_are_refused(mounted):
    world, point = mounted

    def body():
        os.setgroups([])
        os.setresuid(ALICE.uid, BOB.uid, 0)
        return [os.access(top / "alice", os.X_OK) for top in (world, point)]

    assert in_child(body) == [True, False]


# ---- Operations


def test_mount_has_no_devices_and_no_set_user_id_programs(mounted):
    _, point = mounted
    (line,) = (line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {point} " in line)
    assert {"nosuid", "nodev"} <= set(line.split()[3].split(","))


def use_everything(top):
    """Use all operations in a new folder; return their results, and what is in the folder afterwards."""
    os.umask(0o027)
    os.mkdir(top, 0o777)
    os.chdir(top)
    Path("file").write_text("12345")
    Path("empty").touch(0o666)
    os.mkdir("folder", 0o777)
    os.symlink("file", "link")
    os.link("file", "hard")
    os.rename("hard", "folder/moved")
    os.truncate("file", 3)
    os.chmod("file", 0o4755)
    found = [stat.filemode(os.stat("file").st_mode), tried(os.rmdir, "folder"), tried(os.unlink, "folder")]
    with open("file", "a") as file, open("file", "a") as other:  # each write appends, and clears the set-user-ID bit
        for text in ("x", "y"):
            print(text, file=file, flush=True)
            print(text, file=other, flush=True)
        os.fsync(file.fileno())
    found += [os.readlink("link"), Path("link").read_text(), Path("folder/moved").read_text()]
    os.remove("folder/moved")
    os.chown("folder", -1, TEAM)
    os.utime("empty", ns=(10**18 + 1, 10**18 + 2))
    found += [os.stat("empty").st_atime_ns, os.stat("empty").st_mtime_ns]
    os.utime("link", ns=(10**18 + 3, 10**18 + 4), follow_symlinks=False)
    os.chown("link", -1, TEAM, follow_symlinks=False)
    found += [os.lstat("link").st_mtime_ns, os.lstat("link").st_gid]
    os.utime("folder")
    found += [os.stat("folder").st_mtime > 10**9, os.statvfs(".").f_blocks, os.access("file", os.W_OK)]
    found += [tried(os.listdir, "missing"), tried(os.chown, "file", 0, -1), tried(os.mkdir, "folder")]
    for path in sorted(Path().rglob("*")):
        entry = path.lstat()
        found.append((str(path), stat.filemode(entry.st_mode), entry.st_uid, entry.st_gid, entry.st_nlink))
    return found


def map_shared(path):
    with open(path, "rb") as file:
        mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ).close()


def test_operations_have_the_results_of_the_local_file_system(mounted):
    world, point = mounted
    through = in_process(ALICE, use_everything, point / "alice" / "through")
    beside = in_process(ALICE, use_everything, world / "alice" / "beside")
    assert through == beside
    assert in_process(ALICE, os.mkfifo, point / "alice" / "fifo") == "ENOSYS"
    assert in_process(ALICE, map_shared, point / "alice" / "through" / "file") == "ENODEV"
    number = (world / "alice" / "through" / "file").stat().st_ino
    assert in_thread(ALICE, lambda: (point / "alice" / "through" / "file").stat().st_ino) == number


def test_touch_changes_one_time_and_keeps_the_other(mounted):
    world, point = mounted

    def body():
        path = point / "alice" / "touched"
        path.touch()
        os.utime(path, ns=(10, 20))
        for option in ("-a", "-m"):
            subprocess.run(["touch", option, "-d", "@100", path], check=True)
            found.append((os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns))
        return found

    found = []
    assert in_process(ALICE, body) == [(100 * 10**9, 20), (100 * 10**9, 100 * 10**9)]


def test_removed_file_can_be_used_until_it_is_closed(mounted):
    world, point = mounted
    name, hidden = point / "shared" / "draft", lambda: list((world / "shared").glob(".fuse_hidden*"))

    def content(descriptor):
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    in_thread(ALICE, name.write_text, "12345")
    descriptor = in_thread(ALICE, os.open, name, os.O_RDONLY)
    try:
        assert in_thread(BOB, os.remove, name) is None
        assert in_thread(ALICE, os.stat, name) == "ENOENT"
        assert in_thread(BOB, name.write_text, "another") == 7
        assert in_thread(ALICE, content, descriptor) == b"12345"
        assert hidden()
    finally:
        os.close(descriptor)
    wait_until(lambda: not hidden(), "libfuse to remove the file")


def test_files_are_opened_and_closed_by_several_threads():
    """Each open() looks at all files that are open. Here, Python changes to another thread as often as it can."""
    needs_fuse()
    code = """if True:
        import concurrent.futures, fuse_mount, os, replace, sys
        def work(identity):
            for _ in range(20):
                with replace.impersonate(identity):
                    handles = [operations._kept("/name", os.open("/", os.O_RDONLY)) for _ in range(100)]
                for handle in handles:
                    operations.release("/name", handle)
        operations = fuse_mount.Operations("/")
        sys.setswitchinterval(1e-6)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(work, [replace.Identity(80001, 80011 + number) for number in range(4)]))
    """
    out = run(sys.executable, "-c", code, env=ENVIRONMENT, cwd="/")
    assert out.returncode == 0, out.stderr


def test_exchange_of_two_files_is_refused(mounted):
    """mfusepy would rename the first to the second, and the second would be lost."""
    top = mounted[1] / "alice"

    def exchange():
        names = [os.fsencode(top / name) for name in ("first", "second")]
        if LIBC.syscall(call_number("renameat2"), AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
            raise OSError(ctypes.get_errno(), "renameat2")

    call_number("renameat2")
    for name in ("first", "second"):
        in_thread(ALICE, (top / name).write_text, name)
    assert in_thread(ALICE, exchange) == "EINVAL"
    assert in_thread(ALICE, lambda: [(top / name).read_text() for name in ("first", "second")]) == ["first", "second"]
