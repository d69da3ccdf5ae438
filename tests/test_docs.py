# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""README, CONTRIBUTING and docs/ are true: their programs run, and the names that they mention exist."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from calls import CALLS
from support.builds import IS_SDIST, ROOT
from support.children import HANG, calls_vfork, in_child, needs_root, wait_until

import replace

HEADING = re.compile(r"^#+ (.*)$", re.M)
TUTORIAL = (ROOT / "docs" / "start-python.md").read_text()
README = (ROOT / "README.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def ask(user, address, path):
    """Return the server's answer to a client that runs as this user."""

    def body():
        replace.drop_privileges(replace.Identity.from_user(user), allow_root=True)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
            client.sendall(path.encode() + b"\n")
            return b"".join(iter(lambda: client.recv(4096), b""))

    return in_child(body)


def program_of(start):
    """Return the tutorial's program that starts with these words."""
    (program,) = re.findall(rf"```python\n({re.escape(start)}.*?)```", TUTORIAL, re.S)
    if "os.O_PATH" in program and not hasattr(os, "O_PATH"):
        pytest.skip("needs os.O_PATH, which PyPy lacks")
    return program


def make_files(folder, users):
    """Put a file of each user into the folder."""
    os.chmod(folder, 0o755)
    for user in users:
        path = f"{folder}/{user}"
        with open(path, "w") as file:
            file.write(f"of {user}")
        os.chmod(path, 0o600)
        os.chown(path, replace.Identity.from_user(user).uid, 0)


def start_server(program, address, folder):
    """Start a server, and wait until it listens."""
    words = [sys.executable, "-c", program, address, folder]
    server = subprocess.Popen(words, cwd="/", stderr=subprocess.PIPE, text=True)
    wait_until(lambda: os.path.exists(address) and os.stat(address).st_mode & 0o777 == 0o666, "the server to listen")
    return server


def stop_server(server):
    """Stop a server; return its standard error."""
    server.send_signal(signal.SIGINT)
    return server.communicate(timeout=HANG)[1]


def test_threaded_server_of_the_tutorial_gives_each_user_its_own_files():
    needs_root()
    program = program_of("import os, shutil, socketserver")
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    if replace.SCOPE != "thread":
        return
    users = ["daemon", "nobody", "www-data"]
    with tempfile.TemporaryDirectory() as folder:
        make_files(folder, users)
        address = f"{folder}/socket"
        server = start_server(program, address, folder)
        try:
            pairs = [(user, other) for user in users for other in users] * 4
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda pair: ask(pair[0], address, pair[1]), pairs))
            for (user, other), answer in zip(pairs, answers, strict=True):
                assert answer == (f"of {user}".encode() if user == other else b"")
            assert ask("root", address, "daemon") == b"", "root is refused unless allowed"
        finally:
            errors = stop_server(server)
    assert errors.count("PermissionError") == 24
    assert "allow_root=True permits it" in errors


def test_asyncio_server_of_the_tutorial_gives_each_user_its_own_files():
    needs_root()
    program = program_of("import asyncio, os, sys")
    if replace.SCOPE != "thread":
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(folder, ["daemon"])
        address = f"{folder}/socket"
        server = start_server(program, address, folder)
        try:
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda user: ask(user, address, "daemon"), ["daemon", "nobody"] * 8))
            assert answers == [b"of daemon", b""] * 8
            assert ask("daemon", address, f"{folder}/daemon") == b"", "the server refuses an absolute name"
            assert ask("daemon", address, "x" * 10000) == b"", "the server refuses a line that is too long"
            assert ask("daemon", address, "a\0b") == b"", "the server refuses a name with a null byte"
            assert ask("root", address, "daemon") == b"", "root is refused unless allowed"
        finally:
            errors = stop_server(server)
    assert errors.count("PermissionError(") == 8
    assert "allow_root=True permits it" in errors
    assert "exception was never retrieved" not in errors


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_names_tests_that_exist(page):
    text = page.read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.*") if path.suffix in (".c", ".py"))
    # this name is only an example, in the rule about names
    named = re.findall(r"`((?:test_)?[a-z0-9_]+)(\*?)`", text.replace("`test_forked_child_cannot_become_root`", ""))
    for name, star in named:
        if name.startswith("test_") or star:
            assert re.search(rf"def {name}" + ("" if star else r"\("), tests), name
    for name in re.findall(r"`(tests/[\w/]+\.(?:py|c))`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(test_\w+\.(?:py|c))`", text):
        assert list((ROOT / "tests").rglob(name)), name


