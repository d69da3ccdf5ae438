# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Keeps imports under an identity out of the import system's caches.

An import under an identity runs as the user. If the user cannot read Python's files, the import must fail. But Python
would remember this user's view for the whole process: a folder of sys.path without a finder, an empty listing, a codec
that does not exist, a namespace package without some of its folders. So a thread under an identity finds these caches
empty, asks the file system, and stores nothing. An import always runs with the ids of its thread.

Source: importlib/_bootstrap_external.py (PathFinder, FileFinder, _NamespacePath), encodings/__init__.py.
"""

from __future__ import annotations

import sys

from ._native import active, is_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

# _uses counts how often threads under an identity have used a cache. _repaired_uses is the value of _uses at the last
# complete repair by _renew(). If two threads add 1 to _uses at the same time, one addition is lost. This does no harm:
# while these threads are switched, _renew() does not change _repaired_uses.
_uses = _repaired_uses = 0
#: Packages whose import began under an identity -> the names of their submodules.
_begun: dict[str, set[str]] = {}


def forgetful(cache: dict[Any, Any]) -> dict[Any, Any]:
    """A copy of the cache. It is empty for a thread under an identity, and such a thread cannot fill it."""
    kind: Any = type(cache)  # not always dict: another copy of this package may have replaced it

    class ForgetfulCache(kind):  # type: ignore[misc]
        """A cache that is empty for threads under an identity."""

        def __getitem__(self, key: Any) -> Any:
            if _is_hidden():
                raise KeyError(key)
            return super().__getitem__(key)

        def get(self, key: Any, default: Any = None) -> Any:
            return default if _is_hidden() else super().get(key, default)

        def __contains__(self, key: Any) -> bool:
            return not _is_hidden() and super().__contains__(key)

        def __setitem__(self, key: Any, value: Any) -> None:
            if not _is_hidden():
                super().__setitem__(key, value)

        def setdefault(self, key: Any, default: Any = None) -> Any:
            return default if _is_hidden() else super().setdefault(key, default)

    return ForgetfulCache(cache)


def _is_hidden() -> bool:
    """Whether the caches are empty for the calling thread. Count this use."""
    global _uses
    if not is_itself():
        _uses += 1
        return True
    return False


class AfterIdentities:
    """A finder that finds nothing. Python calls it before it looks for modules or installed distributions."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Repair the traces of imports under an identity that forgetful() cannot prevent."""
        if _begun and name in _begun and name not in sys.modules:
            _forget_submodules(name)
        if not is_itself():
            _remember_submodule(name)
        elif _uses != _repaired_uses:
            _renew()

    @staticmethod
    def find_distributions(context: object = None) -> tuple[()]:
        """Do the same for importlib.metadata, which caches listings, too."""
        if not _is_hidden() and _uses != _repaired_uses:
            _renew()
        return ()


def _renew() -> None:
    """Make namespace packages and importlib.metadata search again: a user may have seen only some of the folders."""
    global _repaired_uses
    uses = _uses  # read this first, because uses during the repair may need another repair
    none_is_switched = not active()  # if so, the threads that used a cache have finished their look-ups
    external: Any = sys.modules["_frozen_importlib_external"]
    external._NamespacePath._epoch += 1  # as PathFinder.invalidate_caches() does
    for metadata in ("importlib.metadata", "importlib_metadata"):  # as MetadataPathFinder.invalidate_caches() does
        fast_path: Any = getattr(sys.modules.get(metadata), "FastPath", None)
        if fast_path is not None:
            fast_path.__new__.cache_clear()
    if none_is_switched:
        _repaired_uses = uses
        for package in [package for package in list(_begun) if package in sys.modules]:
            if not _is_being_imported(package):
                _begun.pop(package, None)


def _is_being_imported(name: str) -> bool:
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


def _remember_submodule(name: str) -> None:
    """Remember the module if the import of its package has begun: if that import fails, Python keeps the module."""
    package = name.rpartition(".")[0]
    if package and _is_being_imported(package):
        _begun.setdefault(package, set()).add(name)


def _forget_submodules(package: str) -> None:
    """Forget the submodules of a package whose import failed under an identity and begins again.

    Otherwise Python finds them in sys.modules, and the new package lacks them as attributes. Extension modules stay,
    because some cannot be loaded twice.
    """
    external: Any = sys.modules["_frozen_importlib_external"]
    for name in _begun.pop(package, ()):
        module = sys.modules.get(name)
        if not isinstance(getattr(module, "__loader__", None), external.ExtensionFileLoader):
            sys.modules.pop(name, None)


def keep_import_caches_clean() -> None:
    """From now on, keep imports under an identity out of the import system's caches."""
    if any(getattr(finder, "__module__", None) == __name__ for finder in sys.meta_path):
        return  # another import of this package has done this
    sys.path_importer_cache = forgetful(sys.path_importer_cache)
    encodings: Any = sys.modules.get("encodings")
    if isinstance(getattr(encodings, "_cache", None), dict):
        encodings._cache = forgetful(encodings._cache)
    sys.meta_path.insert(0, AfterIdentities)
