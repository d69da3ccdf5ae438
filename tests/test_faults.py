# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""In each test, one system call of enter or leave fails, or only reports success (strace -e inject).

A failed entry leaves the thread's ids unchanged and reports the step. Leaving succeeds even if one call fails once.
If the ids cannot be restored, the thread is tainted and refuses further entries.
"""

import errno
import sys
from typing import NamedTuple

import pytest
from support.builds import run, tool
from support.children import needs_root
from support.syscalls import injected, plain

import replace

IDLE, ENTERED, ROLLED_BACK, TAINTED, LEFT = 0, 1, 2, 3, 4
REFUSED, READ, VERIFY, CAPABILITIES, FOUND, RETURN = 1, 2, 7, 8, 9, 12
ERRORS = ["EPERM", "EAGAIN", "EINVAL", "ENOMEM"]
EFFECTIVE, FILESYSTEM = 0, 3


class Line(NamedTuple):
    result: int
    error: int
    step: int
    state: int
    ids: tuple[str, ...]


def lines(text):
    found = {}
    for line in text.splitlines():
        head, *ids = line.split("|")
        name, *numbers = head.split()
        if name == "tainted":
            found[name] = (numbers[0] == "1", int(numbers[2]))
        else:
            found[name] = Line(*map(int, numbers), tuple(" ".join(part.split()) for part in ids))
    return found


def inject(program, level, *faults, mode=()):
    options = [injected(fault) for fault in faults]
    out = run(
        tool("strace", "makes system calls fail"), "-f", "-o", "/dev/null", *options, program, level, *mode, cwd="/"
    )
    assert out.returncode == 0, out.stderr
    return lines(out.stdout)


def test_enter_and_leave_work_without_a_fault(faults):
    seen = inject(faults, EFFECTIVE, "fork:error=ENOSYS")
    assert seen["enter"][:4] == (0, 0, 0, ENTERED)
    assert seen["enter"].ids[:3] == ("0 80001 0 80001", "80011 80011 0 80011", "80011 80021")
    assert seen["leave"] == (0, 0, 0, LEFT, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


#: level, system call, its count, step (enum libreplace_step): every system call of libreplace_enter()
ON_ENTER = [
    (EFFECTIVE, "getgroups", 1, READ),
    (EFFECTIVE, "getresuid", 1, READ),
    (EFFECTIVE, "getresgid", 1, READ),
    (EFFECTIVE, "capget", 1, READ),
    (EFFECTIVE, "setgroups", 1, 4),
    (EFFECTIVE, "setresgid", 1, 5),
    (EFFECTIVE, "setresuid", 1, 6),
    (EFFECTIVE, "getgroups", 2, READ),
    (EFFECTIVE, "getresuid", 2, READ),
    (EFFECTIVE, "getresgid", 2, READ),
    (EFFECTIVE, "capget", 2, CAPABILITIES),
    (FILESYSTEM, "setgroups", 1, 4),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("level", "call", "when", "step"), ON_ENTER)
def test_failed_entry_leaves_the_ids_unchanged(faults, level, call, when, step, error):
    seen = inject(faults, level, f"{call}:error={error}:when={when}")
    number = getattr(errno, error)
    if call == "getgroups" and error == "EINVAL":  # getgroups(2): the list is longer than the buffer
        step, number = (READ, errno.ENOBUFS) if when == 1 else (VERIFY, errno.EPERM)
    state = IDLE if step == READ and when == 1 else ROLLED_BACK
    assert seen["enter"] == (-1, number, step, state, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize(
    ("level", "call", "when"),
    [
        (EFFECTIVE, "setgroups", 1),
        (EFFECTIVE, "setresgid", 1),
        (EFFECTIVE, "setresuid", 1),
        (FILESYSTEM, "setgroups", 1),
    ],
)
def test_false_success_of_a_call_is_detected(faults, level, call, when):
    seen = inject(faults, level, f"{call}:retval=0:when={when}")
    assert seen["enter"] == (-1, errno.EPERM, VERIFY, ROLLED_BACK, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize(("call", "step"), [("setfsgid", 5), ("setfsuid", 6)])
def test_ignored_setfs_call_is_rolled_back(faults, call, step):
    """The first call only reads; the second one has no effect. The kernel never reports an error."""
    seen = inject(faults, FILESYSTEM, f"{call}:retval=0:when=2")
    assert seen["enter"] == (-1, errno.EPERM, step, ROLLED_BACK, seen["before"].ids)


@pytest.mark.parametrize("call", ["getgroups", "getresuid", "getresgid"])
def test_rollback_restores_the_fs_ids_without_knowing_the_ids(faults, call):
    """Two reads fail, so the roll-back makes each step. Its first two calls of setresuid only report success."""
    reads = [f"{call}:error=EIO:when=2..3"]
    seen = inject(faults, FILESYSTEM, *reads, "setresuid:retval=0:when=1..2")
    assert seen["enter"] == (-1, errno.EIO, READ, ROLLED_BACK, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize("fault", [*(f"error={error}" for error in ERRORS), "retval=0"])
@pytest.mark.parametrize("call", ["setresuid", "setresgid", "setgroups"])
def test_leave_succeeds_after_one_failed_call(faults, call, fault):
    seen = inject(faults, EFFECTIVE, f"{call}:{fault}:when=2")
    assert seen["enter"].state == ENTERED
    assert seen["leave"] == (0, 0, 0, LEFT, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("when", [3, 4])
@pytest.mark.parametrize("call", ["getgroups", "getresuid", "getresgid"])
def test_leave_succeeds_after_one_failed_read(faults, call, when, error):
    seen = inject(faults, EFFECTIVE, f"{call}:error={error}:when={when}")
    if (call, when, error) == ("getgroups", 3, "EINVAL"):  # as if another thread had set more groups than fit
        assert seen["leave"] == (-1, errno.EPERM, FOUND, LEFT, seen["before"].ids)
    else:
        assert seen["leave"] == (0, 0, 0, LEFT, seen["before"].ids)


@pytest.mark.parametrize("when", [3, 4])
@pytest.mark.parametrize("call", ["getgroups", "getresuid", "getresgid"])
def test_leave_reports_a_change_after_one_failed_read(faults, call, when):
    seen = inject(faults, EFFECTIVE, f"{call}:error=EIO:when={when}", mode=["changed"])
    assert seen["leave"] == (-1, errno.EPERM, FOUND, LEFT, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize("fault", [*(f"error={error}" for error in ERRORS), "retval=0"])
@pytest.mark.parametrize("call", ["setresuid", "setresgid", "setgroups"])
def test_failed_restore_taints_the_thread(faults, call, fault):
    seen = inject(faults, EFFECTIVE, f"{call}:{fault}:when=2+")
    assert seen["leave"].result == -1
    assert seen["leave"].state == TAINTED
    assert seen["leave"].ids != seen["before"].ids
    assert seen["tainted"] == (True, 1)
    assert seen["again"][:4] == (-1, errno.ENOTRECOVERABLE, REFUSED, IDLE)
    assert seen["again"].ids == seen["leave"].ids


@pytest.mark.parametrize("error", ERRORS)
def test_failed_rollback_taints_the_thread(faults, error):
    seen = inject(faults, EFFECTIVE, f"setresuid:error={error}", f"setresgid:error={error}:when=2+")
    assert seen["enter"].state == TAINTED
    assert seen["enter"].error == getattr(errno, error)
    assert seen["tainted"] == (True, 1)
    assert seen["again"][:4] == (-1, errno.ENOTRECOVERABLE, REFUSED, IDLE)


#: A server without root. The program makes the first capset and the first two prctl calls. Enter makes the capset
#: calls 2 (raise) and 3 (drop); leave makes the calls 4 (raise) and 5 (restore).
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("when", "step"), [(2, 3), (3, CAPABILITIES)])
def test_failed_capset_rolls_back_the_entry_without_root(faults, when, step, error):
    seen = inject(faults, EFFECTIVE, f"capset:error={error}:when={when}", mode=["capabilities"])
    assert seen["enter"] == (-1, getattr(errno, error), step, ROLLED_BACK, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize("fault", [*(f"error={error}" for error in ERRORS), "retval=0"])
@pytest.mark.parametrize("when", [4, 5])
def test_leave_without_root_succeeds_after_one_failed_capset(faults, when, fault):
    seen = inject(faults, EFFECTIVE, f"capset:{fault}:when={when}", mode=["capabilities"])
    assert seen["leave"] == (0, 0, 0, LEFT, seen["before"].ids)


def test_false_success_of_capset_is_detected(faults):
    seen = inject(faults, EFFECTIVE, "capset:retval=0:when=3", mode=["capabilities"])
    assert seen["enter"] == (-1, errno.EPERM, CAPABILITIES, ROLLED_BACK, seen["before"].ids)


#: A server without root. When the library is loaded, it asks the kernel what it knows (1, 2). The program makes the
#: next two prctl calls. Enter reads the securebits (5), the ambient set (6, 7) and the bounding set (8, 9). Leave reads
#: whether a capability is ambient (10), raises it (11), and reads the set again (12, 13).
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("when", "step"),
    [(5, READ), (6, READ), (7, READ), (8, RETURN), (9, RETURN)],
)
def test_failed_prctl_refuses_the_entry_without_root(faults, when, step, error):
    seen = inject(faults, EFFECTIVE, f"prctl:error={error}:when={when}", mode=["capabilities"])
    number = errno.EACCES if step == RETURN else getattr(errno, error)
    assert seen["enter"] == (-1, number, step, IDLE, seen["before"].ids)
    assert seen["tainted"] == (False, 0)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("when", [10, 11, 12, 13])
def test_leave_succeeds_after_one_failed_prctl(faults, when, error):
    seen = inject(faults, EFFECTIVE, f"prctl:error={error}:when={when}", mode=["capabilities"])
    assert seen["leave"] == (0, 0, 0, LEFT, seen["before"].ids)


def test_enter_and_leave_make_only_the_tested_system_calls(faults, tmp_path):
    """The tests above make each of these system calls fail."""
    log = tmp_path / "log"
    calls = "getgroups|getresuid|getresgid|setfsuid|setfsgid|capget|capset|prctl|setgroups|setresgid|setresuid"
    run(tool("strace", "lists system calls"), "-o", log, "-e", f"trace=/^({calls})(32)?$", faults, "0", cwd="/")
    seen = [plain(line.split("(")[0]) for line in log.read_text().splitlines() if "(" in line and "= " in line]
    read = ["getgroups", "getresuid", "getresgid"]
    fs = ["setfsuid", "setfsgid"]
    assert seen == [
        "prctl", "prctl",  # when the library is loaded
        *read, *fs, "capget", "setgroups", "setresgid", "setresuid", *read, *fs, "capget",
        *read, *fs, "setresuid", "setresgid", "setgroups", *read,
    ]  # fmt: skip


def test_fs_ids_are_right_under_a_filter(faults):
    """tests/c/filter.c refuses setfsuid(2) and setfsgid(2) in every possible way."""
    out = run(faults.parent / "filter", cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "skip" not in out.stdout
    assert out.stdout.count("ok ") > 50


SCRIPT = """
import replace
alice = replace.Identity(80001, 80011)
try:
    with replace.impersonate(alice): print("inside")
except replace.IdentityError as error: print(type(error).__name__, error.errno, error.step, "/", error.state)
try:
    with replace.impersonate(alice): print("inside")
except replace.IdentityError as error: print(type(error).__name__, error.state)
"""


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("setresuid:error=EAGAIN:when=1", "IdentityError 11 setting the uid / rolled back\ninside\n"),
        ("setresuid:retval=0:when=1", "IdentityError 1 verifying / rolled back\ninside\n"),
        (
            "setresgid:error=EPERM:when=2+",
            "inside\nThreadTainted 1 setting the gid / tainted\nThreadTainted unchanged\n",
        ),
    ],
)
def test_python_exception_reports_errno_step_and_state(fault, text):
    needs_root()
    if replace.SCOPE != "thread":
        return
    command = [tool("strace", "makes system calls fail"), "-f", "-o", "/dev/null", injected(fault)]
    out = run(*command, sys.executable, "-c", SCRIPT, cwd="/")
    assert out.stdout == text, out.stderr
