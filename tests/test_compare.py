# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace compare` shows reports side by side."""

import json
import re

import pages
import pytest
from support.builds import imported
from support.schema import valid
from test_report import command, hostile

import replace
from replace._cli import compare

#: name, platform family, -Dcredentials
COLUMNS = (
    ("linux-glibc-64-bit", "glibc 64-bit", "auto"),
    ("linux-glibc-32-bit", "glibc 32-bit", "auto"),
    ("linux-glibc-libc-s-calls", "glibc 64-bit", "libc"),
    ("linux-musl", "musl", "auto"),
    ("linux-musl-raw-calls", "musl", "syscall"),
    ("macos", "macOS", "auto"),
    ("freebsd", "FreeBSD", "auto"),
    ("netbsd", "NetBSD", "auto"),
)


@pytest.fixture
def files(tmp_path):
    """The reports of all platform families, in files named after the platforms."""
    paths = []
    for name, family, credentials in COLUMNS:
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(valid(pages.report_of(family, credentials))))
    return paths


def cells(markdown):
    """Parse every table with an independent parser; return rows of (text, bold) cells."""
    rows = []
    tokens = imported("markdown-it-py", "markdown_it").MarkdownIt("commonmark").enable("table").parse(markdown)
    for before, token in zip(tokens, tokens[1:], strict=False):
        if before.type == "tr_open":
            rows.append([])
        if before.type in ("td_open", "th_open"):
            kinds = [child.type for child in token.children]
            rows[-1].append(("".join(child.content for child in token.children), "strong_open" in kinds))
    return rows


WIDE = {"COLUMNS": "1000"}  # each table fits


def test_compare_marks_the_calls_that_differ(files):
    text = command("compare", *files, env=WIDE)
    assert text.returncode == 1, text.stderr
    lines = {line.split()[0]: re.split(r"  +", line) for line in text.stdout.splitlines() if line.strip()}
    assert lines["calls"][1:] == [path.stem for path in files]
    row = dict(zip(lines["calls"][1:], lines["setresuid"][1:], strict=True))
    assert row["linux-glibc-64-bit"] == row["linux-musl-raw-calls"]
    assert row["linux-glibc-64-bit"] == "* syscall SYS_setresuid, thread", "three of eight platforms have this call"
    assert row["linux-glibc-32-bit"] == "* syscall SYS_setresuid32, thread"
    assert row["freebsd"] == row["linux-musl"]
    assert row["netbsd"] == "* emulated setreuid, setuid, process"
    assert lines["back"][1:] == ["* syscall", "* syscall", "libc", "libc", "* syscall", "libc", "libc", "libc"]
    assert "define_linux" in lines
    assert "getresuid" in lines, "it differs on NetBSD"
    assert "have_setuid" not in lines, "all reports have the same answer"

    bold = {row[0][0]: row[1:] for row in cells(command("compare", "--markdown", *files).stdout)}
    plain = {name: [(c.removeprefix("* "), c.startswith("* ")) for c in row[1:]] for name, row in lines.items()}
    calls = [call["name"] for call in replace.report()["verdict"]["calls"]]
    assert len([name for name in calls if name in plain]) > 10
    assert {name: bold.get(name) for name in calls} == {name: plain.get(name) for name in calls}


def test_compare_uses_the_shortest_distinct_names(tmp_path):
    assert compare.names(["/a/one.json", "/b/two.json"]) == ["one", "two"]
    paths = ["/m1/b/build_report.json", "/m2/b/build_report.json"]
    assert compare.names(paths) == ["m1/b/build_report", "m2/b/build_report"]
    assert compare.names(["x.json", "x.json"]) == ["x.json", "x.json"]


def test_compare_accepts_reports_of_other_versions(files):
    """One report has a question, a call and a field that the other reports or this version do not know."""
    document = json.loads(files[0].read_text())
    document["later"] = {"field": 1}
    document["verdict"]["calls"][0]["name"] = "setluid"
    document["questions"][0]["id"] = "libreplace_later"
    files[0].write_text(json.dumps(document))
    rows = {row[0][0]: [text for text, _ in row[1:]] for row in cells(command("compare", "--markdown", *files).stdout)}
    assert rows["setluid"][1:] == ["-"] * (len(files) - 1)
    assert rows["setuid"][0] == "-"
    assert rows["later"][1:] == ["not asked"] * (len(files) - 1)


def test_missing_value_is_never_the_most_common_one(tmp_path):
    paths = [tmp_path / f"{name}.json" for name in "abcd"]
    for number, path in enumerate(paths):
        document = replace.report()
        document["toolchain"].update({} if number > 1 else {"later": str(number)})
        path.write_text(json.dumps(document))
    rows = {row[0][0]: row[1:] for row in cells(command("compare", "--markdown", *paths).stdout)}
    assert rows["toolchain later"] == [("0", False), ("1", True), ("-", False), ("-", False)]
    assert re.search(r"^toolchain later +0 +\* 1 +- +-$", command("compare", *paths, env=WIDE).stdout, re.MULTILINE)


