# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Compare the output of transitions.c, or the results of Python calls, with the model of Linux."""

from __future__ import annotations

from collections.abc import Iterable

from support.kernels import IDS, UNSET, Linux, State, arguments, states

#: For uids and gids, with and without privilege: 2376 cases of libc's four calls, and 4 of setfs* in each of 27 states.
ALL = 2 * 2 * (2376 + 27 * 4)

Transition = tuple[str, bool, State, str, tuple[int, ...]]
Outcome = tuple[int, State, int]  # errno, ids, fs id


def everything() -> list[Transition]:
    counts = {**Linux.calls, "setfs": 1}
    return [
        (kind, privileged, state, call, args)
        for kind in ("uid", "gid")
        for privileged in (False, True)
        for state in states()
        for call, count in counts.items()
        for args in arguments(count)
    ]


def expected(transition: Transition) -> Outcome:
    _, privileged, state, call, args = transition
    if call == "setfs":
        error, fs = Linux.setfs(state, state.e, privileged, *args)
        return error, state, fs
    error, after = getattr(Linux, call)(state, privileged, *args)
    return error, after, after.e


def parse(text: str) -> dict[Transition, Outcome]:
    ids = dict(zip("012-", (*IDS, UNSET), strict=True))
    ids["?"] = -2
    counts = {**Linux.calls, "setfs": 1}
    found = {}
    for line in text.splitlines():
        kind, privileged, r, e, s, call, a, b, c, error, *after = line.split()
        args = tuple(ids[letter] for letter in (a, b, c)[: counts[call]])
        transition = (kind, privileged == "1", State(ids[r], ids[e], ids[s]), call, args)
        now = [ids[letter] for letter in after]
        found[transition] = (int(error), State(*now[:3]), now[3])
    return found


def wrong(found: dict[Transition, Outcome], transitions: Iterable[Transition] | None = None) -> list[str]:
    """Describe each transition that is missing or differs from the model."""
    problems = []
    for transition in everything() if transitions is None else transitions:
        seen, wanted = found.get(transition), expected(transition)
        if seen != wanted:
            problems.append(f"{transition}: {seen}, not {wanted}")
    return problems


def is_sete_of_minus_one(transition: Transition) -> bool:
    """Whether this is seteuid(-1) or setegid(-1), the one documented difference: EINVAL in glibc, no change in musl."""
    return transition[3] == "sete" and transition[4] == (UNSET,)
