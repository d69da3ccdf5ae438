# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Children and threads that may switch ids, and who they become."""

import contextlib
import ctypes
import faulthandler
import os
import pickle
import struct
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import replace
from replace import Identity, impersonate

#: Seconds.  Where tests wait for an event, this limit only detects that they would wait for ever.
HANG = 240


def wait_until(holds: Callable[[], Any], what: str = "it") -> None:
    """Wait for something that has no event; fails where it does not come at all."""
    deadline = time.monotonic() + HANG
    while not holds():
        assert time.monotonic() < deadline, f"waited {HANG} s for {what}"
        time.sleep(0.001)


class InChild(Exception):
    """What a child raised that cannot be passed on as it was."""


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments) in a forked child: its result, or its exception; the caller's ids stay."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # a child that is meant to abort need not tell where
        try:
            os.close(reader)
            try:
                answer = (True, function(*arguments))
            except BaseException as error:
                text = traceback.format_exc()
                try:
                    pickle.loads(pickle.dumps(error))
                    answer = (False, error)
                except Exception:
                    answer = (False, InChild(text))
            with open(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise InChild(f"the child ended with {os.waitstatus_to_exitcode(status)}")
    good, value = pickle.loads(data)
    if good:
        return value
    raise value


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: real ids are switched")


ALICE = Identity(80001, 80011, [80021, 80011])
BOB = Identity(80002, 80012)
#: What ids() is of root without groups.
ROOT_IDS: tuple[Any, ...] = ((0, 0, 0), (0, 0, 0), [], 0, 0)
LEVELS = ["effective", "shielded", "real", "filesystem"]


#: The real uid that level shielded sets: nobody has it
SHIELD = 2**32 - 3


def ids() -> tuple[Any, ...]:
    """Everything that the getters tell of the calling thread."""
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def as_root(body: Callable[..., Any], *arguments: Any) -> Any:
    """body in a child that is root without groups; nothing to do on a process-wide build."""
    needs_root()
    if replace.SCOPE != "thread":
        with pytest.raises(replace.IdentityRefused, match="-Dcredentials=syscall"):
            impersonate(ALICE)
        return None

    def child() -> Any:
        replace.setgroups([])
        return body(*arguments)

    return in_child(child)


def as_plain_root(body: Callable[[], Any]) -> Any:
    """body in a child that is root without groups, on either back end."""
    needs_root()

    def child() -> Any:
        os.setgroups([])
        return body()

    return in_child(child)


def attacked(call: Callable[[], object], protect: bool) -> Any:
    """What `call` in another thread does to a thread that is switched."""

    def body() -> None:
        if protect:
            replace.protect_os(children="inherit")  # the other thread is started inside
        with impersonate(ALICE):
            before = ids()
            outcome: list[Exception] = []

            def work() -> None:
                replace.setresuid(0, 0, 0)  # this thread was started inside: back to root, by its saved id
                replace.setresgid(0, 0, 0)
                try:
                    call()
                except Exception as error:
                    outcome.append(error)

            other = threading.Thread(target=work)
            other.start()
            other.join()
            assert ids() == before or not protect
            if outcome:
                raise outcome[0]

    return as_root(body)


REGAIN = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	uid_t r, e, s;
	if (setresuid(0, 0, 0) != 0 && seteuid(0) != 0 && setgid(0) != 0) {}
	getresuid(&r, &e, &s);
	printf("(%u, %u, %u)\n", r, e, s);
	return 0;
}
"""


@contextlib.contextmanager
def held_elsewhere(manager: Any) -> Any:
    """Another thread is inside of the context manager meanwhile; yields that thread."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with manager:
            inside.set()
            leave.wait(HANG)

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait(HANG)
    try:
        yield worker
    finally:
        leave.set()
        worker.join()


def switched_elsewhere(identity: Identity, level: Any = "effective") -> Any:
    """Another thread holds the identity meanwhile; yields that thread."""
    return held_elsewhere(impersonate(identity, level=level))


LIBC = ctypes.CDLL(None, use_errno=True)


def change_capabilities(change: Callable[[Any], None]) -> None:
    """change(six words: effective, permitted, inheritable, twice) of the calling thread (capset(2))."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, sets) == 0
    change(sets)
    assert LIBC.capset(header, sets) == 0


def install_filter(number: int, action: int) -> None:
    """A seccomp filter that answers one system call (seccomp(2)); action: an errno, or 0 for a false success."""
    load, equal, leave, ret = 0x20, 0x15, 0x7FFF0000, 0x06
    program = b"".join(
        struct.pack("HBBI", *line)
        for line in ((load, 0, 0, 0), (equal, 0, 1, number), (ret, 0, 0, 0x00050000 | action), (ret, 0, 0, leave))
    )
    buffer = ctypes.create_string_buffer(program)
    pointer = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0
    assert LIBC.prctl(22, 2, ctypes.create_string_buffer(pointer), 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
