# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""tests/benchmarks/: the results that do not depend on speed, and the tables in docs/."""

import json
import re
import sys

import pytest
from support.builds import ROOT, needs_package, run, tool
from support.children import needs_root

import replace

COMPARE = ROOT / "tests" / "benchmarks" / "compare.py"
PLOTS = ROOT / "docs" / "plots"
WAYS = {"impersonate", "os", "ctypes", "pyprctl", "worker", "pool"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The results of compare.py --quick on this machine."""
    needs_root()
    needs_package("pyprctl")
    tool("strace", "counts the id changes")
    path = tmp_path_factory.mktemp("compare") / "found.json"
    out = run(sys.executable, COMPARE, "--quick", "--json", path, cwd="/")
    if replace.SCOPE != "thread":
        assert out.returncode == 1
        assert "there is nothing to compare" in out.stderr
        pytest.skip("needs a build whose calls change one thread")
    assert path.exists(), out.stderr
    result = json.loads(path.read_text())
    exceeded = [row["what"] for row in result["limits"] if row["seen"] > row["limit"]]
    assert out.returncode == (1 if exceeded else 0), out.stderr
    assert out.stdout.count("ABOVE") == len(exceeded)
    return result


def test_every_combination_is_measured(found):
    cells = {(row["way"], row["threads"], row["busy"]) for row in found["switches"]}
    assert not found["left_out"]
    assert cells == {(way, n, 0) for way in WAYS for n in (1, 8, 64)} | {
        (way, n, 4) for way in WAYS for n in (5, 8, 64)
    }
    assert all(row["us"] > 0 and row["count"] > 0 for row in found["switches"])


def test_only_os_calls_change_other_threads(found):
    many_threads = [row for row in found["switches"] if row["threads"] > 5]
    assert {row["way"] for row in many_threads if row["others_changed"]} == {"os"}
    assert all(row["others_changed"] for row in many_threads if row["way"] == "os")


def test_ten_thousand_identities_take_less_than_ten_megabytes(found):
    memory = found["identities"]
    assert memory["count"] == 10000
    assert 10000 * 16 * 4 < memory["traced"] < 10_000_000
    assert 10000 * 16 * 4 < memory["grown"] < 10_000_000


def test_tasks_of_one_user_make_no_id_changes(found):
    same = [row for row in found["executor"]["changes"] if row["who"] == "same"]
    assert [row["changes"] for row in same] == [0, 0, 0]
    assert {row["workers"] for row in same} == {1, 8}


def test_tasks_of_random_users_make_fewer_than_six_changes_each(found):
    rows = [row for row in found["executor"]["changes"] if row["who"] == "random"]
    assert {row["in_flight"] for row in rows} == {0, 8, 16}
    for row in rows:
        assert 0 < row["changes"] < 6 * row["tasks"]
    (each,) = [row for row in found["executor"]["changes"] if row["who"] == "each"]
    assert each["changes"] == 6 * each["tasks"], "acting_as() makes exactly six changes for each task"


def test_limits_that_do_not_depend_on_time_are_kept(found):
    assert [row for row in found["limits"] if not row["timed"] and row["seen"] > row["limit"]] == []


def test_speed_page_shows_the_recorded_measurements():
    """docs/plots/compare.json records one full run. docs/speed.md contains the tables that compare.py prints for it."""
    out = run(sys.executable, COMPARE, "--from", PLOTS / "compare.json", cwd="/")
    text = (ROOT / "docs" / "speed.md").read_text()
    tables = out.stdout.strip().split("\n\n")
    assert len(tables) == 6
    for table in tables:
        assert table in text
    for plot in PLOTS.glob("*.svg"):
        assert f"](plots/{plot.name})" in text
    assert len(list(PLOTS.glob("*.svg"))) == 3


def test_plots_without_matplotlib_report_the_missing_package(tmp_path):
    # None in sys.modules makes the import fail, even if matplotlib is installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None\n")
    out = run(sys.executable, COMPARE, "--plots", tmp_path, cwd="/", env={"PYTHONPATH": str(tmp_path)})
    assert out.returncode == 1
    assert "--plots needs matplotlib" in out.stderr


def test_load_test_measures_each_framework_bare_and_as_the_user():
    """frameworks.py checks every answer. docs/speed.md has the table of a full run."""
    needs_root()
    needs_package("cheroot", "django", "fastapi", "flask", "gunicorn", "uvicorn")
    if replace.SCOPE != "thread":
        pytest.skip("needs a build whose calls change one thread")
    out = run(sys.executable, COMPARE.parent / "frameworks.py", "--quick", cwd="/")
    assert out.returncode == 0, out.stderr

    def rows(text):
        return re.findall(
            r"^\| ([^|]+, (?:cheroot|gunicorn|uvicorn)) \|[^|]+\|[^|]+\| ([^|]+) \| [\d.]+ \|", text, re.M
        )

    assert len(rows(out.stdout)) == 5, out.stdout
    assert rows(out.stdout) == rows((ROOT / "docs" / "speed.md").read_text())


def test_load_test_of_the_file_service_checks_every_answer():
    """64 users, 1000 connections, both back ends. docs/files.md has the table of a full run."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs a build whose calls change one thread")
    out = run(sys.executable, COMPARE.parent / "file_service.py", "--quick", cwd="/")
    assert out.returncode == 0, out.stderr

    def rows(text):
        return re.findall(r"^\| ((?:GET|PUT), [^|]+) \| (\w+) \| \d+ \| [\d.]+ \w+ \| \d+ \|$", text, re.M)

    assert len(rows(out.stdout)) == 6, out.stdout
    assert rows(out.stdout) == rows((ROOT / "docs" / "files.md").read_text())


def test_benchmark_of_files_measures_every_way():
    """docs/speed.md has the tables of a full run. The exit status says whether a promise about time is broken."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs a build whose calls change one thread")
    out = run(sys.executable, COMPARE.parent / "files.py", "--quick", cwd="/")
    if out.returncode == 2:
        pytest.skip(out.stderr)
    page = (ROOT / "docs" / "speed.md").read_text()
    tables = [table.splitlines() for table in out.stdout.split("\n\n") if table.startswith("|")]
    assert [len(table) for table in tables] == [6, 6, 10, 4], out.stdout + out.stderr
    for table in tables:
        assert table[0] in page
        for line in table[2:]:
            first, *cells = line.split(" | ")
            assert f"\n{first} | " in page
            assert all(cells), line
    assert out.returncode == ("BROKEN" in out.stdout), out.stderr
    assert out.stdout.count("BROKEN") + out.stdout.count("kept") == 2
