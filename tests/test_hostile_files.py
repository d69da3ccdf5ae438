# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Files of somebody else: reports for `libreplace report` and `compare`, and answers files for -Dcross_answers.

Root may read them. Whatever is in a file, no exception escapes, and the output has no control character, no line, no
tag and no Markdown that is not ours. Hypothesis changes real files; tests/system/ lets it try more.
"""

import contextlib
import copy
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
from html.parser import HTMLParser

import cross_answers
import golden
import pytest
from questions import questions
from support.builds import imported, needs_package, run, tool
from support.schema import SCHEMA

import replace
from replace.__main__ import main
from replace._cli import documents
from replace._cli.text import harmless

MarkdownIt = imported("markdown-it-py", "markdown_it").MarkdownIt
needs_package("hypothesis")
from hypothesis import HealthCheck, configuration, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

#: The same examples in each run, and nothing that depends on the speed of the machine.
FIXED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
REPORT_FORMS = ([], ["--all"], ["--json"], ["--html"], ["--markdown"], ["--answers"])
COMPARE_FORMS = ([], ["--json"], ["--markdown"])

#: Begins a line that is not ours.
FAKE = "\nFAKE: OK"
TEXTS = [
    "",
    FAKE,
    f"x{FAKE}\r\n# FAKE",
    "\x1b]0;title\x07\x1b[2J\x1b[1A",
    "\x9b2J\x85\x7f\x08\x00",
    "\u202eevil\u2066\u2069\u200f",
    "\u2028FAKE\u2029\ufeff\U000e0041",
    "\ud800\udcff",
    '"><meta http-equiv=refresh content="0;url=//e"><form action=//e><input name=x>',
    "</code></pre></style></title><script>alert(1)</script><!--",
    "' onload='x' style='position:fixed' class='",
    "&lt;b&gt; &#60; $version ${version} %s {0}",
    "syscall x",
    "# heading\n\n* @octocat #1 [x](javascript:x) <b>b</b> ![i](//e/i) http://example.org www.example.org",
    "` `` ``` | \\| \\` `a` | **b** |\n---|---",
    "</details></summary><details>",
    "x: OK",
    "$(reboot) `reboot`; reboot",
    "A" * 200,
]
texts = st.sampled_from(TEXTS) | st.text(st.characters(), max_size=20)
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([1e999, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def small_report():
    """The installed report, with a few questions of each kind."""
    document, kinds = replace.report(), {}
    for question in document["questions"]:
        kinds.setdefault(question["kind"], []).append(question)
    document["questions"] = [question for found in kinds.values() for question in found[:2]]
    document["verdict"]["calls"] = document["verdict"]["calls"][:4]
    document["verdict"]["warnings"] = ["a warning"]
    document["overrides"] = {"used": [document["questions"][0]["id"]], "unused": ["x (file:1: yes; unknown)"]}
    return document


SMALL = small_report()


def leaves(value, place=()):
    """Yield the place of each value that is not an object or an array."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*place, key))
    else:
        yield place


LEAVES = list(leaves(SMALL))
#: Places where the schema allows every text.
LISTED = ("scope", "backend", "kind", "how", "leads_to", "cross_answer", "id")
FREE = [place for place in LEAVES if place[-1] not in LISTED]


def parent_of(document, place):
    for key in place[:-1]:
        document = document[key]
    return document


def is_there(document, place):
    try:
        parent = parent_of(document, place)
        parent[place[-1]]
    except (KeyError, IndexError, TypeError):  # an earlier change has removed it
        return False
    return not isinstance(parent, str)  # or has put a text there


@st.composite
def reports(draw):
    """The text of a report with a few changes. Many of them fit the schema."""
    document = copy.deepcopy(SMALL)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["text", "text", "text", "field", "value", "missing", "again"]))
        place = draw(st.sampled_from(FREE if kind == "text" else LEAVES))
        place = place if kind in ("text", "field") else place[: draw(st.integers(1, len(place)))]
        if not is_there(document, place):
            continue
        parent = parent_of(document, place)
        if kind == "field" and isinstance(parent, dict):
            parent[draw(texts)] = draw(texts | values)
        elif kind == "missing":
            del parent[place[-1]]
        elif kind == "again" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[0]))
        else:
            parent[place[-1]] = draw(texts if kind == "text" else values)
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(texts) + text[at:]
    return text


