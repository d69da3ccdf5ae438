# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify` on unusual machines: a check is not run if something prevents it; only a wrong build contradicts.

tests/system/test_filters.py tries every call and more filters.
"""

import contextlib
import errno
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from functools import cache

import pytest
from support.builds import ROOT, in_namespaces, needs_proot, run, tool, uid_wrapper
from support.children import IS_PYPY, call_number, change_capabilities, in_child, needs_root, needs_user_namespace
from support.odd_machine import ACTIONS, set_filter

import replace
from replace import _native
from replace._cli import chosen_ids, file_checks, io_uring, level_checks, obstacles

SERVER = 80051  # a user who runs no other process: one test limits their number
ODD = [sys.executable, str(ROOT / "tests" / "support" / "odd_machine.py")]
LEVELS = [f"level {name}" for name in level_checks.LEVELS] if replace.SCOPE == "thread" else []
FILES = [f"files by {backend}" for backend in file_checks.BACK_ENDS] if replace.SCOPE == "thread" else []


def verify(*prefix, env=None):
    """Run the command with these words before it: (exit status, check -> (status, detail)). Nothing may contradict.

    The words before it do not see `env`: a program of another C library cannot load a library that is in LD_PRELOAD.
    """
    needs_root()
    variables = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
    out = run(*prefix, *variables, sys.executable, "-m", "replace", "verify", "--json", cwd="/")
    assert out.stdout, out.stderr
    if not (IS_PYPY and out.stderr == "Warning: cannot find your CPU L2 cache size in /proc/cpuinfo\n"):
        assert not out.stderr
    document = json.loads(out.stdout)
    assert document["exit_status"] == out.returncode
    return out.returncode, {check["name"]: (check["status"], check["detail"]) for check in document["checks"]}


def not_run(*prefix, env=None):
    """Check -> reason, for the checks that are not run. All others must be proved."""
    status, checks = verify(*prefix, env=env)
    found = {name: detail for name, (status, detail) in checks.items() if status == "not run"}
    assert all(result in ("proved", "not run") for result, _ in checks.values()), checks
    assert status == (2 if found else 0)
    return found


@cache
def _needed_to_read():
    """The capabilities that the server needs to read this interpreter: none if everybody can read it."""
    user = [tool("setpriv", "becomes a user"), f"--reuid={SERVER}", "--clear-groups"]
    out = run(*user, sys.executable, "-c", "import replace", cwd="/")
    return [] if out.returncode == 0 else ["dac_read_search"]


def server(capabilities):
    """The words that start a server as an ordinary user with ambient capabilities."""
    needs_root()
    chosen = ",".join("+" + name for name in [*capabilities, *_needed_to_read()])
    options = [f"--inh-caps={chosen}", f"--ambient-caps={chosen}"] if chosen else []
    ids = [f"--reuid={SERVER}", f"--regid={SERVER}", "--clear-groups"]
    return [tool("setpriv", "sets capabilities"), *ids, *options]


# ---- Capabilities


def test_server_with_ambient_capabilities_is_proved():
    assert not_run(*server(["setuid", "setgid"])) == {}


@pytest.mark.parametrize(("has", "lacks"), [("setuid", "CAP_SETGID"), ("setgid", "CAP_SETUID")])
def test_missing_capability_is_named(has, lacks):
    found = not_run(*server([has]))
    assert set(found.values()) == {f"needs {lacks}"}
    assert {"setuid", "setgroups", "libc", *LEVELS, *FILES} <= set(found)
    assert not {"getters", "no privilege"} & set(found)


def test_uid_0_with_few_capabilities_is_judged_by_them():
    needs_root()
    setpriv = tool("setpriv", "drops capabilities")
    assert not_run(setpriv, "--bounding-set=-all,+setuid,+setgid,+dac_read_search") == {}
    found = not_run(setpriv, "--bounding-set=-setuid,-setgid")
    assert set(found.values()) == {"needs CAP_SETUID and CAP_SETGID"}


def test_permitted_but_not_effective_capability_is_named():
    needs_root()

    def body():
        change_capabilities(lambda sets: sets.__setitem__(0, sets[0] & ~(1 << 7)))
        return obstacles.find(-1, "no folder", replace.report()["verdict"]).prevents((obstacles.PRIVILEGE,)).reason

    reason = "needs CAP_SETUID, which this process has as permitted, but not as effective capability"
    assert in_child(body) == reason


def test_root_with_inheritable_capabilities_is_proved():
    needs_root()
    assert not_run(tool("setpriv", "sets capabilities"), "--inh-caps=+setuid,+chown", "--no-new-privs") == {}


def test_securebit_that_keeps_capabilities_is_an_obstacle():
    needs_root()
    found = not_run(tool("setpriv", "sets securebits"), "--securebits=+no_setuid_fixup")
    reason = "a user keeps root's capabilities here: the securebit no_setuid_fixup is set"
    assert found == dict.fromkeys(
        [*(f"round trip {kind}" for kind in ("uid", "gid", "groups")), *LEVELS, *FILES], reason
    )


def test_thread_that_cannot_return_to_its_ids_is_an_obstacle():
    needs_root()
    found = not_run(tool("setpriv", "sets ids"), "--ruid=1000")
    assert set(found) == {*FILES, *(set(LEVELS) & {"level shielded", "level real"})}
    assert all("a thread with the user IDs (1000, 0, 0) cannot return to them" in reason for reason in found.values())


def test_every_level_has_a_check():
    assert set(level_checks.LEVELS) == set(_native.LEVELS)


# ---- Ids from the map


def test_rootless_container_is_proved_but_for_wide_ids():
    needs_root()
    needs_user_namespace()
    found = not_run(*ODD, "maps", "0 0 65536", "0 0 65536")
    assert found == {"wide ids": "no id above 65535 is mapped in this user namespace"}


def test_map_of_one_id_is_an_obstacle():
    needs_root()
    needs_user_namespace()
    found = not_run(*ODD, "maps", "0 0 1", "0 0 1")
    assert set(found.values()) == {"this user namespace maps too few ids for user, group, other, high"}


def test_denied_setgroups_prevents_only_checks_that_set_groups():
    needs_root()
    needs_user_namespace()
    found = not_run(*ODD, "maps", "0 0 4294967295", "0 0 4294967295", "deny")
    reason = "setgroups is denied in this user namespace"
    assert found == dict.fromkeys(["round trip groups", "setgroups", "initgroups", *LEVELS, *FILES], reason)


@pytest.mark.parametrize(
    ("uids", "gids", "own", "chosen", "missing"),
    [
        ("", "", {0}, (80001, 80002, 80003, 2**31 + 80001), []),
        ("0 0 4294967295", "0 0 4294967295", {0}, (80001, 80002, 80003, 2**31 + 80001), []),
        ("0 100000 65536", "0 100000 65536", {0}, (65533, 65532, 65531, 65530), []),
        ("0 100000 65536", "0 100000 65536", {65533, 65531}, (65532, 65530, 65529, 65528), []),
        ("0 0 4294967295", "0 0 4294967295", {80001, 80003}, (2**32 - 4, 80002, 2**32 - 5, 2**31 + 80001), []),
        ("0 0 1", "0 0 1", {0}, (80001, 80002, 80003, 2**31 + 80001), ["user", "group", "other", "high"]),
        ("0 0 5", "0 0 5", {0}, (4, 3, 2, 1), []),
        ("0 0 1\n1000 0 10\n70000 0 3", "0 0 1\n1005 0 9", {0}, (70002, 1013, 1009, 1012), []),
        ("0 0 65536", "0 0 3", {0}, (65533, 2, 1, 2**31 + 80001), ["high"]),
        ("0 0 1\n1000 0 10", "0 0 1\n2000 0 10", {0}, (1009, 2009, 80003, 2008), ["other"]),
    ],
)
def test_ids_come_from_the_map(uids, gids, own, chosen, missing, monkeypatch):
    monkeypatch.setattr(chosen_ids, "text_of", {"/proc/self/uid_map": uids, "/proc/self/gid_map": gids}.get)
    monkeypatch.setattr(chosen_ids, "_own_ids", lambda: own)
    assert chosen_ids.choose() == (chosen, missing)


def test_wide_ids_and_long_lists_come_from_the_map(monkeypatch):
    maps = {"/proc/self/uid_map": "0 0 4294967295", "/proc/self/gid_map": "0 0 80002"}
    monkeypatch.setattr(chosen_ids, "text_of", maps.get)
    assert chosen_ids.wide() == [65536, 80001]
    assert chosen_ids.long_list() == list(range(78002, 80002))


def test_limit_of_open_files_is_an_obstacle():
    needs_root()
    found = not_run(tool("prlimit", "limits open files"), "--nofile=12")
    assert set(found.values()) == {"needs 16 more open files"}


# ---- Filters, tracers and libraries that fake ids


@pytest.mark.parametrize(
    ("call", "action", "reason", "among"),
    [
        ("setresuid", "EPERM", "setresuid is refused here: libc's own call fails with EPERM", "round trip uid"),
        ("setgroups", "KILL_THREAD", "setgroups ends the process here: libc's own call, too, gets SIGSYS", "setgroups"),
        ("setfsuid", "false 0", "setfsuid changes nothing here: libc's own call reports success", "setfsuid"),
        ("getresuid", "ENOSYS", "getresuid is refused here: libc's own call fails with ENOSYS", "getters"),
        ("openat2", "EACCES", "openat2 is refused here: libc's own call fails with EACCES", "open_beneath"),
    ],
    ids=["setresuid", "setgroups ends the thread", "setfsuid does nothing", "getresuid", "openat2"],
)
def test_filter_is_an_obstacle(call, action, reason, among):
    needs_root()
    call_number(call)
    found = not_run(*ODD, "filter", call, action)
    assert found[among].startswith(reason)
    assert "setgid" not in found


def test_proot_is_an_obstacle():
    needs_root()
    found = not_run(needs_proot(), "-0")
    assert set(found) >= {"no privilege", "setresuid", "setgid", *LEVELS}
    assert "setgroups" not in found, "proot lets root's setgroups(2) through, and /proc shows the groups"
    assert "setuid changes nothing here: libc's own call reports success, but /proc shows Uid 0 0 0 0" in found.values()


def test_ids_that_proc_does_not_show_are_an_obstacle():
    needs_root()
    found = not_run(needs_proot(), "-i", "4711:4712")
    reasons = {reason.partition(";")[0] for reason in found.values()}
    # proot lies about the owners of files, too, but tells programs of i386 the truth
    reasons.discard("no temporary folder can be made: somebody else changes /var/tmp")
    assert reasons == {"needs real ids: libc reports (4711, 4711, 4711), but /proc shows 0 0 0 0"}
    assert {"getters", "no privilege", "setuid"} <= set(found)


def test_uid_wrapper_is_an_obstacle():
    needs_root()
    found = not_run(env={"LD_PRELOAD": uid_wrapper(), "UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"})
    assert all(reason.startswith("needs real ids: uid_wrapper simulates ids") for reason in found.values())
    assert set(found) >= {"getters", "setuid"}


# ---- io_uring. Without it, files are opened by threads, so a refusal is no obstacle.

SYSCTL = "/proc/sys/kernel/io_uring_disabled"
BY_FILTER = "a seccomp filter refuses io_uring: io_uring_setup fails with "
BY_SYSCTL = "the sysctl kernel.io_uring_disabled is "
NO_GROUP = f"{BY_SYSCTL}1, and this process has neither CAP_SYS_ADMIN nor the group kernel.io_uring_group "
FILTERED = ["filter", "io_uring_setup", "EPERM"]
NO_ADMIN = ["setpriv", "--bounding-set=-sys_admin"]


@pytest.mark.per_thread
@pytest.mark.parametrize(
    ("sysctls", "prefix", "filtered", "reason", "advice"),
    [
        ((), [], FILTERED, BY_FILTER + "EPERM", "allow io_uring_setup, "),
        ((), [], ["filter", "io_uring_setup", "ENOSYS"], BY_FILTER + "ENOSYS", "allow io_uring_setup, "),
        ((), [], ["filter", "io_uring_enter", "false 0"], "io_uring_enter does nothing here", "allow io_uring_setup, "),
        ((), [], ["filter", "io_uring_register", "EINVAL"], "the kernel is too old (Linux ", "use Linux 5.15 or newer"),
        (("2", "-1"), [], FILTERED, BY_SYSCTL + "2, so no process can make a ring", "set it to 0: sysctl "),
        (("1", "-1"), NO_ADMIN, FILTERED, NO_GROUP + "(-1)", "set it to 0: sysctl kernel.io_uring_disabled=0; or set "),
        (
            ("1", "4711"),
            NO_ADMIN,
            FILTERED,
            NO_GROUP + "(4711)",
            "set it to 0: sysctl kernel.io_uring_disabled=0; or run ",
        ),
        (("1", "4711"), [*NO_ADMIN, "--groups=4711"], FILTERED, BY_FILTER + "EPERM", "allow io_uring_setup, "),
        (("1", "-1"), [], FILTERED, BY_FILTER + "EPERM", "allow io_uring_setup, "),
    ],
    ids=["EPERM", "ENOSYS", "false success", "old kernel", "sysctl 2", "sysctl 1", "group", "member", "capability"],
)
def test_missing_ring_is_explained_and_no_obstacle(tmp_path, sysctls, prefix, filtered, reason, advice):
    """The sysctls belong to the whole machine, so other files stand in for them, and a filter for the kernel."""
    needs_root()
    call_number(filtered[1])
    if sysctls and not os.path.exists(SYSCTL):
        pytest.skip(f"needs {SYSCTL} (Linux 6.6)")
    for name, value in zip(("disabled", "group"), sysctls, strict=False):
        (tmp_path / name).write_text(f"{value}\n")
    mounts = [f"mount --bind {tmp_path}/{name} /proc/sys/kernel/io_uring_{name} && " for name in ("disabled", "group")]
    script = "".join(mounts[: len(sysctls)]) + 'exec "$@"'
    words = [*in_namespaces("-m"), "sh", "-c", script, "sh", *prefix, *ODD, *filtered]
    _, checks = verify(*words)
    assert {status for status, _ in checks.values()} == {"proved"}
    assert checks["files by io_uring"][1].startswith(f"there is no ring here: {reason}")
    assert checks["files by threads"][1] == ""
    text = run(*words, sys.executable, "-m", "replace", "verify", "--explain", cwd="/").stdout
    line, change = text.split("\nno io_uring: ")[1].split("\n")[:2]
    assert line.startswith(reason)
    assert change.startswith(f"  to change this: {advice}")


@pytest.mark.per_thread
def test_filter_that_kills_is_an_obstacle_only_to_the_ring():
    needs_root()
    call_number("io_uring_setup")
    found = not_run(*ODD, "filter", "io_uring_setup", "KILL_PROCESS")
    assert found == {"files by io_uring": "io_uring ends the process here: libc's own call, too, gets SIGSYS"}


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        ({"no_ring": "", "backend": "syscall"}, None),
        ({"no_ring": "x", "backend": "libc"}, ("this build has no ring: x", "build with -Dcredentials=syscall")),
        (
            {"no_ring": "x", "backend": "syscall"},
            ("this build has no ring: x", "build with kernel headers of Linux 5.6 or newer"),
        ),
    ],
)
def test_build_without_a_ring_is_explained(verdict, found):
    assert io_uring.why_not_built(verdict) == found


# ---- The temporary folder, and /proc


def test_idmapped_folder_is_an_obstacle(tmp_path):
    needs_root()
    tool("mount", "makes the mounts private")
    (tmp_path / "idmapped").mkdir(mode=0o777)
    needs_user_namespace()
    found = not_run(*ODD, "idmapped", tmp_path / "idmapped", "0 0 1")
    owners = {reason for name, reason in found.items() if name != "wide ids"}
    assert len(owners) == 1
    assert f"cannot make a file in the temporary folder ({os.strerror(errno.EOVERFLOW)})" in owners.pop()
    assert "setuid" in found
    assert not {"no privilege", "round trip uid"} & set(found)


def test_folder_of_another_group_is_proved(tmp_path):
    needs_root()
    os.chown(tmp_path, 0, 4711)
    os.chmod(tmp_path, 0o2777)
    assert not_run(env={"TMPDIR": str(tmp_path)}) == {}


def test_machine_without_a_temporary_folder_is_an_obstacle():
    needs_root()
    script = (
        "mount --make-rprivate / && for folder in / /tmp /var/tmp; do "
        'mount --bind $folder $folder && mount -o remount,ro,bind $folder; done && cd /proc && exec "$@"'
    )
    found = not_run(*in_namespaces("-m"), "sh", "-c", script, "sh", env={"TMPDIR": "/proc"})
    assert all(reason.startswith("no temporary folder can be made: ") for reason in found.values())
    assert "verdict" not in found


@pytest.mark.parametrize("mount", ["-t tmpfs none", "-t proc -o hidepid=2 none"], ids=["no /proc", "hidepid"])
def test_root_is_proved_without_proc(mount):
    needs_root()
    script = f'mount {mount} /proc && exec "$@"'
    assert not_run(*in_namespaces("-mpf"), "sh", "-c", script, "sh") == {}


def test_limit_of_processes_is_an_obstacle():
    command = ["prlimit", "--nproc=1", *server(["setuid", "setgid"])]
    tool("prlimit", "limits processes")
    found = not_run(*command)
    assert set(found.values()) == {"cannot start a process: Resource temporarily unavailable"}

    text = run(*command, sys.executable, "-m", "replace", "verify", "--explain", cwd="/").stdout
    assert "cannot start a process: Resource temporarily unavailable\n  to change this: raise the limit of proc" in text


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def no_fork():
    for name in ("fork", "clone"):  # libc's fork() makes one of these calls
        with contextlib.suppress(KeyError):  # many architectures have no fork(2)
            set_filter(name, ACTIONS["false 0"] | errno.EPERM)


@pytest.mark.parametrize(
    ("prevent", "number", "advice"),
    [
        (few_files, errno.EMFILE, "raise the limit of open files (ulimit -n)"),
        (no_fork, errno.EPERM, obstacles._allow("@process")),
    ],
)
def test_advice_is_for_the_error_that_prevents_a_process(prevent, number, advice):
    call_number("clone")

    def ask():
        prevent()
        return obstacles._ask("open", lambda: "")

    found, change = in_child(ask)
    assert found == f"cannot start a process: {os.strerror(number)}"
    assert change == advice


# ---- A wrong build


WRONG = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (real == NULL)
		real = dlsym(RTLD_NEXT, "syscall");
	WRONG
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
"""


