# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report: its schema, the contents of each copy, and its output formats on the command line."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import cross_answers
import golden
import pytest
import python_face
import report as build_side
from questions import THREAD, questions
from support.builds import NO_C_LIBRARY, imported, run, tool
from support.schema import SCHEMA, valid
from verdict import Refused, decide, has_32_bit

import replace
from replace._build import package_file
from replace._cli import answers as answers_file
from replace._cli import documents, markdown
from replace._cli.report import FORMS

RUN_QUESTIONS = [q.id for q in questions() if q.kind == "run"]


def command(*arguments, **kwargs):
    return run(sys.executable, "-m", "replace", *arguments, cwd="/", **kwargs)


def full_answers(platform):
    answers = json.loads((platform / "answers.json").read_text())
    return {
        **answers,
        "project:version": "0",
        "machine:system": "x",
        "private-machine:build_host": "builder",
        "toolchain:compiler": "cc",
    }


def test_installed_report_satisfies_the_schema():
    schema = SCHEMA
    imported("jsonschema").Draft202012Validator.check_schema(schema)
    valid(replace.report())


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_report_of_every_platform_satisfies_the_schema(platform, installed):
    document = valid(build_side.build(full_answers(platform), installed))
    assert ("builder" in json.dumps(document)) == (not installed)
    assert document["left_out"] == (["paths and host names"] if installed else [])


def test_reproducible_build_leaves_out_results_of_run_probes():
    answers = full_answers(golden.GOLDEN / "linux-glibc-x86_64")
    other = dict(answers)
    for key in list(other):
        if key.endswith(":how") and other[key] == "not run":
            other.update({key: "ran", key[:-4]: "no", key[:-4] + ":evidence": "asked by euid 0"})
    assert other != answers
    document = build_side.build(other, True)
    assert "asked by euid 0" in json.dumps(document)
    assert "asked by euid 0" in document["verdict"]["warnings"][0]
    reproducible = {"environment:reproducible": "yes"}
    without = build_side.build({**answers, **reproducible}, True)
    assert without == build_side.build({**other, **reproducible}, True)
    assert without["left_out"] == ["paths and host names", "results of run probes"]
    in_build_folder = build_side.build({**other, **reproducible}, False)
    assert "asked by euid 0" in json.dumps(in_build_folder)


def test_installed_report_leaves_out_names_of_hosts_and_folders():
    """The name of an answers file and the output of an exe wrapper can contain names of hosts and folders."""
    answers = full_answers(golden.GOLDEN / "linux-glibc-x86_64")
    first, second, *_ = RUN_QUESTIONS
    answers.update({first: "yes", f"{first}:how": "answers file", f"{first}:evidence": "secrethost.txt:7"})
    ran = "exit status 0; on secrethost in /secret; YES; asked by euid 0"
    answers.update({second: "yes", f"{second}:how": "ran under an exe wrapper", f"{second}:evidence": ran})
    assert "secret" in json.dumps(build_side.build(answers, False))
    document = valid(build_side.build(answers, True))
    assert "secret" not in json.dumps(document)
    evidence = {question["id"]: question["evidence"] for question in document["questions"]}
    assert (evidence[first], evidence[second]) == ("line 7", "exit status 0")


