# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The programs of tests/c/explorer/: their options, and a minute of the program explore.

That program searches the compiled core for a way to enter and leave that ends wrong. `meson test` makes 100 000 runs in
each domain. docs/how-checked.md has the results of the whole search.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import ROOT, run

DOMAINS = ("states", "hidden", "faults", "forks", "strays")
COUNTS = re.compile(r"^ok (\w+): (\d+) runs( \(all\))? in .*\n")
#: How runs end in each domain, apart from "entered" and "refused". A search that does not meet these tries too little.
ENDS = {
    "states": {"rolled back"},
    "hidden": {"rolled back"},
    "faults": {"rolled back", "tainted", "aborted"},
    "forks": {"rolled back", "forked", "aborted"},
    "strays": {"rolled back", "tainted", "aborted"},
}


@pytest.fixture(scope="module")
def explore(faults):
    return faults.parent / "explorer" / "explore"


def test_help_lists_the_domains(explore):
    out = run(explore, "--help")
    assert (out.returncode, out.stderr) == (0, "")
    assert re.findall(r"^  ([a-z]+) ", out.stdout, re.M) == list(DOMAINS)


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("explore", ["--fast"], "unknown option: --fast"),
        ("explore", ["--seed"], "a value is needed: --seed"),
        ("explore", ["--seconds", "soon"], "a number is needed: --seconds"),
        ("explore", ["faults", "nothing"], "unknown domain: nothing"),
        ("explore", ["--all", "--from", "0.1"], "one domain is needed: --from"),
        ("explore", ["--replay", "0.1", "faults", "forks"], "one domain is needed: --replay"),
        ("explore", ["--replay", "0.x", "faults"], "no list of choices: 0.x"),
        ("explore", ["--replay", "9999", "faults"], "there is no such choice"),
        ("counter_1", ["--states", "0"], "a number from 1 is needed: --states"),
        ("counter_1", ["--replay", "0.7"], "there is no such choice"),
        ("counter_1", ["states"], "unknown argument: states"),
        ("kernel_rules", ["--states", "0"], "a number from 1 is needed: --states"),
        ("kernel_rules", ["--replay", "-1"], "a number is needed: --replay"),
    ],
)
def test_wrong_usage_is_refused(explore, name, words, why):
    out = run(explore.with_name(name), *words)
    assert (out.returncode, out.stdout) == (2, "")
    assert why in out.stderr


@pytest.mark.timeout(1800)
def test_a_minute_of_random_runs_finds_nothing(explore):
    """Each domain twice, so that two processors share the work evenly."""
    searches = [(domain, seed) for domain in DOMAINS for seed in (2, 3)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        seconds = 60 / len(searches)
        found = list(pool.map(lambda one: run(explore, "--seconds", seconds, "--seed", one[1], one[0]), searches))
    for (domain, _), out in zip(searches, found, strict=True):
        assert out.returncode == 0, out.stdout + out.stderr
        name, runs, every = COUNTS.search(out.stdout).groups()
        assert (name, every) == (domain, None)
        assert int(runs) > 1000
        ends = {name: int(count) for count, name in re.findall(r" (\d+) ([a-z ]+?)(?=,|$)", out.stdout, re.M)}
        assert {name for name, count in ends.items() if count > 0} == ENDS[domain] | {"entered", "refused"}, ends
        assert min(ends["entered"], ends["refused"]) > 100, ends


def test_commands_of_the_page_work(explore):
    page = (ROOT / "docs" / "how-checked.md").read_text()
    found = re.findall(r"^build/tests/c/explorer/explore(.*?)(?: *#.*)?$", page, re.M)
    assert len(found) == 4
    for words in found:
        out = run(explore, "--runs", 100, *words.split())
        assert out.returncode in (0, 3), out.stdout + out.stderr


def test_same_seed_makes_the_same_runs(explore):
    """The runs are many, so the tests compare the traces of a few."""
    texts = {run(explore, "--seed", seed, "--runs", 20, "--trace", "faults").stderr for seed in (5, 5, 6)}
    assert len(texts) == 2


def test_search_stops_in_time_and_goes_on_where_it_stopped(explore):
    out = run(explore, "--all", "--runs", 100, "states")
    assert out.returncode == 3
    assert re.search(r"^ok states: 100 runs in ", out.stdout, re.M)
    whole = run(explore, "--all", "--runs", 200, "states")
    again = re.search(r"explore (--all --from \S+ states)$", out.stdout, re.M)[1].split()
    rest = run(explore, "--runs", 100, *again)
    assert rest.stdout.splitlines()[2] == whole.stdout.splitlines()[2], "both stop at the same place"
    counts = [[int(number) for number in re.findall(r"\d+", one.stdout.splitlines()[1])] for one in (out, rest, whole)]
    assert [first + second for first, second in zip(*counts[:2], strict=True)][1:] == counts[2][1:]


def test_search_tells_when_all_combinations_are_tried(explore):
    out = run(explore, "--all", "--from", "4.1.3.3.3.3.7.3.6.3", "hidden")
    assert out.returncode == 0, out.stdout
    assert COUNTS.search(out.stdout)[3] == " (all)"


def test_search_notices_wrong_versions_of_the_counter(explore):
    """The programs print the command that shows each step."""
    counter = explore.with_name("counter_1")
    out = run(counter, "--states", 2000)
    assert out.returncode == 0, out.stdout
    found = re.findall(r"^ok wrong version .*\n  (.*)\n  to see each step: counter_1 --replay (\S+)$", out.stdout, re.M)
    assert len(found) == 6
    for fault, choices in found:
        again = run(counter, "--replay", choices)
        assert (again.returncode, again.stdout.splitlines()[-1]) == (1, fault)


def test_replay_shows_each_call(explore):
    """The first choices: ordinary root becomes a user, without a fault."""
    out = run(explore, "--replay", "0", "faults")
    assert (out.returncode, out.stdout) == (0, "nothing is wrong\n")
    calls = re.findall(r"^  (set(?:groups|res.id))\(", out.stderr, re.M)
    assert calls == ["setgroups", "setresgid", "setresuid", "setresuid", "setresgid", "setgroups"]
    ends = [re.findall(rf"^{when}: (.*)", out.stderr, re.M) for when in ("at the start", "in the end")]
    assert ends[0] == ends[1]
    assert ends[0][0].startswith("uids 0/0/0 fs 0, gids 0/0/0 fs 0, groups; effective 1ffffffffff,")
