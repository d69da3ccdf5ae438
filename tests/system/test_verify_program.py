# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""libreplace-verify: the same verdicts as `libreplace verify`, its output and status, and that every check can fail."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_proot, report_of, run, tool
from support.children import call_number, needs_root, wait_until
from support.folder_attacker import SWAPS
from test_build import meson
from test_verify_attacked import check_names, check_swap

import replace

BACK_END = replace.report()["verdict"]["backend"]
SETTERS = [call["name"] for call in replace.report()["verdict"]["calls"] if call["kind"] == "setter"]
LEVELS = ["shielded", "effective", "real", "filesystem"]
PER_THREAD = pytest.mark.per_thread


@pytest.fixture(scope="session")
def build(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "b"
    options = ["-Dpython=false", "-Dverify=true", f"-Dcredentials={BACK_END}", "--prefix=/usr", "--werror"]
    for words in (["setup", folder, source, "-Dtests=false", *options], ["compile", "-C", folder]):
        out = meson(*words)
        assert out.returncode == 0, out.stdout + out.stderr
    return folder


@pytest.fixture(scope="session")
def program(build):
    """A copy that every user may run."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(build / "replace" / "verify" / "libreplace-verify", folder)


def statuses(text):
    """TAP -> {name of a check: status}."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(ok|not ok) \d+ - (.*?): ", line)
        if match:
            skipped = " # SKIP " in line
            found[match[2]] = "contradicted" if match[1] == "not ok" else "not run" if skipped else "proved"
    return found


# ---- Places where ids cannot be switched freely

ODD = [sys.executable, ROOT / "tests" / "support" / "odd_machine.py"]
#: The user must be able to read this Python, wherever it is.
READ = "--inh-caps=+dac_read_search{0}", "--ambient-caps=+dac_read_search{0}"
USER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
NEED_PRIVILEGE = {*SETTERS, "round trip uid", "round trip gid", "round trip groups", "wide ids", "libc"}
FILES = {"files by io_uring", "files by threads"}
NEED_PRIVILEGE |= {f"level {name}" for name in LEVELS} | FILES
NEED_SETRESUID = {"no privilege", "round trip uid", "round trip gid", "round trip groups", "wide ids", "seteuid"}
NEED_SETRESUID |= {"setresuid", "libc", *(f"level {name}" for name in LEVELS if name != "filesystem"), *FILES}
KILLED = NEED_SETRESUID | {"level filesystem"}  # nothing shows whether a user loses the capabilities
NEED_SETGROUPS = {"round trip groups", "setgroups", "initgroups", *(f"level {name}" for name in LEVELS), *FILES}
NEED_SETFSUID = {"getters", "setfsuid", *(f"level {name}" for name in LEVELS), *FILES}
ROWS = "0 0 1,1000 1000 1000"
IN_MOUNT = ["unshare", "-m", "sh", "-c"]