def test_both_copies_have_the_arguments_without_paths():
    """A compiler's argument can contain the build folder, which differs in each build."""
    given = {
        "-O2": "-O2",
        "-Wl,-z,relro": "-Wl,-z,relro",
        "-I/secret/include": "-I...",
        "-Isecret/include": "-I...",
        "-isystem/secret": "-isystem...",
        "/secret/x.specs": "...",
        "../secret": "...",
        "-specs=/secret": "-specs=...",
        "-ffile-prefix-map=/secret/a,b=/secret=.": "-ffile-prefix-map=...",
        "-Wl,-rpath,/secret:/secret": "-Wl,-rpath,...",
        "-DWORDS=a b": "'-DWORDS=a b'",
        '-DPATH="/secret and more"': "-DPATH=...",
        "@/secret": "@...",
    }
    answers = full_answers(golden.GOLDEN / "linux-glibc-x86_64")
    answers["toolchain:c_args"] = "\n".join(given)
    answers["toolchain:c_link_args"] = "\n".join(["-s", *given])
    installed, full = (valid(build_side.build(answers, copy)) for copy in (True, False))
    assert "secret" not in json.dumps(installed)
    assert installed["toolchain"]["c_args"] == full["toolchain"]["c_args"] == " ".join(given.values())
    assert shlex.split(full["toolchain"]["exact_c_args"]) == list(given)
    assert shlex.split(full["toolchain"]["exact_c_link_args"]) == ["-s", *given]
    answers.update({"toolchain:c_args": "", "toolchain:c_link_args": "-Wl,-z,relro"})
    assert build_side.build(answers, False)["toolchain"].keys() == installed["toolchain"].keys()


def test_report_has_the_facts_that_packagers_compare():
    known = replace.report()["toolchain"]
    names = {"compiler", "linker", "c_args", "c_link_args", "buildtype", "optimization", "debug", "b_ndebug", "b_lto"}
    assert names | {"meson", "python", "cffi", "tag"} == set(known)
    described = SCHEMA["properties"]["toolchain"]["description"]
    assert [name for name in known if not re.search(rf"\b{name}\b", described)] == []


def test_report_of_an_older_version_is_shown(tmp_path):
    """Reports of 0.1.0 without the newer facts are valid and readable."""
    document = replace.report()
    document["toolchain"] = {"compiler": "gcc 12.2.0", "meson": "1.3.2"}
    del document["verdict"]["no_ring"]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(valid(document)))
    for option in ([], *([f"--{name}"] for name in FORMS)):
        assert command("report", path, *option).returncode == 0


@pytest.mark.parametrize(("reason", "words"), [("", "built"), ("no headers", "not built: no headers")])
def test_each_form_for_people_says_whether_there_is_a_ring(tmp_path, reason, words):
    document = replace.report()
    document["verdict"]["no_ring"] = reason
    path = tmp_path / "report.json"
    path.write_text(json.dumps(valid(document)))
    for option in ([], ["--markdown"], ["--html"]):
        text = re.sub(r"<[^>]*>|`", " ", command("report", path, *option).stdout)
        assert re.search(rf"\bring( \(io_uring\))?:? +{words}\s", text), option


def test_commands_and_messages_of_the_compiler_are_only_in_the_build_folder():
    answers = full_answers(golden.GOLDEN / "linux-glibc-x86_64")
    answers["private-evidence:libreplace_have_setuidx"] = "cc -I/secret: question.c:1: error: no setuidx"
    assert golden.portable(answers) == golden.portable(full_answers(golden.GOLDEN / "linux-glibc-x86_64"))
    for installed, expected in ((False, "cc -I/secret: question.c:1: error: no setuidx"), (True, "")):
        document = valid(build_side.build(answers, installed))
        evidence = {question["id"]: question["evidence"] for question in document["questions"]}
        assert evidence["libreplace_have_setuidx"] == expected


