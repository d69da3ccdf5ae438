# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as() starts a child that permanently becomes the user."""

import asyncio
import os
import subprocess

import pytest
from support.children import ALICE, BOB, as_plain_root, as_root, ids

import replace
from replace import Identity, impersonate, popen_as


def test_popen_as_child_cannot_become_root(regain):
    def body():
        child = popen_as(ALICE, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
        assert child.communicate()[0].strip() == "(80001, 80001, 80001)"
        script = "id -u; id -g; id -G; grep Cap /proc/self/status | cut -f2 | head -n 4 | uniq"
        child = popen_as(ALICE, ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, cwd="/")
        assert child.communicate()[0].split("\n")[:4] == ["80001", "80011", "80011 80021", "0" * 16]
        with pytest.raises(TypeError, match="sets user from the identity"):
            popen_as(ALICE, ["true"], user=0)
        with pytest.raises(replace.IdentityRefused, match="allow_root"):
            popen_as(Identity(0, 0), ["true"])
        with pytest.raises(FileNotFoundError):
            popen_as(ALICE, ["/no/such/program"], cwd="/")
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_plain_root(body)


def test_popen_as_can_start_another_user_while_switched(regain):
    def body():
        with impersonate(ALICE):
            child = popen_as(BOB, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
            assert os.geteuid() == 80001
        assert child.communicate()[0].strip() == "(80002, 80002, 80002)"

    as_root(body)


def session(**options):
    """Return the session id and the process id of a child."""
    program = ["/bin/sh", "-c", "cut -d' ' -f6 /proc/$$/stat"]
    child = popen_as(ALICE, program, stdout=subprocess.PIPE, text=True, cwd="/", **options)
    return int(child.communicate()[0]), child.pid


def test_popen_as_child_has_its_own_session_by_default():
    def body():
        own, child = session()
        assert own == child
        assert session(start_new_session=False)[0] == os.getsid(0)

    as_plain_root(body)


def test_popen_as_is_refused_in_the_event_loop_thread(regain):
    """The calling thread waits until the child runs its program, so a stopped child would block the loop."""

    async def main():
        with pytest.raises(replace.IdentityRefused, match="asyncio.to_thread"):
            popen_as(ALICE, [regain], cwd="/")
        child = await asyncio.to_thread(popen_as, ALICE, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
        return child.communicate()[0].strip()

    assert as_root(lambda: asyncio.run(main())) in ("(80001, 80001, 80001)", None)
