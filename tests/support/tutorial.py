# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Follow a tutorial of docs/ as a reader does: copy its blocks, in order, starting in an empty folder.

A block after "Save ... as `name`" becomes that file. Each other Python block runs as a program. All commands go to one
shell. A text block after commands is their output; `...` in it stands for any text. The folder `libreplace` is the
source.
"""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

from support.children import wait_until

MARK = "-- end of block"
#: Numbers that differ between machines and runs: versions, times, and the count of checks that could run.
NUMBER = re.compile(r"\d+(\.\d+)+|\d+(?= proved)")


def blocks(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield (kind, text, file name) for each block that a reader copies or compares."""
    text = page.read_text()
    end = 0
    for fence in re.finditer(r"^```(\w+)\n(.*?)^```\n", text, re.M | re.S):
        before = text[end : fence.start()].strip().rpartition("\n\n")[2]
        saved = re.findall(r"[Ss]ave [^`]*as\s+`([^`]+)`", before)
        yield fence[1], fence[2], saved[-1] if saved else None
        end = fence.end()


def offline(folder: Path) -> dict[str, str]:
    """Return variables that make pip use the packages of this Python, except libreplace, and no network."""
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("replace", "libreplace")):
            (packages / path.name).symlink_to(path)
    programs = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    # 0 turns isolation off: pip reads this variable as the setting "build isolation".
    return {"PYTHONPATH": str(packages), "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PATH": programs}


class Shell:
    """One bash in one folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def folder(self) -> Path:
        """Return the shell's working directory."""
        return Path(f"/proc/{self.process.pid}/cwd").readlink()

    def send(self, text: str) -> None:
        """Send text to the shell's standard input."""
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def do(self, commands: str) -> tuple[int, str]:
        """Run commands. Return the exit status of the last one, and the output of all of them."""
        assert self.process.stdout
        self.send(f"{commands}\necho '{MARK}' $?\n")
        printed = ""
        for line in self.process.stdout:
            if line.startswith(MARK):
                return int(line.removeprefix(MARK)), printed
            printed += line
        raise AssertionError(f"the shell ended in\n{commands}\n{printed}")

    def end(self) -> None:
        """End the shell and the programs that it left in the background."""
        self.send("kill $(jobs -p)\nexit\n")
        self.process.communicate()


def follow(page: Path, folder: Path, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Copy every block of a page, and compare the output with the output that the page shows.

    A command may fail only if the page shows its output.

    Returns:
        The commands of each block, with their output.
    """
    done: list[tuple[str, str]] = []
    copied = list(blocks(page))
    shell = Shell(folder, environment)
    try:
        for (kind, text, file), following in zip(copied, [*copied[1:], ("", "", None)], strict=True):
            if file:
                (shell.folder() / file).write_text(text)
            elif kind in ("sh", "python"):
                if kind == "python":
                    (folder / "block.py").write_text(text)
                    text = ".venv/bin/python block.py\n"
                status, printed = shell.do(text)
                assert status == 0 or following[0] == "text", f"{text}\n{printed}"
                done.append((text, printed))
                if text.endswith("&\n"):
                    wait_for_socket(folder, text)
            else:
                assert kind == "text", f"the page does not say where to save this block:\n{text}"
                wanted, printed = NUMBER.sub("N", text), NUMBER.sub("N", done[-1][1])
                flags = ELLIPSIS | NORMALIZE_WHITESPACE
                assert OutputChecker().check_output(wanted, printed, flags), f"{text}\n---\n{done[-1][1]}"
    finally:
        shell.end()
    return done


def wait_for_socket(folder: Path, command: str) -> None:
    """Wait until the server listens. A reader who copies the next block is slower than the server."""
    (socket,) = [folder / word for word in command.split() if word.endswith("socket")]
    wait_until(lambda: socket.exists() and socket.stat().st_mode & 0o777 == 0o666, f"a server at {socket.name}")