def call(*words):
    """Run the command in this process; return its status, and what it wrote on both streams."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(map(str, words)))
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


# ---- What the output of each form must be


class Page(HTMLParser):
    """Tags with their attributes, and classes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.classes, self.counts, self.links = set(), set(), {}, set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add((tag, *sorted(name for name, _ in attributes)))
        self.counts[tag] = self.counts.get(tag, 0) + 1
        known = dict(attributes)
        self.classes |= set(known.get("class", "").split())
        self.links |= {known["href"][:1]} if "href" in known else set()
        if "style" in known:
            assert re.fullmatch(r"grid-column: \d+( / span \d+)?", known["style"])

    def handle_comment(self, data):
        assert data.startswith(" SPDX-FileCopyrightText")


def clean_page():
    document = copy.deepcopy(SMALL)
    for number, backend in enumerate(("syscall", "libc", "emulated", "none")):
        document["verdict"]["calls"][number]["backend"] = backend
    document["questions"][0]["answer"] = "unknown"
    document["questions"][0]["how"] = "not run"
    document["questions"][1]["answer"] = "17"
    return document


def check_page(text, clean):
    page = Page(text)
    assert page.tags <= clean.tags
    assert page.classes <= clean.classes | {"skipped", "asked", "decided", "outcome", "refused", "libc", "yes", "no"}
    assert page.links <= {"#", "d"}  # data: is the icon
    for tag in ("meta", "style", "title", "link", "body", "header", "main", "footer", "table"):
        assert page.counts[tag] == clean.counts[tag], tag
    assert text.isascii()
    assert re.search(r"\A<!DOCTYPE html>.*</html>\n+\Z", text, re.DOTALL)


MARKDOWN = MarkdownIt("commonmark").enable("table")
OURS = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}


def check_markdown(text, headings):
    tokens = MARKDOWN.parse(text)
    assert sum(token.type == "heading_open" for token in tokens) == headings
    known = {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item"}
    for token in tokens:
        if token.type == "html_block":
            summary = r"<summary>All \d+ questions, [a-z ]+</summary>"
            assert re.fullmatch(rf"<details>\n{summary}\n|</details>\n?", token.content)
        elif token.type == "inline":
            assert {child.type for child in token.children} <= OURS
            plain = "".join(child.content for child in token.children if child.type == "text")
            assert not re.search(r"[@#<>\[\]]|//|www\.|[0-9a-f]{7}|FAKE", plain)
        else:
            assert token.type.rpartition("_")[0] in known, token.type


def check_answers(text, document):
    lines = text.splitlines()
    wanted = [f"{harmless(q['question'])}: {q['cross_answer']}" for q in document["questions"] if "cross_answer" in q]
    assert [line for line in lines if not line.startswith("#")] == wanted
    setup = next(line for line in lines if "meson setup" in line)
    assert re.search(r"""-Dcredentials=([\w@%+=:,./-]*|'.*') -Dcross_answers=THIS_FILE\Z""", setup)


def check_output(words, status, out, err, document):
    """Check what the command wrote about a report that it accepted."""
    assert err == ""
    assert status == 0 or (words[0] == "compare" and status == 1)
    assert all(character.isprintable() for character in out.replace("\n", "")), ascii(out)
    form = words[1:2]
    if form != ["--html"]:
        assert not re.search("^FAKE", out, re.MULTILINE)
    if form == ["--html"]:
        check_page(out, Page(CLEAN))
    elif form == ["--markdown"]:
        check_markdown(out, int(words[0] == "report"))
    elif form == ["--answers"]:
        check_answers(out, document)
    elif form == ["--json"]:

        def no_number(text):
            raise AssertionError(text)

        found = json.loads(out, parse_constant=no_number)
        assert words[0] == "compare" or found == document


CLEAN = ""


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    return make_files(tmp_path_factory)


def make_files(tmp_path_factory):
    """A folder for the reports. Hypothesis gets one, too."""
    global CLEAN
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))
    folder = tmp_path_factory.mktemp("reports")
    clean = folder / "clean.json"
    clean.write_text(json.dumps(clean_page()))
    _, CLEAN, _ = call("report", "--html", clean)
    clean.write_text(json.dumps(SMALL))
    return folder