def test_markup_in_reports_stays_in_its_cell(tmp_path):
    paths = [tmp_path / "a|b.json", tmp_path / "c.json"]
    paths[0].write_text(json.dumps(hostile()))
    paths[1].write_text(json.dumps(replace.report()))
    rows = cells(command("compare", "--markdown", *paths).stdout)
    assert {len(row) for row in rows} == {3}
    assert [text for text, _ in rows[0]] == ["facts", "a|b", "c"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (None, "cannot read .*: No such file"),
        ("text", "is not a report: "),
        ({"schema_version": 2}, "has schema_version 2; .* can read only 1"),
        ({"schema_version": "1"}, "is not a report: schema_version is not an integer"),
        ({"verdict": {}}, "is not a report: it has no verdict.backend"),
        ({"version": 1}, "is not a report: version is not a string"),
    ],
    ids=str,
)
@pytest.mark.parametrize("markdown", [[], ["--markdown"]], ids=str)
def test_compare_refuses_a_file_that_is_not_a_report(files, tmp_path, change, why, markdown):
    bad = tmp_path / "bad.json"
    if isinstance(change, dict):
        bad.write_text(json.dumps({**replace.report(), **change}))
    elif change:
        bad.write_text(change)
    out = command("compare", files[0], bad, *markdown)
    assert (out.returncode, out.stdout) == (2, "")
    assert re.fullmatch(r".*bad.json.*\n|cannot read .*\n", out.stderr)
    assert re.search(why, out.stderr), out.stderr


def test_compare_of_equal_reports_exits_with_0(files):
    out = command("compare", files[0], files[0])
    assert out.returncode == 0, out.stderr
    assert out.stdout.endswith("\nThe reports say the same.\n")
    assert out.stdout.count("*") == 1, "only the legend has an asterisk"
    document = json.loads(command("compare", "--json", files[0], files[0]).stdout)
    assert (document["same"], document["differ"]) == (True, [])


def changed(path, change, name="changed"):
    """Write a copy of the report after change(document). Return its path."""
    document = json.loads(path.read_text())
    change(document)
    copy = path.with_stem(name)
    copy.write_text(json.dumps(valid(document)))
    return copy


def toolchain(document):
    document["toolchain"]["c_args"] = "-O2 -fcf-protection"
    document["version"] = "0.0.9"


def question(document, name):
    (found,) = [q for q in document["questions"] if q["id"] == f"libreplace_{name}"]
    return found


def probe(document):
    question(document, "have_linux_thread_credentials").update(answer="no", how="ran", evidence="exit status 1")


def answer(document):
    question(document, "header_unistd_h")["answer"] = "no"


def step(document):
    document["decision"][0].update(answer="syscall")


ONLY = "The verdict and all calls are the same. Different: "


@pytest.mark.parametrize(
    ("change", "rows", "end"),
    [
        (
            toolchain,
            [["toolchain c_args", "-O2", "* -O2 -fcf-protection"], ["version", "0", "* 0.0.9"]],
            ONLY + "build.",
        ),
        (probe, [["have_linux_thread_credentials", "unknown, not run", "* no, ran"]], ONLY + "probes."),
        (answer, [["header_unistd_h", "yes", "* no"]], ONLY + "answers."),
        (
            step,
            [["What is the value of -Dcredentials?", "auto", "* syscall"]],
            "Different: steps.\nThe same: facts, build, calls, answers, probes.",
        ),
    ],
)
def test_compare_says_what_differs(files, change, rows, end):
    first = changed(files[0], lambda document: document["toolchain"].update(c_args="-O2"), "first")
    out = command("compare", first, changed(first, change))
    assert out.returncode == 1
    assert out.stdout.endswith(f"\n{end}\n")
    printed = [re.split("  +", line) for line in out.stdout.splitlines()]
    assert all(row in printed for row in rows), out.stdout


def test_facts_that_one_copy_lacks_are_no_difference(files):
    """An installed copy has no host names, a reproducible one has no results, and an old one has fewer facts."""

    def more(document):
        document["machine"]["build_host"] = "secret"
        document["toolchain"]["c_args"] = "-O2"

    def less(document):
        document["left_out"] = ["paths and host names", "results of run probes"]
        for question in document["questions"]:
            if question["kind"] == "run":
                question.update(answer="unknown", how="not recorded", evidence="left out")

    out = command("compare", changed(files[0], more, "more"), changed(files[0], less, "less"))
    assert out.returncode == 0, out.stdout
    assert out.stdout.endswith("The reports say the same. Only texts of evidence differ.\n")


def test_wide_table_becomes_a_list(files):
    narrow = command("compare", *files, env={"COLUMNS": "80"}).stdout
    lines = narrow.splitlines()
    assert max(map(len, lines)) < 80
    start = lines.index("  setresuid")
    assert lines[start + 1 : start + 4] == [
        "    * syscall SYS_setresuid, thread: linux-glibc-64-bit, linux-musl-raw-calls",
        "    * syscall SYS_setresuid32, thread: linux-glibc-32-bit",
        "      libc setresuid, process: linux-glibc-libc-s-calls, linux-musl, freebsd",
    ]


def test_compare_json_has_every_cell(files):
    out = command("compare", "--json", *files)
    assert out.returncode == 1, out.stderr
    document = json.loads(out.stdout)
    assert document["same"] is False
    assert document["differ"] == ["facts", "build", "steps", "calls", "answers", "probes"]
    assert document["reports"] == [path.stem for path in files]
    for number, path in enumerate(files):
        report = json.loads(path.read_text())
        verdict, name = report["verdict"], document["reports"][number]
        assert document["facts"]["back end"][name] == verdict["backend"]
        assert [document["calls"][call["name"]][name].split()[0] for call in verdict["calls"]] == [
            call["symbol"] if call["backend"] == "none" else call["backend"] for call in verdict["calls"]
        ]
        for question in report["questions"]:
            if question["kind"] != "run":
                answers = document["answers"][question["id"].removeprefix("libreplace_")]
                assert answers[name] == question["answer"]


@pytest.mark.parametrize("names", [[], ["one.json"]], ids=str)
def test_compare_without_two_files_exits_with_2(names):
    out = command("compare", *names)
    assert out.returncode == 2
    assert "FILE" in out.stderr
