# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""preload() loads modules in advance, before the program enters an identity."""

import ast
import importlib.util
import os
import sys
import tempfile

import pytest
from support.builds import ROOT, run
from support.children import ALICE, as_root, in_child

import replace

#: Modules that Python imports at its start.
IMPORTED_BEFORE = {"posix", "_thread"}


def late_imports(path):
    """Yield the modules outside this package that a file imports inside functions."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    yield node.module


def test_preload_loads_every_module_imported_inside_functions():
    wanted = {name for path in (ROOT / "replace").glob("*.py") for name in late_imports(path)} - IMPORTED_BEFORE
    if importlib.util.find_spec("_tracemalloc") is None:
        wanted -= {"tracemalloc"}
    assert {"subprocess", "pwd", "functools"} <= wanted
    code = f"import replace, sys; print(replace.preload()); print({wanted!r} - set(sys.modules), "
    code += "{'IdentityExecutor', 'ffi', 'lib'} - set(vars(replace)))"
    out = run(sys.executable, "-c", code, cwd="/")
    assert out.stdout.splitlines() == ["None", "set() set()"], out.stderr


def test_nothing_is_imported_under_an_identity_after_preload():
    script = """
import datetime, logging, os, subprocess, sys, threading
import replace
replace.preload("colorsys")
asked = []
class Noted:
    @staticmethod
    def find_spec(name, path=None, target=None):
        asked.append(name)
alice = replace.Identity(80001, 80011)
sys.meta_path.insert(0, Noted)
with replace.impersonate(alice):
    "localhost".encode("idna"), b"a".decode("utf-8-sig"), "a".encode("latin-1")
    b"a\\0".decode("utf-16"), "a".encode("cp437")
    datetime.datetime.strptime("2026", "%Y")
    replace.thread_credentials(), replace.report(), replace.Identity.from_user("root")
    replace.acting_as(alice, len).__reduce__()
    replace.popen_as(alice, ["true"]).wait()
    try: open("/nowhere")
    except OSError: logging.exception("this is printed")
    import colorsys
with replace.IdentityExecutor(1) as pool:
    pool.submit(alice, os.geteuid).result()
print(asked)
"""

    def body():
        return run(sys.executable, "-c", script, cwd="/")

    out = as_root(body)
    assert out is None or out.stdout == "[]\n", out.stdout + out.stderr


def test_preload_imports_what_a_named_module_imports_lazily(tmp_path):
    code = "import colorsys\n"
    if sys.version_info >= (3, 15):  # there are no lazy imports before
        code = "lazy import colorsys\nlazy import a_module_that_is_missing\n"
    (tmp_path / "named.py").write_text(code)
    code = "import sys, replace; replace.preload('named'); print('colorsys' in sys.modules)"
    out = run(sys.executable, "-c", code, cwd=tmp_path)
    assert out.stdout == "True\n", out.stderr


def test_preloaded_module_of_a_closed_folder_can_be_used(tmp_path):
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:  # mode 0700
        with open(f"{folder}/late.py", "w") as file:
            file.write("euid = __import__('os').geteuid()")
        script = f"import sys, replace; sys.path.append({folder!r}); replace.preload('late')\n"
        script += "with replace.impersonate(replace.Identity(80001, 80011)):\n    import late; print(late.euid)"
        out = as_root(lambda: run(sys.executable, "-c", script, cwd="/"))
    assert out is None or out.stdout == "0\n", out.stderr


def test_preload_is_refused_under_an_identity():
    def body():
        with replace.impersonate(ALICE), pytest.raises(replace.IdentityRefused, match="call preload"):
            replace.preload("colorsys")
        assert "colorsys" not in sys.modules

    as_root(body)


@pytest.mark.parametrize("name", ["no_such_module", "os.no_such_module", "broken", "half"])
def test_preload_names_the_module_that_failed(name, tmp_path):
    (tmp_path / "broken.py").write_text("syntax error")
    (tmp_path / "half.py").write_text("1 / 0")

    def body():
        sys.path.append(str(tmp_path))
        with pytest.raises(ImportError, match=f"preload\\(\\) cannot import {name}: ") as caught:
            replace.preload("colorsys", name)
        return caught.value.name

    assert in_child(body) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [("import no_such_module", "no_such_module: "), ("1 / 0", "a module of the standard library: division by zero")],
)
def test_preload_names_the_failure_of_its_own_modules(text, words, tmp_path):
    """A file of the program hides a module of the standard library."""
    (tmp_path / "stringprep.py").write_text(text)
    script = f"import sys, replace; sys.path.insert(0, {str(tmp_path)!r}); replace.preload()"
    out = run(sys.executable, "-c", script, cwd="/")
    assert out.stderr.splitlines()[-1].startswith(f"ImportError: preload() cannot import {words}"), out.stderr


@pytest.mark.parametrize(
    ("name", "error"), [(os, TypeError), (b"os", TypeError), ("", ValueError), (".os", ValueError), ("a b", ValueError)]
)
def test_preload_with_an_invalid_name_imports_nothing(name, error):
    def body():
        with pytest.raises(error):
            replace.preload("colorsys", name)
        assert "colorsys" not in sys.modules

    in_child(body)