def test_schema_allows_unknown_fields_and_requires_known_ones():
    jsonschema = imported("jsonschema")
    document = replace.report()
    document["verdict"]["new"] = document["new"] = 1
    jsonschema.validate(document, SCHEMA)
    with pytest.raises(jsonschema.ValidationError, match="'new' was unexpected"):
        valid(document)
    del document["verdict"]["calls"][3]["symbol"]
    with pytest.raises(jsonschema.ValidationError, match="'symbol' is a required property"):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot read .*: No such file"),
        ("{", r"is not a report: it is not JSON \(Expecting"),
        ("\xff", "is not a report: .*utf-8"),
        ("[]", "no schema_version"),
        ('{"verdict": {}}', "no schema_version"),
        ('{"schema_version": 2, "verdict": {}}', "has schema_version 2; libreplace .* can read only 1"),
        ('{"schema_version": 1, "verdict": {}}', "is not a report: it has no "),
        ({"questions": 5}, "is not a report: questions is not an array"),
        ({"questions": []}, "is not a report: questions is empty"),
        ({"questions": [{"id": "x"}]}, r"is not a report: it has no questions\[0\].question"),
        ({"machine": None}, "is not a report: machine is not an object"),
        ({"toolchain": {"\x1b[2J": 1}}, r"is not a report: toolchain.\\u001b\[2J is not a string"),
        ({"version": 1}, "is not a report: version is not a string"),
        ({"left_out": ["x"]}, r"is not a report: left_out\[0\] is none of paths and host names, results of run"),
        ({"overrides": {}}, "is not a report: it has no overrides.used"),
    ],
    ids=str,
)
@pytest.mark.parametrize("option", [[], *([f"--{name}"] for name in FORMS)], ids=str)
def test_report_command_refuses_an_invalid_file(tmp_path, option, text, why):
    path = tmp_path / "file.json"
    if isinstance(text, dict):
        text = json.dumps({**replace.report(), **text})
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    out = command("report", path, *option)
    assert out.returncode == 2
    assert out.stdout == ""
    assert re.search(why, out.stderr), out.stderr
    assert out.stderr.count("\n") == 1


