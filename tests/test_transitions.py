# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make every call from Python, in every state and with every argument, and compare it with the model."""

import threading

import pytest
from support import transitions
from support.children import LIBC, change_capabilities, in_child, needs_root
from support.kernels import IDS, UNSET, Linux, State

import replace

PR_SET_KEEPCAPS = 8
BITS = {"uid": 1 << 7, "gid": 1 << 6}


def reach(kind, privileged, state):
    """Put the calling thread into that state, or, on a process-wide build, the process."""
    assert LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    getattr(replace, f"setres{kind}")(*state)
    change_capabilities(lambda sets: sets.__setitem__(0, sets[1] if privileged else sets[1] & ~BITS[kind]))


def outcome(transition):
    kind, privileged, state, call, args = transition
    reach(kind, privileged, state)
    error = 0
    try:
        getattr(replace, call + kind)(*args)
    except OSError as problem:
        error = problem.errno
    return error, State(*getattr(replace, f"getres{kind}")()), getattr(replace, f"getfs{kind}")()


def outcomes_of(todo):
    """Return the outcomes. Each is from a new thread, or from a new child process if calls change the process."""
    found = {}
    for transition in todo:
        if replace.SCOPE == "process":
            found[transition] = in_child(outcome, transition)
        else:
            thread = threading.Thread(target=lambda t=transition: found.update({t: outcome(t)}))
            thread.start()
            thread.join()
    return found


@pytest.mark.parametrize("privileged", [True, False], ids=["privileged", "unprivileged"])
@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_every_transition_from_python_equals_the_model(kind, privileged):
    needs_root()
    todo = [t for t in transitions.everything() if t[0] == kind and t[1] == privileged]
    assert len(todo) == transitions.ALL / 4
    assert transitions.wrong(in_child(outcomes_of, todo), todo) == []


def test_wrong_or_missing_transition_is_found():
    """wrong() finds a wrong errno, a wrong next state and a missing transition."""
    transition = ("uid", False, State(*IDS), "set", (UNSET,))
    error, after, fs = transitions.expected(transition)
    for seen in ((0, after, fs), (error, State(1, 1, 1), fs), (error, after, 5)):
        assert len(transitions.wrong({transition: seen}, [transition])) == 1
    assert len(transitions.wrong({}, [transition])) == 1
    assert transitions.wrong({transition: (error, after, fs)}, [transition]) == []
    assert Linux.setres(State(0, 80001, 0), False, UNSET, 80002, UNSET)[0] != 0
