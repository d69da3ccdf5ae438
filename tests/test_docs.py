# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What README and docs say, held against what there is."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from calls import CALLS
from support.builds import ROOT
from support.children import HANG, in_child, needs_root, wait_until

import replace

README = (ROOT / "README.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def ask(user, address, path):
    """What the server answers to a client that is this user."""

    def body():
        replace.drop_privileges(replace.Identity.from_user(user), allow_root=True)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
            client.sendall(path.encode() + b"\n")
            return b"".join(iter(lambda: client.recv(4096), b""))

    return in_child(body)


def test_the_threaded_server_is_right_as_copied():
    needs_root()
    (program,) = re.findall(r"```python\n(import os, shutil, socketserver.*?)```", README, re.S)
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    if replace.SCOPE != "thread":
        return
    users = ["daemon", "nobody", "www-data"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for user in users:
            path = f"{folder}/{user}"
            with open(path, "w") as file:
                file.write(f"of {user}")
            os.chmod(path, 0o600)
            os.chown(path, replace.Identity.from_user(user).uid, 0)
        address = f"{folder}/socket"
        words = [sys.executable, "-c", program, address, folder]
        server = subprocess.Popen(words, cwd="/", stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: os.path.exists(address) and os.stat(address).st_mode & 0o777 == 0o666, "the server")
            pairs = [(user, other) for user in users for other in users] * 4
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda pair: ask(pair[0], address, pair[1]), pairs))
            for (user, other), answer in zip(pairs, answers, strict=True):
                assert answer == (f"of {user}".encode() if user == other else b"")
            assert ask("root", address, "daemon") == b"", "root is refused unless allowed"
        finally:
            server.send_signal(signal.SIGINT)
            errors = server.communicate(timeout=HANG)[1]
    assert errors.count("PermissionError") == 24
    assert "allow_root=True permits it" in errors


ASYNCIO_SERVER = """
import asyncio, os, sys
import replace

folder = os.open(sys.argv[2], os.O_PATH | os.O_DIRECTORY)

async def handle(reader, writer):
    path = (await reader.readline()).rstrip(b"\\n")
    try:
        LINES
        writer.write(os.read(fd, 100))
        os.close(fd)
    finally:
        writer.close()

async def main():
    replace.protect_os()
    server = await asyncio.start_unix_server(handle, sys.argv[1])
    os.chmod(sys.argv[1], 0o666)
    await server.serve_forever()

asyncio.run(main())
"""


def test_the_asyncio_lines_open_a_file_as_the_client():
    needs_root()
    (lines,) = re.findall(r"```python\n(client = replace.Identity.from_peer\(writer.*?)```", README, re.S)
    program = ASYNCIO_SERVER.replace("LINES", lines.rstrip().replace("\n", "\n        "))
    if replace.SCOPE != "thread":
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with open(f"{folder}/file", "w") as file:
            file.write("of daemon")
        os.chmod(file.name, 0o600)
        os.chown(file.name, replace.Identity.from_user("daemon").uid, 0)
        address = f"{folder}/socket"
        server = subprocess.Popen([sys.executable, "-c", program, address, folder], cwd="/", stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: os.path.exists(address) and os.stat(address).st_mode & 0o777 == 0o666, "the server")
            assert ask("daemon", address, "file") == b"of daemon"
            assert ask("nobody", address, "file") == b""
            assert ask("daemon", address, f"{folder}/file") == b"", "an absolute name"
        finally:
            server.kill()
            server.wait()


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_every_test_that_a_page_names_is_there(page):
    text = (ROOT / "docs" / page).read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.*") if path.suffix in (".c", ".py"))
    named = re.findall(r"`((?:test_)?[a-z0-9_]+)(\*?)`", text)
    for name, star in named:
        if name.startswith("test_") or star:
            assert re.search(rf"def {name}" + ("" if star else r"\("), tests), name
    for name in re.findall(r"`(tests/[\w/]+\.(?:py|c))`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(\w+\.(?:py|c))`", text):
        assert list((ROOT / "tests").rglob(name)), name


def hazards():
    """The sections of docs/limits.md that describe a hazard: the anchor of each, and its text."""
    text = (ROOT / "docs" / "limits.md").read_text()
    page = text.split("\n## The ten hazards to know first\n")[1].split("\n## Audit events\n")[0]
    sections = re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", page, re.M | re.S)
    return [(re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-"), text) for name, text in sections]


def test_every_hazard_has_a_test_or_says_why_not():
    found = hazards()
    assert len(found) == len(dict(found)) >= 32
    for anchor, text in found:
        assert re.search(r"^(Tests: .*`[a-z_]+(\.(py|c)|\*)?`|No test: )", text, re.M), anchor
    first = (ROOT / "docs" / "limits.md").read_text().split("\n## ")[1]
    assert first.count("\n### ") == 10


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_to_hazards_lead_somewhere(page):
    anchors = {*dict(hazards()), "audit-events", "exceptions"}
    own = r"|\(#" if page.name == "limits.md" else ""
    links = re.findall(rf"(?:limits\.md#{own})([\w-]+)", page.read_text())
    assert set(links) <= anchors


def test_every_public_name_is_in_readme_or_docs():
    text = README + "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    if "```{call-table}" in text:  # the reference's table of the calls
        text += " ".join(call.name for call in CALLS)
    missing = [name for name in replace.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_the_table_of_levels_is_what_the_tests_measure():
    from test_guards import EXEC

    text = (ROOT / "docs" / "levels.md").read_text()
    (table,) = re.findall(r"^\| level \| a child that execs inside \|\n\|.*\n((?:\|.*\n)+)", text, re.M)
    answers = dict(re.findall(r"^\| `(\w+)` \| \**(.*?)\** \|$", table, re.M))
    assert {name: answer.startswith(("yes", "it is root")) for name, answer in answers.items()} == {
        name: ids.startswith("(0,") for name, ids in EXEC.items()
    }


def test_contributing_names_files_that_are_there_for_ten_kinds_of_change():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.split("| to change | open |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) >= 10
    for row in rows:
        assert re.findall(r"`((?:detect|replace|tests|docs)/[\w./]*)`", row), row
    for name in re.findall(r"`(?:python |pytest )?((?:detect|replace|tests|docs|\.ci)/[\w./]*)", text):
        assert (ROOT / name).exists(), name
    tree = text.split("## The tree")[1].split("Imports point")[0]
    names = re.findall(
        r"\w[\w.]*\.(?:py|build|options|toml)\b|\b\w+/", tree.replace("test_FILE.py", "").replace(".ci/run", "")
    )
    assert len(names) > 20
    for name in names:
        assert any(list(folder.glob(name)) for folder in (ROOT, *map(ROOT.joinpath, ("detect", "replace", "tests")))), (
            name
        )


def test_pins_are_written_the_same_everywhere():
    """pre-commit and nox use the same versions of the same tools."""
    pins = dict(re.findall(r'"([\w-]+)==([\w.]+)"', (ROOT / "pyproject.toml").read_text()))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    found = dict(re.findall(r"repo: https://\S+/(\S+)\n +rev: v(\S+)", hooks))
    names = {"ruff-pre-commit": "ruff", "mirrors-clang-format": "clang-format", "codespell": "codespell"}
    assert {names[name]: version for name, version in found.items()} == {n: pins[n] for n in names.values()}
