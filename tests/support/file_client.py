# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A client of docs/examples/file_service.py that becomes its user first. test_file_service.py runs sixteen of them.

Usage, as root: python file_client.py SOCKET FOLDER USER. It exits with 0 if all answers and file owners are correct.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import replace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.children import HANG
from support.servers import IDS, MEMBERS, NAMES, ROUNDS, STRANGER, TEAM, owner


def main(address: str, folder: str, name: str) -> None:
    world = Path(folder)
    replace.drop_privileges(replace.Identity(*IDS[name], [TEAM] if name in MEMBERS else []))
    other = NAMES[NAMES.index(name) - 1]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(HANG)
    connection.connect(address)
    stream = connection.makefile("rwb")

    def ask(line: str, body: bytes = b"") -> Any:
        stream.write(line.encode() + b"\n")
        stream.flush()
        answer = stream.readline()
        if answer == b"SEND\n":
            stream.write(body)
            stream.flush()
            answer = stream.readline()
        word, _, value = answer.strip().partition(b" ")
        return stream.read(int(value)) if word == b"OK" else value.decode()

    for number in range(ROUNDS):
        data = os.urandom(200_000)
        assert ask(f"PUT {len(data)} {name}/file{number}", data) == b""
        assert owner(world / name / f"file{number}") == IDS[name]
        assert ask(f"GET {name}/file{number}") == data
        assert f"file{number}".encode() in ask(f"LIST {name}").split(b"\n")
        assert ask(f"GET {other}/secret") == "EACCES"
        assert ask(f"PUT 7 {other}/planted", b"planted") == "EACCES"
        assert ask(f"LIST {other}/private") == "EACCES"
        assert ask("GET users") == "ENOENT"
        for line in ("BREW coffee", "PUT many x"):
            assert ask(line) == "EINVAL"
        for line in (f"GET {world}/{name}/file{number}", "LIST /", "LIST ..", "PUT 1 ../x"):
            assert ask(line) == "EXDEV"
        assert ask(f"PUT -1 {name}/file{number}") == "EINVAL"
        assert ask(f"GET {name}/file{number}") == data
        assert ask(f"GET {name}") == "EISDIR"
        shared = f"shared/{name}{number}"
        if name == STRANGER:
            assert ask("GET shared/notes") == ask(f"PUT 1 {shared}", b"x") == "EACCES"
        else:  # allowed by the groups of this process
            assert ask("GET shared/notes") == b"notes of the team"
            assert ask(f"PUT 1 {shared}", b"x") == b""


if __name__ == "__main__":
    main(*sys.argv[1:])
