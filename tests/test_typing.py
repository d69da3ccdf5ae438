# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Type checkers accept right uses of the package and find wrong ones. tests/system/test_pyright.py runs another."""

import ast
import inspect
import subprocess
import sys
from concurrent.futures import Executor

import pytest
from calls import CALLS
from support.builds import ROOT, needs_package, run
from support.checkers import compare, mypy


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_mypy_finds_exactly_the_wrong_uses(tmp_path, version):
    needs_package("mypy")
    compare(mypy(tmp_path, version), 0)


def test_stubs_agree_with_the_compiled_modules(tmp_path):
    needs_package("mypy")
    out = run(sys.executable, "-m", "mypy.stubtest", "--concise", "replace._native", "replace._replace", cwd=tmp_path)
    # they only raise, so that `async with` is an error for checkers, too
    hidden = ["replace._native.Guard.__aenter__", "replace._native.Guard.__aexit__"]
    assert out.stdout.splitlines() == [f"{name} is not present in stub" for name in hidden], out.stderr


# ---- Lists that annotations repeat


def fields(path, *names):
    """Return the annotated names in classes of a file."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "replace" / path).read_text())):
        if isinstance(node, ast.ClassDef) and node.name in names:
            found |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
            found |= {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def test_popen_as_declares_the_options_of_popen():
    declared = fields("_popen_arguments.py", "BytesOptions", "PopenOptions", "AnyOptions")
    ignored = {"args", "user", "group", "extra_groups", "startupinfo", "creationflags"}  # the last two: Windows
    options = set(inspect.signature(subprocess.Popen).parameters) - ignored
    assert declared - options == (set() if sys.version_info >= (3, 11) else {"process_group"})
    assert not options - declared


def test_map_declares_the_options_of_executor_map():
    declared = fields("_executor.py", "OldMapOptions", "MapOptions")
    options = set(inspect.signature(Executor.map).parameters) - {"self", "fn", "iterables"}
    assert declared - options == (set() if sys.version_info >= (3, 14) else {"buffersize"})
    assert not options - declared


def test_stub_of_lib_describes_every_function():
    stub = ast.parse((ROOT / "replace" / "_replace.pyi").read_text())
    (kind,) = (node for node in stub.body if getattr(node, "name", "") == "_Lib")
    functions = {node.name: ast.get_docstring(node) for node in kind.body if isinstance(node, ast.FunctionDef)}
    assert set(functions) > {call.symbol for call in CALLS}
    assert not [name for name, text in functions.items() if not text or not text[0].isupper()]