def compile_wrong_call(wrong, library):
    """Compile a syscall() that is wrong. On i386 and arm, the build's calls have names such as SYS_setresuid32."""
    macros = {call["name"]: call["symbol"] for call in replace.report()["verdict"]["calls"]}
    line = re.sub(r"SYS_(\w+)", lambda found: macros[found[1]], wrong)
    command = [tool("cc", "compiles the wrong call"), "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=WRONG.replace("\tWRONG", line), text=True, check=True)


@pytest.mark.per_thread
@pytest.mark.parametrize(
    ("wrong", "among"),
    [
        ("if (number == SYS_setresuid) { errno = EPERM; return -1; }", "seteuid"),
        ("if (number == SYS_setresgid) return 0;", "setresgid"),
        ("if (number == SYS_setresuid) return setresuid(a[0], a[1], a[2]);", "level effective"),
        ("if (number == SYS_setgroups) a[0] = 1;", "setgroups"),
    ],
    ids=["refuses", "does nothing", "changes every thread", "wrong argument"],
)
def test_wrong_call_is_contradicted(wrong, among, tmp_path):
    """libreplace calls libc's syscall(), and libc's own setters do not. So only libreplace's calls are wrong here."""
    needs_root()
    library = tmp_path / "wrong.so"
    compile_wrong_call(wrong, library)
    status, checks = verify(env={"LD_PRELOAD": str(library)})
    assert status == 1
    assert checks[among][0] == "contradicted"
    assert "not run" not in {result for result, _ in checks.values()}


@pytest.mark.per_thread
def test_missing_call_is_contradicted_without_privilege():
    """A call that the build has must not fail with ENOSYS, unless libc's own call does."""
    needs_root()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        compile_wrong_call("if (number == SYS_setresgid) { errno = ENOSYS; return -1; }", f"{folder}/wrong.so")
        os.chmod(f"{folder}/wrong.so", 0o755)
        status, checks = verify(*server([]), env={"LD_PRELOAD": f"{folder}/wrong.so"})
    assert status == 1
    assert {name for name, (result, _) in checks.items() if result == "contradicted"} == {"no privilege"}


# ---- What to change


def test_each_obstacle_is_explained_once():
    needs_root()
    setpriv = [tool("setpriv", "drops capabilities"), "--bounding-set=-setgid"]
    text = run(*setpriv, sys.executable, "-m", "replace", "verify", "--explain", cwd="/").stdout.split("\n\n")[1]
    if replace.SCOPE == "process":
        assert text.startswith("no io_uring: this build has no ring")
        text = text.split("\n", 2)[2]
    assert text == (
        "needs CAP_SETGID\n  to change this: run this as root (sudo libreplace verify), start the container with "
        "--cap-add=SETGID, or, in a systemd unit, set AmbientCapabilities=CAP_SETGID"
    )
