# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A short search with starting_states.py: threads and processes with random credentials enter identities.

tests/system/test_more_starting_states.py searches longer, and the program does it without an end. tests/c/returns.c
tries states in C.
"""

import os
import re
import sys

import pytest
import starting_states
from starting_states import search
from support.builds import ROOT, run
from support.children import needs_root, needs_user_namespace
from support.credentials import PR_CAP_AMBIENT
from support.entries import OUTER_WAYS, WAYS, Fault
from support.odd_machine import LIBC

import replace

pytestmark = pytest.mark.per_thread

SEED = "1"
ALL_WAYS = WAYS | OUTER_WAYS


@pytest.fixture(autouse=True)
def _can_search():
    needs_root()
    reason, _ = starting_states.why_not()
    if reason:
        pytest.skip(reason)


def test_random_starting_states_are_restored_exactly_or_refused():
    counts = search(SEED, range(400))
    assert counts["starting states"] == 400
    for name in ("tried inside another identity", "workers of pools", "forked inside", "programs started by popen_as"):
        assert counts[name] > 10, counts
    for way in (*WAYS, "pool"):
        assert counts[f"entered by {way}"] > 20, counts
    assert counts["entered by run_as"] > 0, counts
    refused = {name for name in counts if name.startswith("refused")}
    assert len(refused) >= 5, counts


def test_random_starting_states_in_a_user_namespace_without_the_usual_shield_id():
    """The namespace maps all ids of the starting states, but not all ids of the identities."""
    odd_machine = ROOT / "tests" / "support" / "odd_machine.py"
    maps = ("0 0 70000,80001 80001 2", "0 0 70000,80011 80011 2")
    search = (sys.executable, starting_states.__file__, "--states", 120, "--seed", SEED)
    needs_user_namespace()
    out = run(sys.executable, odd_machine, "maps", *maps, *search, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "120 starting states" in out.stdout


# ---- Controls: faulty ways to enter, which the search must find


def spoiled(spoil, inside=False):
    """ALL_WAYS, with a change of the thread's credentials in the identity or after it."""

    def make(way):
        def enter(plan, body):
            def spoiled_body():
                spoil()
                body()

            way(plan, spoiled_body if inside else body)
            if not inside:
                spoil()

        return enter

    return {name: make(way) for name, way in ALL_WAYS.items()}


def clear_ambient_capabilities():
    assert LIBC.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0) == 0  # PR_CAP_AMBIENT_CLEAR_ALL


def set_fs_uid_to_effective_uid():
    replace.setfsuid(replace.getresuid()[1])


def set_real_gid_to_effective_gid():
    replace.setresgid(replace.getresgid()[1], -1, -1)


@pytest.mark.parametrize("spoil", [clear_ambient_capabilities, set_fs_uid_to_effective_uid])
def test_search_finds_credentials_that_are_not_restored(spoil):
    with pytest.raises(Fault, match="before Credentials.* afterwards Credentials"):
        search(SEED, range(1000), spoiled(spoil))


def test_search_finds_wrong_credentials_inside():
    with pytest.raises(Fault, match="wrong ids or groups"):
        search(SEED, range(1000), spoiled(set_fs_uid_to_effective_uid, inside=True))


def refusing_too_much(plan, body):
    raise replace.IdentityError(1, plan.identity, "checking that the thread could return", "unchanged")


def refusing_with_another_state(plan, body):
    try:
        ALL_WAYS[plan.way](plan, body)
    except replace.IdentityError as problem:
        raise replace.IdentityError(problem.errno, plan.identity, problem.step, "tainted") from None


@pytest.mark.parametrize(
    ("way", "fault"),
    [(refusing_too_much, "needless|it is not"), (refusing_with_another_state, "another class")],
)
def test_search_finds_wrong_refusals(way, fault):
    with pytest.raises(Fault, match=fault):
        search(SEED, range(1000), dict.fromkeys(ALL_WAYS, way))


def test_fault_names_the_state_and_the_command_that_tries_it_again():
    ways = spoiled(set_real_gid_to_effective_gid)
    with pytest.raises(Fault) as first:
        search(SEED, range(1000), ways)
    seed, number = re.search(r"starting_states\.py --seed (\w+) --replay (\d+)$", str(first.value)).groups()
    with pytest.raises(Fault) as again:
        search(seed, range(int(number), int(number) + 1), ways)
    assert str(again.value) == str(first.value)


def test_death_of_a_child_is_a_fault():
    with pytest.raises(Fault, match=r"(?s)the child ended with -6.*--replay 1$"):
        search(SEED, range(1, 2), dict.fromkeys(ALL_WAYS, lambda plan, body: os.abort()))
