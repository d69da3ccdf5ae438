# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): why a program that is looked up in PATH did not start.

subprocess tries a name in each folder of PATH. It reports the first error that is not ENOENT or ENOTDIR, or the last
error. If the user cannot search one of the folders, such as /root/bin, this is EACCES, although the program may be
missing, or may have failed for another reason in a later folder. The child tells which paths the user can see:
find_program() in native/child.c.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What the child says if none of the paths exists.
NONE = -1
#: Errors that may be about a folder of PATH, and not about the program.
OF_FOLDERS = (errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def paths(words: Any, options: dict[str, Any]) -> list[bytes]:
    """The paths that Popen tries, in its order; none if the program is not looked up in PATH."""
    name = options.get("executable")
    if name is None and not options.get("shell"):
        name = words if isinstance(words, (str, bytes)) else next(iter(words), "")
    if not name or not isinstance(name, (str, bytes)) or os.path.dirname(name):
        return []
    # as in subprocess.Popen._execute_child()
    return [os.path.join(os.fsencode(folder), os.fsencode(name)) for folder in os.get_exec_path(options.get("env"))]


def packed(found: list[bytes], options: dict[str, Any]) -> bytes | None:
    """The paths for find_program(): first one inside the working directory. None if a path has a null byte."""
    if not found:
        return None
    cwd = options.get("cwd")
    folder = b"" if cwd is None else os.fsencode(cwd)
    inside = [os.path.join(folder, b".") if folder else b"/", *(os.path.join(folder, path) for path in found)]
    if any(b"\0" in path for path in inside):
        return None
    return b"".join(path + b"\0" for path in inside)


def explained(problem: OSError, seen: int) -> OSError:
    """The exception to raise. @seen: what find_program() returned."""
    if problem.errno in OF_FOLDERS and seen == NONE:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), problem.filename)
    return problem


def path_to_ask(problem: OSError, seen: int, found: list[bytes]) -> str | None:
    """The first path that exists, if the user may be unable to search a folder before it. Its own error counts."""
    if problem.errno not in OF_FOLDERS or seen <= 1:
        return None
    path = os.fsdecode(found[seen - 1])
    return path if "/" in path else f"./{path}"  # otherwise Popen would look it up in PATH again
