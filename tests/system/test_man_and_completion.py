# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The man page and the shell completion of `libreplace`, made by the commands of docs/packaging.md."""

import os
import re
import sys

import pytest
from support.builds import ROOT, needs_package, run, tool

from replace.__main__ import COMMANDS, parser

needs_package("argparse-manpage", "shtab")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with the files that the page's commands make."""
    (block,) = re.findall(
        r"^```sh\n(mkdir man && cd man\n.*?)^```", (ROOT / "docs" / "packaging.md").read_text(), re.M | re.S
    )
    folder = tmp_path_factory.mktemp("source")
    (folder / "docs").symlink_to(ROOT / "docs")
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    out = run("bash", "-euo", "pipefail", "-c", block, cwd=folder, env={"PATH": path})
    assert out.returncode == 0, out.stdout + out.stderr
    return folder / "man"


def options(command):
    """Return the long options of a subcommand, or, for None, of the command itself."""
    found = parser()
    if command:
        (found,) = [action.choices[command] for action in found._actions if action.choices]
    return {option for action in found._actions for option in action.option_strings if option.startswith("--")}


# ---- The man page


@pytest.fixture(scope="module")
def page(made):
    """The text of the man page, as man shows it."""
    out = run(
        tool("man", "shows a man page"),
        "--warnings",
        "-l",
        made / "libreplace.1",
        env={"MANWIDTH": "1000", "LC_ALL": "C.UTF-8"},
    )
    assert (out.returncode, out.stderr) == (0, "")
    return out.stdout


def test_man_page_has_every_section(page):
    titles = re.findall(r"^[A-Z].*$", page, re.M)[1:]
    assert titles == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "EXAMPLES", "FILES", "SEE ALSO"),
    ]


def test_man_page_has_every_subcommand_and_option(page):
    commands = page[page.index("\nCOMMANDS") : page.index("\nEXIT STATUS")]
    parts = re.split(r"^   libreplace (\w+)$", commands, flags=re.M)[1:]
    assert parts[::2] == list(COMMANDS)
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        words = " ".join(text.split())
        assert set(re.findall(r"^ +(--\w+)", text, re.M)) == options(name) - {"--help"}
        assert " ".join(COMMANDS[name].DESCRIPTION.split("\n\n")[0].split()) in words


def test_man_page_has_every_exit_status_and_example(page):
    statuses = page[page.index("\nEXIT STATUS") : page.index("\nEXAMPLES")]
    parts = re.split(r"^   libreplace (\w+)$", statuses, flags=re.M)[1:]
    found = {
        name: re.findall(r"^ +(\d) +(\w.*)$", text, re.M) for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
    assert found == {n: [(str(s), text) for s, text in m.EXIT_STATUS.items()] for n, m in COMMANDS.items()}
    assert all(module.EXAMPLE in page for module in COMMANDS.values())


# ---- Completion


def complete(script, folder, *words):
    """Return the completions that bash offers for the last of these words, in this folder."""
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        "$(complete -p libreplace | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    out = run(tool("bash", "completes"), "--norc", "-c", code, cwd=folder)
    return set(out.stdout.split())


def test_bash_completes_subcommands(made, tmp_path):
    assert complete(made / "libreplace", tmp_path, "libreplace", "") == set(COMMANDS)
    assert complete(made / "libreplace", tmp_path, "libreplace", "co") == {"compare", "config"}


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_bash_completes_options(made, tmp_path, command):
    words = [word for word in ("libreplace", command, "--") if word]
    assert complete(made / "libreplace", tmp_path, *words) == options(command)


def test_bash_completes_files(made, tmp_path):
    for name in ("one.json", "other.json", "two.json"):
        (tmp_path / name).touch()
    bash = made / "libreplace"
    assert complete(bash, tmp_path, "libreplace", "report", "o") == {"one.json", "other.json"}
    assert complete(bash, tmp_path, "libreplace", "report", "--html", "tw") == {"two.json"}
    assert complete(bash, tmp_path, "libreplace", "compare", "one.json", "oth") == {"other.json"}


@pytest.mark.parametrize(("shell", "name"), [("zsh", "_libreplace"), ("fish", "libreplace.fish")])
def test_zsh_and_fish_have_every_subcommand(made, shell, name):
    text = (made / name).read_text()
    assert all(command in text for command in COMMANDS)
    checker = run("sh", "-c", f"command -v {shell} && {shell} -n {made / name}")
    assert checker.returncode == 0 or not checker.stdout, checker.stderr
