# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The programs of docs/examples/ that show the problem. Each runs for a short time, and the test checks its figures.

docs/problem.md shows the figures of full runs.
"""

import re
import sys

import pytest
from support.builds import ROOT, run
from support.children import HANG, needs_root

import replace

EXAMPLES = ROOT / "docs" / "examples"


def figures(name, *arguments):
    """Return the table that the program prints: the first word of each line, and the numbers after it."""
    needs_root()
    out = run(sys.executable, EXAMPLES / name, *arguments, cwd="/", timeout=HANG)
    if replace.SCOPE != "thread":
        assert (out.returncode, "calls change one thread" in out.stderr) == (1, True)
        return None
    assert (out.returncode, out.stderr) == (0, "")
    table, meaning = out.stdout.splitlines()[1:-1], out.stdout.splitlines()[-1]
    assert meaning.endswith("."), "the last line says what the figures mean"
    rows = [line.split(maxsplit=1) for line in table]
    return {first: [float(n) for n in re.findall(r"[\d.]+", rest)] for first, rest in rows}


def test_seteuid_in_threads_gives_wrong_owners_but_impersonate_does_not():
    found = figures("seteuid_in_threads.py", 8, 100)
    if found:
        operations, failed, wrong = found["os.seteuid"]
        assert operations == 800
        assert failed + wrong > 0
        assert found["replace.impersonate"] == [800, 0, 0]


def test_libc_call_costs_more_than_ours_with_64_threads():
    found = figures("cost_of_threads.py", 1, 64)
    if found:
        assert set(found) == {"1", "64"}
        ours, _, libc, _ = found["64"]
        assert libc > ours, "with 64 threads, the call of libc must take longer (measured: 300 times as long)"


def test_only_the_os_call_waits_for_a_thread_in_vfork():
    found = figures("vfork_stall.py", 4)
    if found:
        assert found["os.setresuid"][0] > 1, "this call must wait for most of the 4 seconds"
        assert found["replace.setresuid"][0] < found["os.setresuid"][0] / 2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_on_a_page_and_shows_its_command(path):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    if "__main__" not in path.read_text():  # a module that other examples import
        assert f"docs/examples/{path.name}" in pages
        return
    assert re.search(rf"^( {{4}})?python3? docs/examples/{path.name}", pages, re.M)
    assert re.search(rf"(usage: |    )python3? (docs/examples/)?{path.name}", path.read_text())