#: name -> (the command in front, the checks that are not run there)
PLACES = {
    "root": ([], set()),
    "root with groups": (["setpriv", "--groups=80002,80003,5"], set()),
    "a user": ([*USER, *(word.format("") for word in READ)], NEED_PRIVILEGE),
    "a user with the capabilities": ([*USER, *(word.format(",+setuid,+setgid") for word in READ)], set()),
    "root without CAP_SETGID": (["setpriv", "--bounding-set=-setgid"], NEED_PRIVILEGE),
    "a namespace that maps only root": (["unshare", "--user", "--map-root-user"], NEED_PRIVILEGE),
    "a namespace of 65536 ids": ([*ODD, "maps", "0 0 65536", "0 0 65536"], {"wide ids"}),
    "a namespace of two ranges": ([*ODD, "maps", ROWS, ROWS], {"wide ids", "level shielded", *FILES}),
    "a namespace without setgroups": (
        [*ODD, "maps", "0 0 65536", "0 0 65536", "deny"],
        {"wide ids", *NEED_SETGROUPS},
    ),
    "a namespace of few ids": (
        [*ODD, "maps", "0 0 1,1000 1000 3", "0 0 1,1000 1000 3"],
        NEED_PRIVILEGE,
    ),
    "a process without ids in its namespace": ([*ODD, "maps", "0 100000 65536", "0 100000 65536"], NEED_PRIVILEGE),
    "a server whose setgid does nothing": (
        [*ODD, "filter", "setgid", "false 0", *USER, *(word.format(",+setuid,+setgid") for word in READ)],
        {"setgid"},
    ),
    "a server whose setuid is refused": (
        [*ODD, "filter", "setuid", "EPERM", *USER, *(word.format(",+setuid,+setgid") for word in READ)],
        {"setuid"},
    ),
    "a server whose setresuid is refused": (
        [*USER, *(word.format(",+setuid,+setgid") for word in READ), *ODD, "filter", "setresuid", "EPERM"],
        {"no privilege", *NEED_PRIVILEGE} - {"level filesystem"},
    ),
    "a server whose capset does nothing": (
        [*USER, *(word.format(",+setuid,+setgid") for word in READ), *ODD, "filter", "capset", "false 0"],
        {f"level {name}" for name in LEVELS} | FILES,
    ),
    "a user whose setgroups does nothing": (
        [*ODD, "filter", "setgroups", "false 0", *USER, *(word.format("") for word in READ)],
        {"no privilege", *NEED_PRIVILEGE},
    ),
    "few open files": (
        ["prlimit", "--nofile=8"],
        {"getters", "refusals", "no privilege", "open_beneath", *NEED_PRIVILEGE},
    ),
    "a mount without links": (
        [*IN_MOUNT, 'mount -t tmpfs -o nosymfollow none /var/tmp; export TMPDIR=/var/tmp; exec "$@"', "sh"],
        set(),
    ),
    "a full folder": (
        [*IN_MOUNT, 'mount -t tmpfs -o nr_inodes=3 none /var/tmp; export TMPDIR=/var/tmp; exec "$@"', "sh"],
        {
            "getters",
            "refusals",
            "no privilege",
            "open_beneath",
            "wide ids",
            *SETTERS,
            *(f"level {name}" for name in LEVELS),
            *FILES,
        },
    ),
    "ignored signals": (["env", "--ignore-signal"], set()),
    "blocked signals": (["env", "--block-signal"], set()),
    "kept capabilities": (
        ["setpriv", "--securebits=+no_setuid_fixup"],
        {"round trip uid", "round trip gid", "round trip groups", *(f"level {name}" for name in LEVELS), *FILES},
    ),
    "a traced process": (["strace", "-f", "-o", "/dev/null"], set()),
    "setresuid fails with EPERM": ([*ODD, "filter", "setresuid", "EPERM"], NEED_SETRESUID),
    "setresuid fails with ENOSYS": ([*ODD, "filter", "setresuid", "ENOSYS"], NEED_SETRESUID),
    "setresuid ends the process": ([*ODD, "filter", "setresuid", "KILL_PROCESS"], KILLED),
    "setresuid ends the thread": ([*ODD, "filter", "setresuid", "KILL_THREAD"], KILLED),
    "setgroups fails with EPERM": ([*ODD, "filter", "setgroups", "EPERM"], NEED_SETGROUPS),
    "no io_uring": ([*ODD, "filter", "io_uring_setup", "EPERM"], set()),
    "io_uring ends the process": ([*ODD, "filter", "io_uring_setup", "KILL_PROCESS"], {"files by io_uring"}),
    "setfsuid fails with EPERM": ([*ODD, "filter", "setfsuid", "EPERM"], NEED_SETFSUID),
}


def needs_place(name):
    needs_root()
    prefix, _ = PLACES[name]
    if prefix:
        tool(str(prefix[0]), "runs a command with other credentials")
    if "filter" in prefix:
        call_number(prefix[prefix.index("filter") + 1])
    out = run(*prefix, sys.executable, "-c", "pass", cwd="/")
    if out.returncode:
        pytest.skip(f"needs {name}: {out.stderr.strip()}")
    return prefix


@PER_THREAD
@pytest.mark.parametrize("name", PLACES)
def test_program_skips_only_what_cannot_run_there(program, name):
    prefix, not_run = needs_place(name), PLACES[name][1]
    out = run(*prefix, program, cwd="/")
    found = statuses(out.stdout)
    assert out.returncode == (2 if not_run else 0), out.stdout
    assert {check for check, status in found.items() if status == "not run"} == not_run
    assert "contradicted" not in found.values()


@pytest.mark.parametrize("name", PLACES)
def test_program_and_python_command_give_the_same_verdicts(program, name):
    prefix = needs_place(name)
    ours = run(*prefix, program, cwd="/")
    out = run(*prefix, sys.executable, "-m", "replace", "verify", "--json", cwd="/")
    theirs = {check["name"]: check["status"] for check in json.loads(out.stdout)["checks"]}
    assert list(statuses(ours.stdout).items()) == list(theirs.items()), out.stdout
    assert ours.returncode == out.returncode


