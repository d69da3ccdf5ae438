# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run each emulation of setresuid and setresgid in C on the model of its kernel.

The tests compile the C text of the generated module with a model (kernels.py) in place of the kernel's calls. In every
state, with every argument, the emulation must do exactly what Linux does, or change nothing and fail with ENOSYS.
"""

import ctypes
import errno
import re
import subprocess

import pytest
from golden import GOLDEN
from support.builds import tool
from support.kernels import UNSET, Darwin, FreeBSD, Linux, NetBSD, State, arguments, reachable, states

CALLS = {"set": 1, "sete": 1, "setre": 2}
KERNELS = {"macos-aarch64": Darwin, "netbsd-x86_64": NetBSD}

PRELUDE = """
#include <errno.h>
#include <sys/types.h>
int (*model)(int call, unsigned a, unsigned b); /* the errno, or for 0 to 2 an id */
unsigned (*ask)(int which);
static int result(int error) { if (error) errno = error; return error ? -1 : 0; }
#define getuid() ask(0)
#define getgid() ask(0)
#define geteuid() ask(EUID)
#define getegid() ask(1)
#define setuid(a) result(model(0, a, -1))
#define setgid(a) result(model(0, a, -1))
#define seteuid(a) result(model(1, a, -1))
#define setegid(a) result(model(1, a, -1))
#define setreuid(a, b) result(model(2, a, b))
#define setregid(a, b) result(model(2, a, b))
int call(unsigned a, unsigned b, unsigned c) { errno = 0; return %s(a, b, c) == 0 ? 0 : errno; }
"""


class Machine:
    """A process on a modelled kernel, with the compiled emulation."""

    def __init__(self, platform, kind, folder):
        text = (GOLDEN / platform / "replace_calls.c").read_text()
        name = f"libreplace_setres{kind}"
        (body,) = re.findall(rf"^int {name}\(.*?^}}\n", text, re.S | re.M)
        helpers = "".join(re.findall(r"^static int \w+\(.*?^}\n", text, re.S | re.M))
        prelude, caller = PRELUDE.rsplit("\nint call", 1)
        prelude = prelude.replace("EUID", "1" if kind == "uid" else "2") + "\n" + helpers
        source = prelude + body + ("\nint call" + caller) % name
        (folder / "body.c").write_text(source)
        library = folder / f"{platform}-{kind}.so"
        compiler = tool("cc", "compiles the emulation")
        subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, folder / "body.c"], check=True)
        self.library = ctypes.CDLL(str(library))
        self.kernel, self.state, self.privileged = KERNELS[platform], State(0, 0, 0), True
        self.callbacks = (
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(self.model),
            ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int)(self.ask),
        )
        for name, callback in zip(("model", "ask"), self.callbacks, strict=True):
            ctypes.c_void_p.in_dll(self.library, name).value = ctypes.cast(callback, ctypes.c_void_p).value

    def model(self, call, a, b):
        name = list(CALLS)[call]
        args = [UNSET if id == 2**32 - 1 else id for id in (a, b)][: CALLS[name]]
        error, self.state = getattr(self.kernel, name)(self.state, self.privileged, *args)
        return error

    def ask(self, which):
        return (0 if self.privileged else 80001) if which == 2 else self.state[which]

    def call(self, state, privileged, *args):
        self.state, self.privileged = state, privileged
        return self.library.call(*(id & 0xFFFFFFFF for id in args)), self.state


@pytest.mark.parametrize("kind", ["uid", "gid"])
@pytest.mark.parametrize("platform", KERNELS)
def test_emulation_equals_linux_or_fails_with_enosys(platform, kind, tmp_path):
    machine = Machine(platform, kind, tmp_path)
    done = tried = 0
    for state in states():
        # For uids the effective uid is the privilege. For gids the privilege does not depend on the state.
        for privileged in (state.e == 0,) if kind == "uid" else (True, False):
            for args in arguments(3):
                tried += 1
                error, after = machine.call(state, privileged, *args)
                if error == errno.ENOSYS:
                    assert after == state, (state, args)
                    continue
                done += 1
                assert (error, after) == Linux.setres(state, privileged, *args), (state, privileged, args)
    assert tried == 27 * 64 * (1 if kind == "uid" else 2)
    assert done > 27 * 5, "the emulation supports enough calls"


def test_emulations_support_the_calls_that_servers_make():
    """setresuid(-1, new, -1), which is seteuid(), is supported in every state."""
    for platform, kernel in KERNELS.items():
        text = (GOLDEN / platform / "replace_calls.c").read_text()
        assert "errno = ENOSYS" in text
        for state in states():
            for new in (0, 80001, 80002):
                wanted = Linux.setres(state, state.e == 0, UNSET, new, UNSET)
                if kernel is NetBSD:
                    assert kernel.setre(state, state.e == 0, UNSET, new) == wanted
                elif new != state.e:
                    assert kernel.sete(state, state.e == 0, new) == wanted


@pytest.mark.parametrize("platform", ["freebsd-x86_64", "openbsd-x86_64"])
def test_setresuid_of_freebsd_and_openbsd_equals_that_of_linux(platform):
    """sys_setresuid() of OpenBSD's sys/kern/kern_prot.c has the rules of FreeBSD's."""
    for state in reachable(FreeBSD, {**CALLS, "setres": 3}):
        for args in arguments(3):
            assert FreeBSD.setres(state, state.e == 0, *args) == Linux.setres(state, state.e == 0, *args)
    text = (GOLDEN / platform / "replace_calls.c").read_text()
    assert "return keep_errno(before, setresuid(ruid, euid, suid));" in text


def test_kernel_models_differ_as_documented():
    """setuid() of an unprivileged process: FreeBSD sets all three ids, NetBSD accepts only the real id."""
    state = State(80001, 80002, 0)
    assert Linux.set(state, False, 80002)[0] == errno.EPERM
    assert FreeBSD.set(state, False, 80002) == (0, State(80002, 80002, 80002))
    assert NetBSD.set(state, False, 0)[0] == errno.EPERM
    assert Linux.set(state, False, 0) == Darwin.set(state, False, 0) == (0, State(80001, 0, 0))
    assert Darwin.setre(State(0, 80001, 0), True, UNSET, UNSET) == (0, State(0, 80001, 80001))