def check_report(files, data):
    """Run every form over a file with this content. Return whether it was accepted."""
    path = files / "hostile.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    calls = [["report", *form, path] for form in REPORT_FORMS]
    calls += [["compare", *form, path, files / "clean.json"] for form in COMPARE_FORMS]
    outcomes = set()
    for words in calls:
        status, out, err = call(*words)
        refused = status == 2
        outcomes.add(refused)
        if refused:
            assert out == ""
            assert re.fullmatch(rf"libreplace {words[0]}: .{{1,1500}}\n", err), ascii(err)
            assert err[:-1].isprintable(), ascii(err)
        else:
            check_output(words, status, out, err, json.loads(data))
    assert len(outcomes) == 1, "a form refuses a file that another one accepts"
    return False in outcomes


@settings(FIXED, max_examples=100)
@given(reports())
def test_changed_report_is_refused_or_harmless(files, text):
    check_report(files, text)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_hostile_text_at_every_place_is_harmless(files, text):
    """One report has the text at every place where the schema allows it."""
    document = copy.deepcopy(SMALL)
    for place in FREE:
        if isinstance(parent_of(document, place)[place[-1]], str):
            parent_of(document, place)[place[-1]] = text
    for section in ("options", "machine", "toolchain", "probe_headers"):
        document[section][text] = text
    document["verdict"]["warnings"].append(text)
    document["overrides"]["used"].append(text)
    document["left_out"] = []
    accepted = check_report(files, json.dumps(document))
    for question in document["questions"]:
        question["question"] = "a question"
    assert check_report(files, json.dumps(document))
    assert accepted == (not re.search(r"\A\Z|[\x00-\x1f\x7f:]", text))