@pytest.mark.parametrize(
    ("prefix", "word"),
    [
        (["fakeroot"], "fakeroot replaces libc's calls"),
        (["proot", "-0"], "fakes ids"),
        ([*USER, "proot", "-0"], "fakes ids"),
    ],
    ids=["fakeroot", "proot", "a user in proot"],
)
def test_faked_ids_contradict_nothing(program, prefix, word):
    needs_root()
    if "proot" in prefix:
        needs_proot()
    out = run(tool(prefix[0], "runs a command with other credentials"), *prefix[1:], program, cwd="/")
    assert out.returncode == 2, out.stdout
    assert "contradicted" not in statuses(out.stdout).values()
    if "proot" not in prefix or USER[0] in prefix:
        assert word in out.stdout


def test_missing_folder_is_replaced_by_another(program):
    needs_root()
    assert run(program, env={"TMPDIR": "/dev/null"}, cwd="/").returncode == 0


def test_idmapped_mount_contradicts_nothing(program, tmp_path):
    needs_root()
    tmp_path.chmod(0o777)
    out = run(*ODD, "idmapped", tmp_path, "0 0 70000", program, cwd="/")
    if "OSError" in out.stderr:
        pytest.skip("needs idmapped mounts: " + out.stderr.strip().splitlines()[-1])
    assert out.returncode == 2, out.stdout
    assert "contradicted" not in statuses(out.stdout).values()
    assert "user 80001 cannot make a file in the temporary folder" in out.stdout


# ---- Output, options and exit status


def test_output_is_tap_with_every_check_in_order(program):
    needs_root()
    out = run(program, cwd="/")
    lines = out.stdout.splitlines()
    assert lines[0] == "TAP version 14"
    assert [line.split(" - ")[0] for line in lines[2:]] == [f"ok {n}" for n in range(1, int(lines[1][3:]) + 1)]
    levels = [*(f"level {name}" for name in LEVELS), *sorted(FILES)] if replace.SCOPE == "thread" else []
    first = ["verdict", "getters", "refusals", "no privilege", "open_beneath"]
    trips = ["round trip uid", "round trip gid", "round trip groups", "wide ids"]
    assert list(statuses(out.stdout)) == [*first, *trips, *SETTERS, *levels, "libc"]


def test_program_explains_its_options_and_refuses_others(program):
    out = run(program, "--help")
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.startswith("usage: libreplace-verify ")
    out = run(program, "--version")
    assert out.stdout == f"libreplace-verify {replace.__version__} ({BACK_END})\n"
    for word in ("--json", "x", "--not-run-status=1", "--not-run-status=", "--not-run-status=9x"):
        out = run(program, word)
        assert (out.returncode, out.stdout) == (2, "")
        assert word in out.stderr
        assert "--help" in out.stderr


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]], ids=["checks", "help", "version"])
@pytest.mark.parametrize("place", [">&-", ">/dev/full", "| true"], ids=["closed", "full", "broken pipe"])
def test_lost_output_is_an_error(program, place, words):
    if place == "| true" and words:
        return  # a short text fits into the pipe before its reader ends
    command = f'{{ "$0" "$@"; echo $? >&2; }} {place}'
    if place == "| true":  # the pipe's reader has ended before the program starts
        command = f"{{ read -r line < {program}.fifo; {command.split('{ ')[1].split(';')[0]}; echo $? >&2; }} | "
        command += f"{{ exec 0<&-; echo > {program}.fifo; }}"
        os.mkfifo(f"{program}.fifo")
    try:
        out = subprocess.run(["sh", "-c", command, program, *words], capture_output=True, text=True, check=False)
    finally:
        Path(f"{program}.fifo").unlink(missing_ok=True)
    assert "cannot write the output" in out.stderr
    assert out.stderr.splitlines()[-1] == "74"


def test_no_file_remains_after_the_checks_or_an_interrupt(program, tmp_path):
    tmp_path.chmod(0o777)
    run(program, env={"TMPDIR": str(tmp_path)}, cwd="/")
    assert list(tmp_path.iterdir()) == []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nobody reads the pipe: the program waits as soon as the pipe is full
        read, write = os.pipe()
        os.set_blocking(write, False)
        with open(write, "wb", 0) as end:
            while end.write(b"x" * 4096):
                pass
            os.set_blocking(end.fileno(), True)
            child = subprocess.Popen([program], stdout=end, env={**os.environ, "TMPDIR": str(tmp_path)}, cwd="/")
        try:
            wait_until(lambda: list(tmp_path.iterdir()), "the folder")
            wait_until(lambda p=child.pid: " S " in Path(f"/proc/{p}/stat").read_text(), "the program to wait")
            child.send_signal(number)
            assert child.wait(60) == -number
        finally:
            child.kill()
            child.wait()
            os.close(read)
        assert list(tmp_path.iterdir()) == []


