# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/c/: the example of each page prints what the page shows, and the pages have every declared name.

The event loop of guard.md serves two users at the same time.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from generate import generated_headers
from headers import declarations
from support.builds import ROOT, run
from support.children import needs_root
from support.projects import environment_for, install_library
from support.tutorial import blocks

import replace

REFERENCE = sorted((ROOT / "docs" / "c").glob("*.md"))
HEADERS = ROOT / "replace" / "core" / "libreplace"


@pytest.fixture(scope="module")
def flags(source, tmp_path_factory):
    """The compiler options that pkg-config prints for an installed library."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs thread scope: the examples are for builds whose calls change one thread")
    folder = tmp_path_factory.mktemp("c-reference")
    install_library(source, folder / "build", folder / "installed")
    out = run("pkg-config", "--cflags", "--libs", "libreplace", env=environment_for(folder / "installed"))
    return out.stdout.split()


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_example_of_a_page_prints_what_the_page_shows(flags, tmp_path, page):
    program, shown = [text for language, text, _ in blocks(page) if language in ("c", "text")]
    (tmp_path / "example.c").write_text(program)
    if page.stem == "replace_override":
        flags = [*flags, "-include", "libreplace/replace_override.h"]
    out = run("cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c", *flags, "-pthread", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    out = run(tmp_path / "example", cwd=tmp_path)
    assert (out.returncode, out.stdout, out.stderr) == (0, shown, "")


def test_each_header_has_a_page_with_everything_that_it_documents():
    pages = {page.stem: page.read_text() for page in REFERENCE}
    for header in HEADERS.glob("*.h"):
        page = pages[header.stem]
        names = re.findall(r"^/\*\*\n \* (?:enum |struct )?(\w+)", header.read_text(), re.M)
        if ":symbols:" in page:
            listed = " ".join(re.findall(r":symbols: (.*)", page)).split()
            assert sorted(listed) == sorted(names)
        else:
            assert not names or f"{header.name}\n```" in page
    assert "c-functions" in pages["replace"]


def test_each_declared_name_is_in_a_page():
    """A page has the kernel-doc comments of its header, so each name needs one; or an entry of its own."""
    declared = declarations(generated_headers({}))
    texts = [path.read_text() for path in HEADERS.glob("*.h")] + list(generated_headers({}).values())
    documented = {name for text in texts for name in re.findall(r"^/\*\*\n \* (?:enum |struct )?(\w+)", text, re.M)}
    entries = set(re.findall(r"^\.\. c:macro:: (\w+)", "".join(path.read_text() for path in REFERENCE), re.M))
    members = {"libreplace_ids", "libreplace_capabilities"}  # of the private part of a guard
    assert {function.name for function in declared.functions} <= documented
    assert {kind.name for kind in (*declared.enums, *declared.structs)} - members <= documented
    assert set(declared.constants) == entries


def test_program_notices_a_library_that_is_older_than_its_headers(flags, tmp_path):
    """The program of build_info.md is compiled with the headers of a later version."""
    (page,) = [page for page in REFERENCE if page.stem == "build_info"]
    (program,) = [text for language, text, _ in blocks(page) if language == "c"]
    (tmp_path / "example.c").write_text(program)
    (include,) = [Path(word[2:]) for word in flags if word.startswith("-I")]
    shutil.copytree(include, tmp_path / "include")
    header = tmp_path / "include/libreplace/version.h"
    number = "99 * 10000 + 1 * 100 + 0"
    header.write_text(re.sub(r'"[\d.]+"', '"99.1.0"', re.sub(r"\(.*\)", f"({number})", header.read_text())))
    options = [f"-I{tmp_path / 'include'}", *flags]
    out = run("cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c", *options, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    out = run(tmp_path / "example")
    assert (out.returncode, out.stdout) == (1, "")
    assert out.stderr == f"libreplace is {replace.__version__}, but this program needs 99.1.0\n"


# ---- The event loop with threads

ALICE, BOB = replace.Identity(80001, 80011, [80021]), replace.Identity(80002, 80012)
USERS = (("alice", ALICE), ("bob", BOB))
ROOT_IDS = (0, 0, 0, 0)


@pytest.fixture(scope="module")
def server(flags, tmp_path_factory):
    """The program serves a folder that has a folder of each user. Yields its process, its socket and the folder."""
    program = tmp_path_factory.mktemp("event-loop") / "event_loop"
    source = ROOT / "docs" / "examples" / "event_loop.c"
    out = run("cc", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", program, source, *flags, "-pthread")
    assert out.returncode == 0, out.stderr
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:  # users can reach it
        os.chmod(folder, 0o755)
        (served := Path(folder, "served")).mkdir()
        for name, user in USERS:
            (served / name).mkdir(mode=0o700)
            os.chown(served / name, user.uid, user.gid)
        (served / "team").mkdir()
        os.chown(served / "team", 0, 80021)  # a group of alice
        os.chmod(served / "team", 0o2770)
        words = [program, f"{folder}/socket", served]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "ready\n", process.stderr.read()
                yield process, f"{folder}/socket", served
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.stderr.read() == ""


@contextlib.contextmanager
def connected(server, user):
    """Yield a function that sends a request as the user and returns the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        replace.acting_as(user, client.connect, allow_root=True)(server[1])

        def ask(name, text="text\n"):
            client.send(f"{name}\n{text}".encode())
            return client.recv(4096).decode()

        yield ask


def test_event_loop_writes_files_as_each_client(server):
    """Eight clients of two users ask at the same time. The main thread is root all the time, and all are at the end."""
    answers, looks, done = [], [], threading.Event()

    def client(name, user, number):
        with connected(server, user) as ask:
            for i in range(100):
                answers.append(ask(f"{name}/notes", f"{number} {i}\n"))

    def look():
        while not looks or not done.is_set():
            looks.append(replace.thread_credentials(server[0].pid)[0].uids)

    clients = [threading.Thread(target=client, args=(*user, i)) for i in range(4) for user in USERS]
    watcher = threading.Thread(target=look)
    for thread in (watcher, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    done.set()
    watcher.join()
    assert answers == ["done"] * 800
    for name, user in USERS:
        found = (server[2] / name / "notes").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (user.uid, user.gid, 0o600)
        lines = (server[2] / name / "notes").read_text().splitlines()
        assert sorted(lines) == sorted(f"{number} {i}" for number in range(4) for i in range(100))
    assert set(looks) == {ROOT_IDS}
    assert {thread.uids for thread in replace.thread_credentials(server[0].pid)} == {ROOT_IDS}


def test_event_loop_lets_no_client_use_rights_of_another_one(server):
    with connected(server, ALICE) as alice, connected(server, BOB) as bob:
        assert alice("alice/private") == "done"
        assert alice("team/shared") == "done"
        for name in ("alice/private", "alice/new", "team/new", "new"):
            assert bob(name) == "Permission denied"
        assert bob("bob/file") == "done"
        assert alice("bob/file") == "Permission denied"
        assert bob("../socket") == "Invalid cross-device link"
        assert bob("/etc/passwd") == "Invalid cross-device link"
        assert bob("bob/file", "") == "done"
    made = (server[2] / "team/shared").stat()
    assert (made.st_uid, made.st_gid) == (ALICE.uid, 80021)
    with connected(server, replace.Identity(0, 0)) as ask:
        assert ask("root") == "Operation not permitted"
    assert not (server[2] / "root").exists()
