# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Runs a function in a forked child process, so that it may change its ids freely."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

_SECONDS = 30


class Died(Exception):
    """The child process did not return a result. The text says how it ended."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.signal = number


def in_child(function: Callable[[], Any]) -> Any:
    """Call the function in a forked child; return its result, which can be written as JSON.

    Raises Died, also if the function raises; OSError if there cannot be another process.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if child == 0:
        try:
            os.close(reader)
            os.write(writer, json.dumps([function()]).encode())
        finally:
            os._exit(1)  # the parent has the result, or learns from its absence
    os.close(writer)
    with open(reader, "rb") as pipe:
        late = not select.select([pipe], [], [], _SECONDS)[0]
        if late:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if late:
        raise Died(f"the child process did not end within {_SECONDS} seconds")
    if text:
        return json.loads(text)[0]
    code = os.waitstatus_to_exitcode(status)
    raise Died(f"the child ended with {f'signal {-code}' if code < 0 else f'status {code}'}", max(-code, 0))
