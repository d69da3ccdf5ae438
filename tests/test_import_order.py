# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Imports point one way: command -> library -> extension -> C library. Imports inside functions count, too."""

import ast
import re
import sys

import pytest
from support.builds import ROOT

PACKAGE = ROOT / "replace"
#: A file imports only from the files before it. _native is compiled.
ORDER = [
    *(
        "_native_missing",
        "_native",
        "_options",
        "_tracebacks",
        "_replace",
        "_import_caches",
        "_errors",
        "_preload",
        "_ids",
        "_users",
        "_proc",
        "_process",
        "_identity",
    ),
    *(
        "_account",
        "_threads",
        "_stand_in",
        "_starts",
        "_event_loops",
        "_impersonate",
        "_acting_as",
        "_impersonated",
        "_closed_folders",
        "_private_fs",
        "_thread_state",
        "_worker",
        "_turns",
        "_pool",
        "_pool_stats",
        "_executor",
        "_run_as",
    ),
    *("_drop_privileges", "_protect_os", "_login", "_program", "_popen_arguments", "_popen_as"),
    *("_open_beneath", "_build", "_c_library", "_file_threads", "_file_requests"),
    *("__init__", "wsgi", "aio", "_cli", "__main__"),
]
#: The only import of another project.
CFFI = ("_replace.py", "_cffi_backend")
FILES = sorted(PACKAGE.rglob("*.py"))


class Imports(ast.NodeVisitor):
    """The dotted names that a file imports at run time; relative imports are resolved to full names."""

    def __init__(self, path):
        self.folder, self.found = path.relative_to(ROOT).parent.parts, set()
        self.visit(ast.parse(path.read_text()))

    def visit_If(self, node):
        only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in node.orelse if only_types else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node):
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        start = self.folder[: len(self.folder) + 1 - node.level] if node.level else ()
        self.found |= {".".join(filter(None, (*start, node.module, alias.name))) for alias in node.names}


def place(name):
    """Return the index of a dotted name in ORDER. A name without a file belongs to __init__."""
    part = name.split(".")[1]
    return ORDER.index(part if part in ORDER else "__init__")


def test_every_file_is_in_the_import_order():
    files = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert files == set(ORDER) - {"_native"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_earlier_files_and_the_standard_library(path):
    own = place(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in Imports(path).found:
        if name.split(".")[0] != "replace":
            assert name.split(".")[0] in sys.stdlib_module_names or (path.name, name) == CFFI, name
        elif ORDER[own] != "_cli" or ORDER[place(name)] != "_cli":
            assert place(name) < own, name


def test_c_library_includes_no_python_or_extension_header():
    for path in (PACKAGE / "core").rglob("*.[ch]"):
        for header in re.findall(r'#\s*include\s*[<"]([^>"]+)', path.read_text()):
            assert "Python" not in header
            assert header == "internal.h" or not (PACKAGE / "native" / header.split("/")[-1]).exists()