def test_names_that_a_user_makes_in_time_do_not_contradict(program, tmp_path):
    check_names(tmp_path, program)


@pytest.mark.parametrize("swap", SWAPS)
def test_user_who_swaps_the_folder_changes_nothing_of_root(program, tmp_path, swap):
    check_swap(tmp_path, swap, program)


def test_control_characters_do_not_reach_the_terminal(program):
    out = run(program, "--\x1b[2J\n\x9b")
    assert out.returncode == 2
    assert out.stderr == r"libreplace-verify: unknown option --\x1b[2J\x0a\xc2\x9b; try --help" + "\n"


def test_first_process_of_a_container_ends_after_a_signal(program):
    """The kernel ignores a signal that the first process of a PID namespace sends to itself."""
    needs_root()
    read, write = os.pipe()
    command = [tool("unshare", "makes namespaces"), "-pf", "--kill-child", "--mount-proc", program]
    with open(write, "wb", 0) as end:
        os.set_blocking(write, False)
        while end.write(b"x" * 4096):
            pass
        os.set_blocking(write, True)
        child = subprocess.Popen(command, stdout=end, cwd="/")
    try:
        task = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        wait_until(lambda: task.read_text(), "the program")
        first = int(task.read_text())
        wait_until(lambda: " S " in Path(f"/proc/{first}/stat").read_text(), "the program to wait")
        wait_until(
            lambda: program.encode() in Path(f"/proc/{first}/cmdline").read_bytes()[:200], "the program to start"
        )
        os.kill(first, signal.SIGTERM)
        assert child.wait(60) == 128 + signal.SIGTERM
    finally:
        child.kill()
        child.wait()
        os.close(read)


def test_ignored_signal_stays_ignored(program):
    needs_root()
    script = f'trap "" HUP; {program} > /dev/null & kill -HUP $!; wait $!'
    assert run("sh", "-c", script, cwd="/").returncode == 0


# ---- The build


def test_meson_test_runs_the_program_and_knows_a_skip(build):
    out = meson("test", "-C", build, "verify")
    assert out.returncode == 0, out.stdout
    assert re.search(r"verify +OK", out.stdout), out.stdout
    needs_root()
    wrapper = " ".join([tool("setpriv", "drops capabilities"), "--bounding-set=-setuid,-setgid"])
    out = meson("test", "-C", build, "verify", "--wrapper", wrapper)
    assert out.returncode == 0, out.stdout
    assert re.search(r"verify +SKIP", out.stdout), out.stdout


def test_python_build_refuses_the_program(source, tmp_path):
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", "-Dverify=true")
    assert out.returncode != 0
    assert "-Dverify=true needs -Dpython=false" in out.stdout


def test_program_needs_no_shared_libreplace(source, tmp_path):
    options = ["-Dpython=false", "-Dverify=true", "-Ddefault_library=shared"]
    for words in (["setup", tmp_path / "b", source, "-Dtests=false", *options], ["compile", "-C", tmp_path / "b"]):
        out = meson(*words)
        assert out.returncode == 0, out.stdout + out.stderr
    out = run(tool("readelf", "lists needed libraries"), "-d", tmp_path / "b" / "replace/verify/libreplace-verify")
    assert "(NEEDED)" in out.stdout
    assert "libreplace" not in out.stdout
    assert report_of(tmp_path / "b")["verdict"]["scope"] in ("thread", "process")


def test_subproject_installs_no_program(source, tmp_path):
    parent = tmp_path / "parent"
    shutil.copytree(source, parent / "subprojects" / "libreplace", ignore=shutil.ignore_patterns(".git"))
    options = "['python=false', 'verify=true']"
    (parent / "meson.build").write_text(f"project('p', 'c')\nsubproject('libreplace', default_options: {options})\n")
    out = meson("setup", tmp_path / "b", parent)
    assert out.returncode == 0, out.stdout
    plan = json.loads(meson("introspect", "--install-plan", tmp_path / "b").stdout)
    assert not any(plan.values())
    assert any("verify" in test["name"] for test in json.loads(meson("introspect", "--tests", tmp_path / "b").stdout))


