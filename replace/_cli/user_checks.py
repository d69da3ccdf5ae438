# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of `libreplace verify --as USER`: can the user read the files that Python's imports read?

verify.py runs each in a child process. The child becomes the user for good, and opens the files.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from .._closed_folders import absolute_entries, closed_at, way_to
from .._drop_privileges import drop_privileges
from .._errors import IdentityError, IdentityRefused
from .._identity import Identity
from .checks import Check
from .observe import NotHere, must
from .obstacles import IDS, PRIVILEGE, REAL_IDS, Machine

_REQUIRES = (REAL_IDS, PRIVILEGE, IDS)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find_user(text: str) -> Identity:
    """The identity of a user, by name or by uid in decimal digits.

    Raises KeyError if there is no such user, ValueError if the user's entry in the database is wrong.
    """
    if not text or (text.isdigit() and len(text) > 10):  # longer than any id
        raise KeyError(text)
    try:
        return Identity.from_user(int(text) if text.isascii() and text.isdigit() else text)
    except OverflowError:  # too large for an id
        raise KeyError(text) from None


def _places() -> dict[str, str]:
    """The places that an import reads: path -> name. If a path has two names, the first counts."""
    found = {sys.executable: "interpreter", os.path.dirname(os.__file__): "standard library"}
    found.setdefault(_PACKAGE, "this package")
    main = sys.modules["__main__"]
    for entry in absolute_entries():
        if getattr(main, "__spec__", None) is not None and entry == sys.path[0] == os.getcwd():
            continue  # `python -m` added it, for this command only
        dynload = os.path.basename(entry) == "lib-dynload"
        found.setdefault(entry, "lib-dynload" if dynload else f"sys.path[{sys.path.index(entry)}]")
    return {path: name for path, name in found.items() if os.path.isabs(path) and os.path.exists(path)}


def _files_of_the_package() -> list[str]:
    return [
        os.path.join(folder, name)
        for folder, folders, files in os.walk(_PACKAGE)
        for name in (*folders, *files)
        if name != "__pycache__" and not folder.endswith("__pycache__")  # Python does not need it
    ]


def _is_open(paths: list[str], user: Identity, machine: Machine) -> None:
    ways = {path: way_to(path) for path in paths}
    try:
        drop_privileges(user, allow_root=True)
    except (IdentityError, IdentityRefused) as error:
        raise NotHere(f"the switch is refused: {error}") from None
    for path, way in ways.items():
        closed = closed_at(path, way)
        must(not closed, f"cannot read {path}" + ("" if closed == way[-1] else f": cannot enter the folder {closed}"))


def _is_relative(entry: str, machine: Machine) -> None:
    meaning = "an empty entry means" if not entry else f"{entry!r} is below"
    raise AssertionError(
        f"DANGEROUS: {meaning} the working directory; if a user can write there, the server runs the user's files "
        "as modules. Remove the entry, or start Python with -I"
    )


def all_checks(user: Identity, name: str) -> list[Check]:
    """The checks for this user, in order. `name` is the user as written on the command line."""
    name = f"user {name}"
    checks = [
        Check(place, f"{name} can read {path}", partial(_is_open, [path], user), _REQUIRES)
        for path, place in _places().items()
    ]
    run = partial(_is_open, _files_of_the_package(), user)
    checks.append(Check("files of this package", f"{name} can read each", run, _REQUIRES))
    for number, entry in enumerate(sys.path):
        if isinstance(entry, str) and not os.path.isabs(entry):
            checks.append(Check(f"sys.path[{number}]", "the entry is absolute", partial(_is_relative, entry)))
    return checks
