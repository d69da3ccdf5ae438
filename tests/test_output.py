# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A command whose output cannot be written says so and exits with 74, never with 1, which means "a claim is wrong"."""

import json
import os
import re
import resource
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest
from support.builds import run
from support.children import needs_root
from test_report import command

import replace
from replace.__main__ import COMMANDS, EXIT_STATUS
from replace._cli.report import FORMS

CANNOT_WRITE = 74  # EX_IOERR
#: Every command, in each of its forms. FILE is a report, PID a process.
CALLS = [
    ["--help"],
    ["--version"],
    ["verify", "--help"],
    *(["report", *form] for form in ([], *([f"--{name}"] for name in FORMS))),
    *(["compare", *form, "FILE", "FILE"] for form in ([], ["--json"], ["--markdown"])),
    *(["verify", *form] for form in ([], ["--json"], ["--tap"], ["--explain"], ["--as", "0"])),
    *(["threads", *form, "PID"] for form in ([], ["--json"])),
    ["config", "--version"],
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "file.json"
    path.write_text(command("report", "--json").stdout)
    return path


def end(words, file, stdout, stderr=subprocess.PIPE, unbuffered=False, close=None):
    """Run the command with these two streams. Return its exit status, and what it wrote on standard error."""
    values = {"FILE": str(file), "PID": str(os.getpid())}
    out = subprocess.run(
        [sys.executable, *(["-u"] if unbuffered else []), "-m", "replace", *(values.get(word, word) for word in words)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd="/",
        text=True,
        check=False,
        timeout=280,
        preexec_fn=close,
    )
    return out.returncode, out.stderr


def assert_says_why(found, words, why):
    status, message = found
    name = " ".join(["libreplace", *words[:1]]) if words[0] in COMMANDS and "--help" not in words else "libreplace"
    assert status == CANNOT_WRITE, message
    assert message == f"{name}: cannot write to standard output: {why}\n"


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_unwritten_output_ends_with_a_message_and_74(words, file):
    """Standard output is full, or its reader is gone."""
    with open("/dev/full", "w") as full:
        assert_says_why(end(words, file, full), words, "No space left on device")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert_says_why(end(words, file, writer), words, "Broken pipe")
    finally:
        os.close(writer)


@pytest.mark.parametrize("words", [["--help"], ["report"], ["verify", "--json"]], ids=" ".join)
def test_unbuffered_or_closed_output_ends_with_a_message_and_74(words, file):
    with open("/dev/full", "w") as full:
        assert_says_why(end(words, file, full, unbuffered=True), words, "No space left on device")
    found = end(words, file, None, close=lambda: os.close(1))
    assert_says_why(found, ["--help"], "it is closed")  # noticed before the command line is read


@pytest.mark.parametrize("unbuffered", [False, True])
def test_output_that_is_only_partly_written_ends_with_a_message_and_74(file, tmp_path, unbuffered):
    """The file may not become larger than 100 bytes, or the pipe is full and not blocking."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100, 100))
    with open(tmp_path / "out", "w") as out:
        assert_says_why(end(["report"], file, out, unbuffered=unbuffered, close=limit), ["report"], "File too large")
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while os.write(writer, bytes(4096)):
                pass
        os.read(reader, 4096)
        found = end(["report", "--json"], file, writer, unbuffered=unbuffered)
        assert_says_why(found, ["report"], "write could not complete without blocking")
    finally:
        os.close(reader)
        os.close(writer)


def test_contradicted_verdict_without_its_output_ends_with_74():
    """The report of this installation is wrong, so `verify` finds a contradiction, but nobody can read it."""
    needs_root()
    code = (
        "import sys; from replace import _build; import replace.__main__ as main; d = _build.report(); "
        "d['verdict']['scope'] = {'thread': 'process', 'process': 'thread'}[d['verdict']['scope']]; "
        "from replace._cli import verify; verify.report = lambda: d; sys.exit(main.main(['verify', '--json']))"
    )
    readable = run(sys.executable, "-c", code, cwd="/")
    assert readable.returncode == 1, readable.stderr
    with open("/dev/full", "w") as full:
        out = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, cwd="/", text=True, check=False
        )
    assert_says_why((out.returncode, out.stderr), ["verify"], "No space left on device")


@pytest.mark.parametrize("words", [["report"], ["--help"], ["config", "--version"]], ids=" ".join)
def test_closed_standard_error_changes_nothing(words, file):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert end(words, file, subprocess.DEVNULL, close=lambda: os.close(2))[0] == 0
        assert end(words, file, writer, close=lambda: os.close(2))[0] == CANNOT_WRITE
        assert end(words, file, None, stderr=None, close=lambda: os.closerange(1, 3))[0] == CANNOT_WRITE
    finally:
        os.close(writer)


WRONG = (["report", "/nowhere"], ["compare", "FILE"], ["config"], ["threads", "0"], ["verify", "--as", "nosuch"], ["x"])


@pytest.mark.parametrize("words", [*WRONG, []], ids=" ".join)
def test_message_that_cannot_be_written_keeps_the_exit_status(words, file):
    """The message does not appear on standard output instead."""
    with open("/dev/full", "w") as full:
        assert end(words, file, subprocess.DEVNULL, full)[0] == 2
        assert end(words, file, full, full)[0] == 2
    out = run("sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "replace", *words, cwd="/")
    assert (out.returncode, out.stdout) == (2, "")


def test_character_that_standard_output_cannot_encode_is_escaped(tmp_path):
    document = replace.report()
    document["verdict"]["rule"] = "‘quoted’ \udcff"
    path = tmp_path / "ä.json"
    path.write_text(json.dumps(document))
    out = command("report", path, env={"PYTHONIOENCODING": "ascii"})
    assert r"rule: \u2018quoted\u2019 \udcff" in out.stdout, out.stderr
    assert command("compare", path, path, env={"PYTHONIOENCODING": "ascii"}).returncode == 0


def test_help_names_the_status_of_unwritten_output():
    meaning = EXIT_STATUS[CANNOT_WRITE]
    for words in ([], *([name] for name in COMMANDS)):
        text = command(*words, "--help").stdout
        assert re.search(r"^  74 " + r"\s+".join(meaning.split()), text, re.M)
