# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Tools that freeze a program find the package's modules in its import statements, without running them.

These tests ask modulefinder, which reads the bytecode as PyInstaller and cx_Freeze do. Those two are tried in
tests/system/test_frozen.py.
"""

import importlib.util
import sys
import sysconfig
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from support.builds import ROOT, run
from support.children import obstacle

from replace._starts import STARTERS

FILES = sorted((ROOT / "replace").rglob("*.py"))
#: Modules that nothing else imports: those of the command `libreplace`, and public modules with their parts.
ON_REQUEST = ("replace.__main__", "replace._cli", "replace.wsgi", "replace.aio", "replace._file_")

USE_EVERYTHING = """
import os, sys
before = set(sys.modules)
import replace
for name in replace.__all__:
    getattr(replace, name)
replace.preload(), replace.report(), replace.__version__, replace.Account.lookup("root")
replace.thread_credentials(), replace.assert_clean()
if sys.argv[1:] == ["root"] and replace.SCOPE == "thread":
    import asyncio, warnings
    warnings.simplefilter("ignore")
    replace.protect_os()
    alice = replace.Identity(80001, 80011)
    replace.popen_as(alice, ["true"]).wait()
    with replace.IdentityExecutor(1) as pool:
        pool.submit(alice, os.geteuid).result()
    async def serve():
        await replace.run_as(alice, os.geteuid)
    asyncio.run(serve())
    list(replace.impersonated(alice, [1]))
loaded = {name: getattr(sys.modules[name], "__spec__", None) for name in set(sys.modules) - before}
print(*(name for name, spec in loaded.items() if spec and spec.name == name))
"""


def root():
    """Return the argument of USE_EVERYTHING that makes it switch ids, if this process can."""
    return [] if obstacle() else ["root"]


def test_package_needs_no_docstrings_and_no_assertions():
    """A frozen program may have neither."""
    out = run(sys.executable, "-OO", "-c", USE_EVERYTHING, *root(), env={"PYTHONDONTWRITEBYTECODE": "1"}, cwd="/")
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_uses_the_name_of_its_package_while_it_is_imported(path):
    """cx_Freeze 8 adds an assignment to __package__ to the code of a module in a zip file, and breaks its jumps."""
    assert "__package__" not in compile(path.read_text(), path, "exec").co_names


class Finder(ModuleFinder):
    """A ModuleFinder that ignores folders without __init__.py. Debian's libpython3.11-testsuite has one, tkinter."""

    def find_module(self, name, path, parent=None):
        try:
            return super().find_module(name, path, parent)
        except AttributeError:  # it expects that every module has a loader
            raise ImportError(name) from None


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The modules that modulefinder finds for a program whose only statement is `import replace`.

    It looks only into the standard library and at two other modules.
    """
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text("import replace\n")
    for name in ("replace", "_cffi_backend"):
        place = Path(importlib.util.find_spec(name).origin)
        place = place.parent if place.stem == "__init__" else place
        (folder / place.name).symlink_to(place)
    # The variable DESTSHARED names another folder in a Python that was moved
    library = [sysconfig.get_path("stdlib"), *(entry for entry in sys.path if Path(entry).name == "lib-dynload")]
    finder = Finder([str(folder), *library])
    finder.run_script(str(folder / "program.py"))
    return set(finder.modules)


def test_every_module_of_the_package_is_found(found):
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES}
    files = {name.removesuffix(".__init__") for name in files if not name.startswith(ON_REQUEST)}
    assert {name for name in found if name.split(".")[0] == "replace"} == files | {"replace._native"}


def test_every_module_that_is_loaded_at_run_time_is_found(found):
    out = run(sys.executable, "-c", USE_EVERYTHING, *root(), cwd="/")
    assert out.returncode == 0, out.stderr
    loaded = set(out.stdout.split())
    assert {"replace._executor", "_cffi_backend", "stringprep"} <= loaded
    loaded = {name for name in loaded if not name.startswith("encodings.")}  # such tools add the whole package
    loaded -= {"replace._cffi", *sys.builtin_module_names}  # _cffi is in the file of _native
    loaded -= {starter.split(".")[0] for starter in STARTERS}  # what the program lacks cannot start anything
    assert loaded - found == set()
