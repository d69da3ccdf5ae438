# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The stubs of the compiled modules, for type checkers and editors."""

import ast

from calls import CALLS
from support.builds import ROOT


def fields(path, *names):
    """Return the annotated names in classes of a file."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "replace" / path).read_text())):
        if isinstance(node, ast.ClassDef) and node.name in names:
            found |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
            found |= {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def test_stub_of_lib_describes_every_function():
    stub = ast.parse((ROOT / "replace" / "_replace.pyi").read_text())
    (kind,) = (node for node in stub.body if getattr(node, "name", "") == "_Lib")
    functions = {node.name: ast.get_docstring(node) for node in kind.body if isinstance(node, ast.FunctionDef)}
    assert set(functions) > {call.symbol for call in CALLS}
    assert not [name for name, text in functions.items() if not text or not text[0].isupper()]