def places(value, place=()):
    """Yield the place of each field, and of the first item of each list."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*place, key)
        yield from places(inner, (*place, key))


@pytest.mark.parametrize("value", ["missing", None, 1, True, "x", [], ["x"], {}, {"x": "y"}], ids=str)
def test_reader_agrees_with_the_schema_about_every_field(tmp_path, value):
    """The reader refuses a file exactly if jsonschema does. Otherwise, a form could fail in the middle."""
    jsonschema = imported("jsonschema")
    path = tmp_path / "file.json"
    original = replace.report()
    for *folders, name in places(original):
        document = parent = json.loads(json.dumps(original))
        for folder in folders:
            parent = parent[folder]
        if value != "missing":
            parent[name] = value
        elif isinstance(parent, dict):
            del parent[name]
        path.write_text(json.dumps(document))
        fits = not list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document))
        try:
            documents.load(str(path))
            assert fits, (folders, name)
        except documents.NotAReport:
            assert not fits, (folders, name)


def test_control_characters_in_a_report_do_not_reach_the_terminal(tmp_path):
    document = replace.report()
    for question in document["questions"]:
        question["evidence"] = "\x1b]0;title\x07 \x9b2J \x7f \r"
    path = tmp_path / "file.json"
    path.write_text(json.dumps(document))
    for form in ([], *([f"--{name}"] for name in FORMS)):
        text = command("report", *form, path).stdout
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), form
        assert r"\u001b]0;title\u0007" in text, form
    assert json.loads(command("report", "--json", path).stdout) == document


def test_report_command_reads_the_report_of_another_build(tmp_path):
    answers = full_answers(golden.GOLDEN / "netbsd-x86_64")
    (tmp_path / "netbsd.json").write_text(json.dumps(build_side.build(answers, False)))
    assert "built for: netbsd" in command("report", tmp_path / "netbsd.json").stdout


# ---- Each question as a program, and the answers as a file


def test_commands_in_the_report_give_the_same_answers(tmp_path):
    """Run every command of the report, with its source, in an empty folder."""
    tool("cc", "the compiler that the report names")
    document = replace.report()
    for name, text in document["probe_headers"].items():
        (tmp_path / name).write_text(text)
    for question in document["questions"]:
        is_probe = question["kind"] in ("link", "run")
        (tmp_path / (question["subject"] if is_probe else "question.c")).write_text(question["source"])
        out = run("sh", "-c", question["command"], cwd=tmp_path)
        status = {0: "yes", 77: "unknown"}.get(out.returncode, "no")
        if question["kind"] == "define":
            value = re.search(r'value = "(.*)";', out.stdout)
            status = value.group(1) if out.returncode == 0 and value else "no"
        elif question["kind"] == "type":
            status = question["answer"] if out.returncode == 0 else "another"
        if question["kind"] == "run":
            assert question["id"] == "libreplace_use_setuidx" or "asked by euid" in out.stdout, out.stderr
        else:
            assert status == question["answer"], f"{question['id']}: {question['command']}\n{out.stderr}"


def test_report_names_an_answer_only_if_the_step_used_it(tmp_path):
    """The result of a run decides nothing; the same answer given by hand does."""
    for how, used in (("ran", ""), ("answers file", "; from thread_credentials.c: yes, answers file")):
        answers = {**full_answers(golden.GOLDEN / "linux-glibc-x86_64"), THREAD: "yes", THREAD + ":how": how}
        path = tmp_path / "report.json"
        path.write_text(json.dumps(build_side.build(answers, False)))
        text = words(command("report", path).stdout)
        (step,) = re.findall(r"an answer given by hand say\? \w+ \([^()]*\)(.*?) (?:Is the C library|Questions)", text)
        assert step == used
        assert (f'href="#{THREAD}"' in command("report", "--html", path).stdout) == bool(used)


@pytest.mark.parametrize("run_says", ["yes", "no", "unknown"])
@pytest.mark.parametrize("given", ["yes", "no", ""])
@pytest.mark.parametrize("option", ["auto", "syscall", "libc"])
@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_answers_of_a_report_give_the_same_verdict(platform, option, given, run_says, tmp_path):
    """For all results, given answers and options, and also for copies without the results of run probes."""
    answers = {**full_answers(platform), "option:credentials": option}
    for question in RUN_QUESTIONS:
        answers.update({question: run_says, question + ":how": "ran", question + ":evidence": "a\n# b: OK"})
    if given:
        answers.update({THREAD: given, THREAD + ":how": "answers file"})
    try:
        before = decide(answers)
    except Refused:
        return  # there is no verdict to compare
    for reproducible in ("yes", "no"):
        document = valid(build_side.build({**answers, "environment:reproducible": reproducible}, True))
        text = "\n".join([*answers_file.as_answers(document), ""]).encode()
        lines = cross_answers.lines("answers", text)
        wide = ":32" if has_32_bit(answers) else ""
        assert [line.id.removesuffix(wide) for line in lines] == RUN_QUESTIONS
        found = {line.id.removesuffix(wide): line.answer for line in lines}
        after = decide({**answers, **found, **{key + ":how": "answers file" for key in found}})
        kept = ("backend", "scope", "libc", "family", "calls")
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        assert cross_answers.completed("answers", text, {**answers, **found}) == (text, []), "nothing is unanswered"


def test_report_returns_a_fresh_copy():
    replace.report()["verdict"]["scope"] = "changed"
    assert replace.report()["verdict"]["scope"] == replace.SCOPE


def test_version_and_report_need_no_data_file(tmp_path):
    """A tool that freezes a program takes only modules."""
    installed = Path(replace.__file__).parent
    files = [path for path in installed.rglob("*") if path.suffix in (".py", ".so")]
    for path in files:
        target = tmp_path / "replace" / path.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    code = "import json, replace; print(replace.__file__, replace.__version__); print(json.dumps(replace.report()))"
    out = run(sys.executable, "-c", code, env={"PYTHONPATH": str(tmp_path)}, cwd="/")
    assert out.returncode == 0, out.stderr
    first, second = out.stdout.splitlines()
    assert first == f"{tmp_path}/replace/__init__.py {replace.__version__}"
    assert json.loads(second) == replace.report()
    env = {"PYTHONPATH": str(tmp_path), "PKG_CONFIG_LIBDIR": str(tmp_path)}  # no installed libreplace is found
    out = run(sys.executable, "-c", "import replace; replace.get_include()", env=env, cwd="/")
    assert "FileNotFoundError: this package has no include/libreplace/replace.h, and" in out.stderr


def test_installed_report_file_is_the_document():
    """The file is for programs that cannot import the package. The .pc file says where it is."""
    try:
        file = package_file("build_report.json")
    except FileNotFoundError:
        pytest.skip(NO_C_LIBRARY)
    assert json.loads(file.read_text()) == replace.report()


@pytest.mark.parametrize("text", ['"?\\', "??/ ??= %s \\n", "\x7f\x1b\0\t", "\u00e9\u2028\ud800", "x" * 300, ""])
def test_report_with_any_characters_becomes_a_c_string(text, tmp_path):
    (tmp_path / "native_report.h").write_text(python_face.native_report(json.dumps([text])))
    program = '#include <stdio.h>\n#include "native_report.h"\nint main(void) { return puts(build_report) < 0; }\n'
    (tmp_path / "print.c").write_text(program)
    compiler = [tool("cc", "compiles the report"), "-std=c11", "-Wall", "-Werror"]
    out = run(*compiler, tmp_path / "print.c", "-o", tmp_path / "print")
    assert out.returncode == 0, out.stderr
    assert json.loads(run(tmp_path / "print").stdout) == [text]


def test_version_is_the_same_everywhere():
    from importlib.metadata import version

    assert replace.__version__ == replace.report()["version"] == version("libreplace")
    assert replace.__version__ in command("--version").stdout


def test_report_json_is_the_document():
    out = command("report", "--json")
    assert out.returncode == 0
    assert json.loads(out.stdout) == replace.report()


def words(text):
    """The text with each run of white space as one space, since the command folds long lines."""
    return " ".join(text.split())


@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_report_text_fits_one_screen(platform, tmp_path):
    """It has the verdict, the reason, every call, the steps with their answers, and the probes, in this order."""
    answers = full_answers(platform)
    for probe in RUN_QUESTIONS:
        how = {f"{probe}:how": "ran", f"{probe}:evidence": f"exit status 77; {probe} cannot tell here; asked by euid 0"}
        answers.update(how)
    document = valid(build_side.build(answers, True))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    text = command("report", path).stdout
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) < 80
    flat = words(text)
    probes = [q for q in document["questions"] if q["kind"] == "run"]
    expected = [
        f"{document['verdict']['backend']} back end",
        document["verdict"]["rule"],
        *(f"{s['question']} {s['answer']}" for s in document["decision"] if s["answer"]),
        *(words(f"{q['question']}: {q['answer']}, {q['how']} {q['evidence']}") for q in probes),
    ]
    places = [flat.index(one) for one in expected]
    assert places == sorted(places)
    for call in document["verdict"]["calls"]:
        assert re.search(rf"[:,] {call['name']}\b", flat)
        plain = call["symbol"] in ("ENOSYS", call["name"], f"SYS_{call['name']}")
        assert f"{call['name']} ({call['symbol']})" in flat or plain
    used = {name for step in document["decision"] if step["answer"] for name in step["questions"]}
    for question in document["questions"]:
        if question["kind"] != "run":  # no run question has an answer given by hand here
            assert (question["subject"] in flat) if question["id"] in used else (question["question"] not in flat)


def test_report_all_has_every_question_with_its_evidence_below_it(tmp_path):
    document = replace.report()
    long = "cc -c question.c\n" + "a word " * 40 + "/a/path/" + "x" * 100
    document["questions"][0]["evidence"] = long
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    lines = command("report", "--all", path).stdout.splitlines()
    for question in document["questions"]:
        (row,) = [line for line in lines if re.match(rf"{re.escape(question['question'])}  ", line)]
        how = "" if question["how"] == "compiled" else f", {question['how']}"
        assert re.split("  +", row) == [question["question"], question["answer"] + how]
        below = lines[lines.index(row) + 1 :]
        evidence = next(n for n, line in enumerate([*below, ""]) if not line.startswith("      "))
        assert words(" ".join(below[:evidence])) == words(question["evidence"])
    wide = [line for line in lines if len(line) > 80]  # of i386 and arm, one of Samba's questions is
    assert [line for line in wide if "with 32-bit system calls" not in line] == ["        /a/path/" + "x" * 100]
    assert "      cc -c question.c" in lines
    for name in ("options", "machine", "toolchain"):
        assert all(f"  {key}: {value or 'none'}" in lines for key, value in document[name].items())
    assert all(c["symbol"] in " ".join(lines) for c in document["verdict"]["calls"])


def test_report_text_says_why_probes_were_not_recorded(tmp_path):
    answers = {**full_answers(golden.GOLDEN / "linux-glibc-x86_64"), "environment:reproducible": "yes"}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(build_side.build(answers, True)))
    for form, count in (([], 1), (["--all"], len(RUN_QUESTIONS))):
        assert command("report", *form, path).stdout.count("because SOURCE_DATE_EPOCH is set") == count


def hostile():
    """Return a report in which every text contains markup."""
    document = replace.report()
    markup = "<b>a|b</b> `c` @d #1 *e*\n|\\|<script>x</script>``"

    def spoil(value, key=""):
        if isinstance(value, dict):
            return {k: spoil(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        fixed = ("backend", "scope", "kind", "answer", "how", "leads_to", "left_out", "id", "cross_answer")
        text = markup.replace("\n", " ") if key == "question" else markup  # a question is one line
        return f"{value} {text}" if isinstance(value, str) and key not in fixed else value

    return valid(spoil(document))


@pytest.mark.parametrize("make", [replace.report, hostile], ids=["this build", "markup in texts"])
def test_report_markdown_has_every_call_and_question(make):
    """An independent parser finds a table of calls, a table of questions, and complete cells."""
    document = make()
    tokens = (
        imported("markdown-it-py", "markdown_it")
        .MarkdownIt("commonmark")
        .enable("table")
        .parse("\n".join(markdown.as_markdown(document)))
    )
    assert tokens[0].tag == "h3"
    rows, html = [], []
    for before, token in zip(tokens, tokens[1:], strict=False):
        if before.type == "tr_open":
            rows.append([])
        if before.type in ("td_open", "th_open"):
            rows[-1].append("".join(child.content for child in token.children))
        if token.type == "html_block":
            html.append(token.content)
        assert all(
            child.type in ("text", "code_inline", "strong_open", "strong_close") for child in token.children or []
        )
    assert len(html) == 2
    assert html[0].startswith("<details>\n<summary>")
    assert html[1].strip() == "</details>"

    def one_line(text):
        return " ".join(str(text).split()).replace("\\|", "\\ |")  # Markdown parsers, for example GitHub's, differ here

    calls = [[one_line(v) for k, v in c.items() if k != "kind"] for c in document["verdict"]["calls"]]
    questions = [[one_line(q[k]) for k in ("question", "answer", "how", "evidence")] for q in document["questions"]]
    decided = rows[len(calls) + 1 : -len(questions) - 1]
    assert [row[0] for row in decided[1:]] == [one_line(s["question"]) for s in document["decision"] if s["answer"]]
    assert rows == [
        ["call", "back end", "symbol", "scope"], *calls,
        ["step", "answer", "from"], *decided[1:],
        ["question", "answer", "how", "evidence"], *questions,
    ]  # fmt: skip


def test_exported_answers_explain_their_use():
    text = command("report", "--answers").stdout
    assert f"-Dcredentials={replace.report()['options']['credentials']} -Dcross_answers=" in text
    assert [line for line in text.splitlines() if not line.startswith(("#", "Checking "))] == []


def test_wrong_usage_exits_with_2():
    out = command("reports")
    assert out.returncode == 2
    assert "invalid choice" in out.stderr
    assert command("report", "--yaml").returncode == 2
    assert "not allowed with" in command("report", "--all", "--json").stderr, "each form but the text has everything"
    assert "exit status:\n  0  every claim was proved\n" in command("verify", "--help").stdout