# ---- Wrong libraries. Each one replaces a function, by the linker's option --wrap.

ENTER = "int WRONG(struct libreplace_guard *g, const struct libreplace_identity *i, int l)"
LEAVE = "int WRONG(struct libreplace_guard *g)"
ONE, TWO, THREE = "int WRONG(uid_t id)", "int WRONG(uid_t r, uid_t e)", "int WRONG(uid_t r, uid_t e, uid_t s)"
LIST = "int WRONG(size_t n, const gid_t *l)"
START = "int WRONG(struct libreplace_ring *r, const struct libreplace_identity *i, "
START += "const struct libreplace_ring_call *c, void *d, struct libreplace_ring_request **q)"
RING = "int WRONG(struct libreplace_ring **r, const struct libreplace_ring_options *o)"
OPEN = "int WRONG(int d, const char *p, int f, mode_t m, uint64_t resolve, int regular)"

#: check -> wrong functions that it must notice: (function, C code, in which RIGHT is the function of the library)
WRONG = {
    "verdict": [("build_info", 'const char *WRONG(const char *n) { return n ? "elsewhere" : RIGHT(n); }')],
    "getters": [
        ("getresuid", "int WRONG(uid_t *r, uid_t *e, uid_t *s) { int n = RIGHT(r, e, s); ++*s; return n; }"),
        ("getfsgid", "int WRONG(gid_t *g) { *g = 7; return 0; }"),
        ("getgroups", "int WRONG(int n, gid_t *l) { abort(); }"),
    ],
    "refusals": [
        ("setuid", ONE + "{ return id == (uid_t)-1 ? 0 : RIGHT(id); }"),
        ("setegid", ONE + "{ errno = EPERM; return id == (uid_t)-1 ? -1 : RIGHT(id); }"),
    ],
    "no privilege": [("seteuid", ONE + "{ RIGHT(id); return 0; }")],
    "open_beneath": [("open_beneath", OPEN + "{ return openat(d, p, f | O_NONBLOCK, m); }")],
    "round trip uid": [
        ("setresuid", THREE + "{ return r + e + s ? RIGHT(r, e, s) : 0; }"),
        ("setreuid", TWO + "{ return 0; }"),
    ],
    "round trip gid": [("setresgid", THREE + "{ return RIGHT(r, e, -1); }")],
    "round trip groups": [
        ("setgroups", LIST + "{ return RIGHT(n > 1000 ? 1000 : n, l); }"),
        ("setgroups", LIST + "{ RIGHT(n, l); return 0; }"),
    ],
    "wide ids": [
        ("seteuid", ONE + "{ return RIGHT(id & 0xffff); }"),
        ("setegid", ONE + "{ return RIGHT(id & 0x7fffffff); }"),
    ],
    # calls that change the whole process
    "setuid": [("setuid", ONE + "{ return setuid(id); }")],
    "seteuid": [("seteuid", ONE + "{ return seteuid(id); }")],
    "setreuid": [("setreuid", TWO + "{ return setreuid(r, e); }")],
    "setresuid": [("setresuid", THREE + "{ return setresuid(r, e, s); }")],
    "setgid": [("setgid", ONE + "{ return setgid(id); }")],
    "setegid": [("setegid", ONE + "{ return setegid(id); }")],
    "setregid": [("setregid", TWO + "{ return setregid(r, e); }")],
    "setresgid": [("setresgid", THREE + "{ return setresgid(r, e, s); }")],
    "setgroups": [("setgroups", LIST + "{ return setgroups(n, l); }")],
    "initgroups": [("initgroups", "int WRONG(const char *u, gid_t g) { return initgroups(u, g); }")],
    # libc's calls of these also change one thread
    "setfsuid": [("setfsuid", ONE + "{ return id == (uid_t)-1 ? RIGHT(id) : 0; }")],
    "setfsgid": [("setfsgid", ONE + "{ return RIGHT(id - 1); }")],
    "level shielded": [
        ("enter", ENTER + "{ return RIGHT(g, i, l == LIBREPLACE_LEVEL_SHIELDED ? LIBREPLACE_LEVEL_REAL : l); }")
    ],
    "level effective": [("enter", ENTER + "{ int n = RIGHT(g, i, l); raise_effective(-1); return n; }")],
    "level real": [("leave", LEAVE + "{ g->state = LIBREPLACE_STATE_LEFT; return 0; }")],
    "level filesystem": [
        ("leave", LEAVE + "{ int n = RIGHT(g); libreplace_drop_capabilities(); return n; }"),
        ("enter", ENTER + "{ int n = RIGHT(g, i, l); seteuid(i->uid); return n; }"),
        # CAP_MKNOD
        (
            "enter",
            ENTER
            + "{ int n = RIGHT(g, i, l); if (l == LIBREPLACE_LEVEL_FILESYSTEM) raise_effective(1 << 27); return n; }",
        ),
    ],
    "files by io_uring": [
        ("ring_start", START + "{ struct libreplace_identity o = *i; o.gid += 1; return RIGHT(r, &o, c, d, q); }"),
        ("ring_start", START + "{ struct libreplace_ring_call o = *c; o.resolve = 0; return RIGHT(r, i, &o, d, q); }"),
        ("ring_open", RING + "{ errno = EPERM; return -1; }"),
        ("ring_open", RING + "{ int n = RIGHT(r, o); seteuid(80001); return n; }"),
    ],
    "files by threads": [
        ("open_beneath", OPEN + "{ return RIGHT(d, p, f, m, 0, 0); }"),
        ("enter", ENTER + "{ struct libreplace_identity o = *i; o.uid = 80001; return RIGHT(g, &o, l); }"),
    ],
    "libc": [("libc's seteuid", ONE + "{ return libreplace_seteuid(id); }")],
}
HELPERS = """
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <libreplace/replace.h>
static void raise_effective(unsigned mask)
{
	struct { unsigned version; int pid; } header = {0x20080522, 0};
	unsigned sets[6];
	syscall(SYS_capget, &header, sets);
	sets[0] |= sets[1] & mask;
	syscall(SYS_capset, &header, sets);
}
void *unused = raise_effective;
"""