def slug(heading):
    """The anchor of a heading, as MyST and GitHub make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def hazards():
    """The sections of docs/limits.md that describe a hazard: the anchor of each, and its text."""
    text = (ROOT / "docs" / "limits.md").read_text()
    page = text.split("\n## The ten hazards to know first\n")[1].split("\n## Audit events\n")[0]
    sections = re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", page, re.M | re.S)
    return [(slug(name), text) for name, text in sections]


def test_every_hazard_has_a_test_or_says_why_not():
    found = hazards()
    assert len(found) == len(dict(found)) >= 32
    for anchor, text in found:
        assert re.search(r"^(Tests: .*`[a-z_]+(\.(py|c)|\*)?`|No test: )", text, re.M), anchor
    first = (ROOT / "docs" / "limits.md").read_text().split("\n## ")[1]
    assert first.count("\n### ") == 10


def test_number_of_calls_in_readme_and_changelog_is_right():
    assert f"`libreplace_setresuid()` and {len(CALLS) - 1} more calls" in README
    assert f"- {len(CALLS)} calls (" in (ROOT / "CHANGELOG.md").read_text()


def test_first_commands_in_readme_are_those_that_ci_runs():
    """.ci/readme runs the lines of this block."""
    block = README.split("```sh\n")[1].split("```")[0]
    assert [line.split()[-1] for line in block.splitlines()] == ["verify", ".venv/bin/pytest"]


def test_readme_or_docs_mention_every_public_name():
    text = README + "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    if "```{call-table}" in text:  # the reference's table of the calls
        text += " ".join(call.name for call in CALLS)
    missing = [name for name in replace.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing


@calls_vfork
def test_levels_page_agrees_with_the_measured_ids():
    from test_guards import EXEC

    text = (ROOT / "docs" / "levels.md").read_text()
    (table,) = re.findall(r"^\| level \| a child that execs inside \|\n\|.*\n((?:\|.*\n)+)", text, re.M)
    answers = dict(re.findall(r"^\| `(\w+)` \| \**(.*?)\** \|$", table, re.M))
    assert {name: answer.startswith(("yes", "it is root")) for name, answer in answers.items()} == {
        name: ids.startswith("(0,") for name, ids in EXEC.items()
    }


def test_contributing_names_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.split("| to change | open |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) >= 10
    for row in rows:
        assert re.findall(r"`((?:detect|replace|tests|docs)/[\w./]*)`", row), row
    for name in re.findall(r"`(?:python |pytest )?((?:detect|replace|tests|docs|\.ci)/[\w./]*)", text):
        assert (ROOT / name).exists() or (name.startswith(".ci/") and IS_SDIST), name
    tree = text.split("## The tree")[1].split("Imports point")[0]
    names = re.findall(
        r"\w[\w.]*\.(?:py|build|options|toml)\b|\b\w+/", tree.replace("test_FILE.py", "").replace(".ci/run", "")
    )
    assert len(names) > 20
    for name in names:
        assert any(list(folder.glob(name)) for folder in (ROOT, *map(ROOT.joinpath, ("detect", "replace", "tests")))), (
            name
        )


def test_pinned_versions_agree_everywhere():
    """pre-commit and nox use the same versions of the same tools."""
    pins = dict(re.findall(r'"([\w-]+)==([\w.]+)"', (ROOT / "pyproject.toml").read_text()))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    found = dict(re.findall(r"repo: https://\S+/(\S+)\n +rev: v(\S+)", hooks))
    names = {"ruff-pre-commit": "ruff", "mirrors-clang-format": "clang-format", "codespell": "codespell"}
    assert {names[name]: version for name, version in found.items()} == {n: pins[n] for n in names.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            text = path.read_text()
            slugs = set(map(slug, HEADING.findall(text)))
            assert anchor in slugs | set(re.findall(r"^\((\S+)\)=$", text, re.M)), target


@pytest.mark.parametrize("name", ["embedding", "packaging"])
def test_first_screen_leads_to_every_section(name):
    first, *sections = (ROOT / "docs" / f"{name}.md").read_text().split("\n## ")
    assert [section.splitlines()[0] for section in sections if f"(#{slug(section.splitlines()[0])})" not in first] == []


def test_generated_code_in_pages_is_that_of_the_build():
    golden = "".join(path.read_text() for path in (ROOT / "tests" / "golden").rglob("replace_calls.c"))
    found = 0
    for page in PAGES:
        for block in re.findall(r"^ *```c\n(.*?)^ *```", page.read_text(), re.M | re.S):
            if "syscall(" in block:
                assert textwrap.dedent(block) in golden, block
                found += 1
        for quotation in re.findall(r"`([^`\n]*\bsyscall\([^`\n]*)`", page.read_text()):
            assert quotation in golden or "..." in quotation or quotation == "libc.syscall(...)", quotation
    assert found, "CONTRIBUTING.md no longer shows a generated call"
    bodies = re.findall(r"^int libreplace_\w+\([^)]*\)\n\{.*?^\}", golden, re.M | re.S)
    assert len(bodies) > 50
    assert not any("#if" in body for body in bodies), "CONTRIBUTING.md says that no generated call has an #if"


def test_public_headers_define_only_names_of_libreplace():
    """docs/embedding.md makes this promise for all headers except replace_override.h."""
    folders = [ROOT / "replace" / "core" / "libreplace", *(ROOT / "tests" / "golden").iterdir()]
    headers = [path for folder in folders for path in folder.glob("*.h")]
    headers = [path for path in headers if path.name not in ("replace_override.h", "samba_config.h")]
    names = {"build_info.h", "calls.h", "drop.h", "guard.h", "identity.h", "open_beneath.h", "replace.h", "ring.h"}
    assert {path.name for path in headers} == names
    for path in headers:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for name in re.findall(r"^#\s*define\s+(\w+)", text, re.M):
            assert name.startswith("LIBREPLACE_"), (path, name)
        for name in re.findall(r"^(?:struct|enum|union) (\w+) \{", text, re.M):
            assert name.startswith("libreplace_"), (path, name)
        for name in re.findall(r"^\w[\w *]*?(\w+)\(", text, re.M):
            assert name.startswith("libreplace_"), (path, name)
        for body in re.findall(r"^enum \w+ \{(.*?)\}", text, re.M | re.S):
            assert all(name.startswith("LIBREPLACE_") for name in re.findall(r"^\s*(\w+)", body, re.M)), path
