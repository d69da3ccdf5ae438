# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""protect_os(): calls and starts that would break identities raise instead."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import ALICE, as_root, attacked

import replace
from replace import impersonate


@pytest.mark.parametrize("name", ["setgroups", "seteuid", "setresuid", "setgid"])
def test_protect_os_turns_them_into_exceptions(name):
    arguments = {"setgroups": ([7],), "setresuid": (0, 0, 0)}.get(name, (0,))
    if replace.SCOPE == "thread":
        with pytest.raises(replace.IdentityRefused, match=f"os.{name} changes every thread, and 1 of them"):
            attacked(lambda: getattr(os, name)(*arguments), protect=True)


def test_protected_os_works_while_nobody_is_switched():
    def body():
        replace.protect_os()
        replace.protect_os()
        import posix

        posix.seteuid(80001)
        assert os.geteuid() == 80001
        os.seteuid(0)
        assert os.setuid.__wrapped__ is not os.setuid
        with pytest.raises(TypeError):
            os.setuid("root")
        with impersonate(ALICE):
            pass
        os.setgroups([5])

    as_root(body)


STARTS = {
    "fork": lambda: os.fork() or os._exit(0),
    "system": lambda: os.system("true"),
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "thread": lambda: threading.Thread(target=int).start(),
    "pool": lambda: ThreadPoolExecutor(1).submit(int).result(),
}


@pytest.mark.parametrize("name", STARTS)
def test_strict_protection_refuses_to_start_things_inside(name, regain):
    def body():
        replace.protect_os(strict=True)
        with impersonate(ALICE), pytest.raises(replace.IdentityRefused, match="would inherit"):
            STARTS[name]()
        if name != "fork":
            STARTS[name]()
        with impersonate(ALICE):
            child = replace.popen_as(ALICE, [regain], stdout=subprocess.PIPE, cwd="/")
            assert child.communicate()[0].strip() == b"(80001, 80001, 80001)"

    as_root(body)
