# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Follow a tutorial of docs/ as a reader does: copy its blocks, in order, starting in an empty folder.

A block after "Save ... as `name`" becomes that file.  Other Python blocks run by themselves.  All commands go to one
shell.  A block of text after commands is their output, and `...` in it stands for anything.  The folder `libreplace` is
the source.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path

from support.builds import ROOT
from support.children import wait_until

MARK = "-- end of block"


def blocks(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """(kind, text, file name) of each block that a reader copies or compares."""
    text = page.read_text()
    end = 0
    for fence in re.finditer(r"^```(\w+)\n(.*?)^```\n", text, re.M | re.S):
        before = text[end : fence.start()].strip().rpartition("\n\n")[2]
        saved = re.findall(r"[Ss]ave [^`]*as\s+`([^`]+)`", before)
        yield fence[1], fence[2], saved[-1] if saved else None
        end = fence.end()


class Shell:
    """One bash in one folder."""

    def __init__(self, folder: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def send(self, text: str) -> None:
        """Type into the shell."""
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def do(self, commands: str) -> str:
        """Run commands and return their output. The last command must exit with 0."""
        assert self.process.stdout
        self.send(f"{commands}\necho '{MARK}' $?\n")
        printed = ""
        for line in self.process.stdout:
            if line.startswith(MARK):
                assert line == f"{MARK} 0\n", f"{commands}\n{printed}"
                return printed
            printed += line
        raise AssertionError(f"the shell ended in\n{commands}\n{printed}")

    def end(self) -> None:
        """End the shell and the programs that it left in the background."""
        self.send("kill $(jobs -p)\nexit\n")
        self.process.communicate()


def follow(page: Path) -> None:
    """Copy every block of a page, and compare the output with that of the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "libreplace").symlink_to(ROOT)
        shell = Shell(folder)
        printed = ""
        try:
            for kind, text, file in blocks(page):
                if file:
                    (folder / file).write_text(text)
                elif kind == "python":
                    (folder / "block.py").write_text(text)
                    shell.do(".venv/bin/python block.py")
                elif kind == "sh":
                    printed = shell.do(text)
                    if text.endswith("&\n"):
                        wait_for_socket(folder, text)
                elif kind == "text":
                    assert OutputChecker().check_output(text, printed, ELLIPSIS), f"{text}\n---\n{printed}"
        finally:
            shell.end()


def wait_for_socket(folder: Path, command: str) -> None:
    """Wait until the server listens: a reader takes longer to copy the next block."""
    (socket,) = [folder / word for word in command.split() if word.endswith("socket")]
    wait_until(lambda: socket.exists() and socket.stat().st_mode & 0o777 == 0o666, f"{socket.name} listens")