DEEP = json.dumps(SMALL)[:-1]
REFUSED = {
    "an array of 41 levels": f'{DEEP}, "x": {"[" * 41}{"]" * 41}}}',
    "an array of 900 levels": f'{DEEP}, "x": {"[" * 900}{"]" * 900}}}',
    "an object of 2000 levels": DEEP + ', "x": ' + '{"a":' * 2000 + "1" + "}" * 2001,
    "an array of 100000 levels": f'{DEEP}, "x": {"[" * 100000}{"]" * 100000}}}',
    "not a number": f'{DEEP}, "x": NaN}}',
    "infinite": f'{DEEP}, "x": -Infinity}}',
    "a number that is too large": f'{DEEP}, "x": 1e999}}',
    "a number of 100000 digits": f'{DEEP}, "x": {"9" * 100000}}}',
    "a name twice": f'{DEEP}, "version": "2"}}',
    "a version that is true": json.dumps({**SMALL, "schema_version": True}),
    "a version of many lines": json.dumps({**SMALL, "schema_version": "\n" * 10000}),
    "a version of 4000 digits": json.dumps({**SMALL, "schema_version": 10**4000}),
    "a version of many levels": f"{DEEP}}}".replace('"schema_version": 1', f'"schema_version": {"[" * 500}{"]" * 500}'),
    "UTF-16": DEEP.encode("utf-16"),
    "a byte that is not UTF-8": DEEP.encode() + b', "x": "\xff"}',
    "a surrogate in UTF-8": DEEP.encode() + b', "x": "\xed\xa0\x80"}',
    "a byte order mark": b"\xef\xbb\xbf" + DEEP.encode() + b"}",
    "zeros": bytes(1000),
    "nothing": b"",
    "null": b"null",
    "a text of 5 MB": json.dumps({**SMALL, "version": "A" * 5_000_000}),
    "a name of 3 MB": json.dumps({**SMALL, "toolchain": {"K" * 3_000_000: 1}}),
    "a name that is not ASCII": json.dumps({**SMALL, "probe_headers": {"\xa1": 1}}, ensure_ascii=False),
    "a long subject that every step repeats": json.dumps(
        {
            **SMALL,
            "questions": [{**SMALL["questions"][0], "subject": "A" * 100_000}],
            "decision": [{**SMALL["decision"][0], "questions": [SMALL["questions"][0]["id"]] * 1000}] * 40,
        }
    ),
    "a long answer": json.dumps({**SMALL, "questions": [{**SMALL["questions"][0], "answer": "A" * 1001}]}),
    "too many steps": json.dumps({**SMALL, "decision": SMALL["decision"] * 10}),
    "too many questions": json.dumps({**SMALL, "questions": SMALL["questions"] * 1000}),
    "too many headers": json.dumps({**SMALL, "probe_headers": dict.fromkeys(map(str, range(1001)), "")}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_report_is_refused_in_one_line(files, name):
    assert not check_report(files, REFUSED[name])


def test_refusal_of_a_number_advises_nobody_to_raise_a_limit_of_python(files):
    path = files / "number.json"
    for digits in (310, 5000, 4_000_000):
        path.write_text(f'{DEEP}, "x": -{"9" * digits}}}')
        assert re.search(r"the number -9{39}\.\.\. is too large, or none; a report is", call("report", path)[2])


def test_long_text_in_a_table_is_not_padded_in_every_row(files):
    """1000 calls, each padded to 2 MB, would be 2 GB of text."""
    document = copy.deepcopy(SMALL)
    document["verdict"]["calls"] = [{**SMALL["verdict"]["calls"][0], "name": f"call{n}"} for n in range(1000)]
    document["verdict"]["calls"][0]["symbol"] = "A" * 2_000_000
    (files / "wide.json").write_text(json.dumps(document))
    for words in (["report", "--all"], ["compare", files / "clean.json"]):
        _, out, _ = call(*words, files / "wide.json")
        assert len(out) < 10_000_000


def test_sources_and_headers_are_not_multiplied(files):
    """Each of 1000 sources would contain the names of 1000 headers: a page of 6 GB."""
    document = copy.deepcopy(SMALL)
    question = {**document["questions"][0], "source": '#include "' + '"' * 1000}
    document["questions"] = [{**question, "id": f"libreplace_{n}"} for n in range(1000)]
    document["probe_headers"] = {'"' * n: "" for n in range(1, 1001)}
    (files / "headers.json").write_text(json.dumps(document))
    limit = (resource.RLIMIT_AS, (1 << 30, 1 << 30))
    with open(files / "page", "w") as page:
        words = [sys.executable, "-m", "replace", "report", "--html", files / "headers.json"]
        subprocess.run(
            words, stdout=page, cwd="/", check=True, timeout=240, preexec_fn=lambda: resource.setrlimit(*limit)
        )
    assert os.path.getsize(files / "page") < 100_000_000


def test_bounds_of_the_reader_hold_a_real_report_many_times():
    """The full copy of a build has the evidence of the compiler for each answer."""
    document = replace.report()
    size = len(json.dumps(document, indent=1))
    assert size * 20 < documents._LARGEST
    for section in ("questions", "decision"):
        assert len(document[section]) * 8 < SCHEMA["properties"][section]["maxItems"]
    for question in document["questions"]:
        assert all(len(question[name]) * 3 < 200 for name in ("id", "subject", "answer"))
    deepest = max(map(len, leaves(document)))
    assert deepest * 5 < documents._DEEPEST


def test_reader_knows_every_word_of_the_schema():
    """Otherwise it would ignore a rule."""

    def words(rule):
        for word, value in rule.items():
            yield word
            if word in ("properties", "$defs"):
                for inner in value.values():
                    yield from words(inner)
            elif word in ("items", "additionalProperties"):
                yield from words(value)

    source = (documents.package_file("_cli/documents.py")).read_text()
    explained = {"$schema", "$id", "$defs", "title", "description", "const"}  # const is SCHEMA_VERSION
    assert [word for word in set(words(SCHEMA)) - explained if f'"{word}"' not in source] == []


# ---- Files that are not regular


def test_file_that_never_ends_is_refused(files):
    fifo = files / "fifo"
    os.mkfifo(fifo)
    for path, why in (
        (fifo, "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (files, "not a regular file"),
        ("/dev/tty", "cannot read|not a regular file"),
        ("/proc/kmsg", "cannot read|it is empty"),
        ("/proc/self/status", "cannot read|it is empty"),
        ("-", "cannot read -: No such file"),
        (files / "x\n\x1b[2Jy", r"x\\u000a\\u001b\[2Jy: No such file"),
        (os.fsdecode(bytes(files) + b"/\xff\x9b"), r"\\udcff\\udc9b: No such file"),
    ):
        for words in (["report", path], ["compare", path, path]):
            out = run(sys.executable, "-m", "replace", *words, cwd="/")
            assert (out.returncode, out.stdout, out.stderr.count("\n")) == (2, "", 1), out.stderr
            assert re.search(why, out.stderr), out.stderr
    with open(files / "sparse", "wb") as file:
        file.truncate(1 << 40)
    started = time.process_time()
    assert call("report", files / "sparse")[0] == 2
    assert time.process_time() - started < 60


def test_device_is_not_opened(files):
    """Opening can do something: it rewinds a tape, or starts a watchdog."""
    (files / "link.json").symlink_to("/dev/zero")
    trace = files / "trace"
    strace = (tool("strace", "shows system calls"), "-o", trace, "-e", "trace=?open,openat")
    for path in (files / "link.json", files / "clean.json"):
        status = run(*strace, sys.executable, "-m", "replace", "report", path, cwd="/").returncode
        assert status == (2 if path.is_symlink() else 0)
        assert (path.name in trace.read_text()) != path.is_symlink()


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0"])
def test_pipe_of_the_caller_is_read(path):
    words = [sys.executable, "-m", "replace", "report", "--json", path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as child:
        try:
            out, _ = child.communicate(json.dumps(SMALL).encode(), timeout=240)
        finally:
            child.kill()
    assert json.loads(out) == SMALL


# ---- Words and names from outside


def test_word_of_the_command_line_stays_one_line():
    status = []
    for words in (["report", "--x\n\x1b[2J"], ["threads", "1\n\x1b"], ["verify", "--as", "no\n\x1b\u202eone"]):
        out = run(sys.executable, "-m", "replace", *words, cwd="/")
        status.append(out.returncode)
        assert out.stderr.replace("\n", "").isprintable()
        assert re.match(r"(libreplace|usage:|  )", out.stderr)
        assert all(re.match(r"(libreplace|usage:| )", line) for line in out.stderr.splitlines())
    assert status == [2, 2, 2]


def test_environment_and_names_of_folders_do_not_make_lines(tmp_path):
    """LD_PRELOAD is shown by --explain, a folder of sys.path by --as."""
    folder = tmp_path / "lib\nok 1 - x\x1b[2J # TODO"
    folder.mkdir()
    env = {"LD_PRELOAD": "x\nFAKE\x1b[2J", "PYTHONPATH": str(folder)}
    for words in (["--explain"], ["--as", "0"], ["--as", "0", "--tap"], ["--tap"]):
        out = run(sys.executable, "-m", "replace", "verify", *words, cwd="/", env=env)
        assert out.stdout.replace("\n", "").isprintable()
        assert not re.search("^FAKE", out.stdout, re.MULTILINE)
        if "--tap" in words:
            numbers = [int(found) for found in re.findall(r"^(?:not )?ok (\d+)", out.stdout, re.MULTILINE)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert not re.search(r"[^\\]# TODO", out.stdout)


# ---- Answers files


SAMBA = (golden.GOLDEN.parent / "answers").glob("*")
ANSWER_FILES = [path.read_bytes() for path in sorted(SAMBA) if path.is_file()]
WORDS = [question.words.encode() for question in questions() if question.kind == "run"]
ANSWERS = json.loads((golden.GOLDEN / "linux-glibc-x86_64" / "answers.json").read_text())

HUGE = b'("' + b"9" * 5000 + b'", "x")'
answer_texts = st.sampled_from(
    [b"OK", b"NO", b"FAIL", b"unknown", b'"yes"', b'(0, "x")', b'(254, "")', b"(1, ", HUGE, b""]
) | st.binary(max_size=20)
answer_lines = st.tuples(
    st.sampled_from(WORDS) | st.binary(max_size=20),
    st.sampled_from([b": ", b":", b" : ", b"", b"\t:\t"]),
    answer_texts,
    st.sampled_from([b"\n", b"\r\n", b"\r", b"", b"\x85", b"\x0c"]),
).map(b"".join)


@st.composite
def answer_files(draw):
    data = b"".join(draw(st.lists(answer_lines, max_size=8)))
    if ANSWER_FILES and draw(st.booleans()):
        base = draw(st.sampled_from(ANSWER_FILES))
        at = draw(st.integers(0, len(base)))
        data = base[:at] + data + base[at + draw(st.integers(0, 40)) :]
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe"])) + data


def check_answers_file(path, data):
    path.write_bytes(data)
    refusal, found, after, still_open = None, [], b"", []
    try:
        found = cross_answers.lines(str(path), cross_answers.load(str(path)))
        after, still_open = cross_answers.completed(str(path), data, dict(ANSWERS))
    except cross_answers.BadAnswer as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal.isprintable(), ascii(refusal)
        return
    ids = {question.id for question in questions()}
    for line in found:
        assert line.id.removesuffix(":32") in ids
        assert line.answer in ("yes", "no", "unknown")
        assert 1 <= line.number <= len(data.splitlines())
    again, _ = cross_answers.completed(str(path), after, dict(ANSWERS))
    assert again == after, "a complete file stays as it is"
    assert all(asked.isprintable() for asked in still_open)


@settings(FIXED, max_examples=200)
@given(answer_files())
def test_changed_answers_file_is_refused_or_read(files, data):
    check_answers_file(files / "answers.txt", data)