@pytest.fixture(scope="session")
def link(build, tmp_path_factory):
    """link(function, code): the program with a wrong function."""
    folder = tmp_path_factory.mktemp("wrong")
    objects = sorted((build / "replace" / "verify" / "libreplace-verify.p").glob("*.o"))
    assert len(objects) >= 10

    def make(name, code):
        function = name.removeprefix("libc's ") if name.startswith("libc") else f"libreplace_{name}"
        text = code.replace("WRONG", f"__wrap_{function}").replace("RIGHT", f"__real_{function}")
        head = text[: text.index("{")].replace("__wrap_", "__real_")
        (folder / "wrong.c").write_text(f"{HELPERS}\n{head};\n{text}\n")
        command = [tool("cc", "links the wrong programs"), "-D_GNU_SOURCE", f"-I{build}/replace/core"]
        command += [f"-I{ROOT}/replace/core", f"-Wl,--wrap={function}", folder / "wrong.c", *objects]
        out = run(*command, build / "replace" / "libreplace.a", "-pthread", "-o", folder / "wrong")
        assert out.returncode == 0, out.stderr
        return folder / "wrong"

    return make


CASES = [(check, number) for check, functions in WRONG.items() for number in range(len(functions))]


@PER_THREAD
@pytest.mark.parametrize(("check", "number"), CASES, ids=[f"{check}-{number}" for check, number in CASES])
def test_each_check_notices_a_wrong_library(link, check, number):
    needs_root()
    out = run(link(*WRONG[check][number]), cwd="/")
    assert statuses(out.stdout)[check] == "contradicted", out.stdout
    assert out.returncode == 1
    block = re.search(rf"^not ok \d+ - {check}: .*\n  ---\n  message: (.*)\n  \.\.\.$", out.stdout, re.M)
    assert json.loads(block[1])


@PER_THREAD
@pytest.mark.parametrize(
    ("check", "name", "code"),
    [
        ("getters", "getresuid", "int WRONG(uid_t *r, uid_t *e, uid_t *s) { errno = ENOSYS; return -1; }"),
        ("refusals", "setuid", ONE + "{ errno = ENOSYS; return -1; }"),
        ("no privilege", "setresgid", THREE + "{ errno = ENOSYS; return -1; }"),
    ],
)
def test_missing_call_is_noticed_without_privilege(link, program, check, name, code):
    """A call that the build has must not fail with ENOSYS, unless the kernel's does."""
    needs_root()
    wrong = shutil.copy(link(name, code), Path(program).parent / "wrong")
    out = run(*USER, wrong, cwd="/")
    assert out.returncode == 1
    assert statuses(out.stdout)[check] == "contradicted", out.stdout


@PER_THREAD
def test_wrong_libraries_cover_every_check(program):
    needs_root()
    assert set(WRONG) == set(statuses(run(program, cwd="/").stdout))
