# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""One table, no second copy: stub, Python face, header and install list against it."""

import ast
import importlib.util
import inspect
import os
import re
import sys

import pytest
from bodies import EMULATIONS, SHAPES, emulation
from calls import CALLS, SYSTEM_CALLS, WIDE
from python_face import parameters
from questions import questions
from support.builds import ROOT, run, tool

import replace
from replace import _native


def stub(name):
    """The functions that a stub declares: name -> (parameters, all annotated)."""
    body = ast.parse((ROOT / "replace" / name).read_text()).body
    lib = [n for n in body if isinstance(n, ast.ClassDef) and n.name == "_Lib"]
    functions = [f for f in (lib[0].body if lib else body) if isinstance(f, ast.FunctionDef)]
    for function in functions:
        assert function.returns is not None
        assert all(a.annotation for a in function.args.posonlyargs if a.arg != "self")
    return {f.name: [a.arg for a in f.args.posonlyargs if a.arg != "self"] for f in functions}


def test_stub_of_the_cffi_module_is_the_table():
    assert stub("_replace.pyi") == {call.symbol: [name for _, name in call.params] for call in CALLS}


def declarations(text):
    """What a header or Cython's copy of it declares: functions as they are written, enumerators, fields by struct."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", text, flags=re.S)
    functions = re.findall(r"^ *((?:const )?\w+ \*?)(libreplace_\w+)\(([^()]*)\)", text, re.M)
    constants = set(re.findall(r"\bLIBREPLACE_(?:LEVEL|STEP|STATE|ALLOW|ABORT)_[A-Z_]+\b", text))
    structs = dict(re.findall(r"struct (\w+)(?: \{|:)\n(.*?)(?:^\};|\n\n|\Z)", text, re.M | re.S))
    fields = {name: set(re.findall(r"(\w+)(?=[,;\n]|\[\]|\Z)", body)) for name, body in structs.items()}
    spaces = {name: (result, " ".join(arguments.split())) for result, name, arguments in functions}
    return (
        {n: (r.strip(), "" if a == "void" else a.replace("struct ", "")) for n, (r, a) in spaces.items()},
        constants,
        fields,
    )


def test_declarations_for_cython_are_those_of_the_table_and_the_headers():
    functions, constants, fields = declarations((ROOT / "replace" / "libreplace.pxd").read_text())
    text = "".join(path.read_text() for path in sorted((ROOT / "replace/core/libreplace").glob("*.h")))
    written, wanted, structs = declarations(text + "".join(f"{call.prototype};\n" for call in CALLS))
    assert len(written) > len(CALLS) + 10
    assert functions == written
    assert constants == wanted
    # what belongs to the library is left out: a Cython program has no use for it
    own = {"token", "outer_token", "outer", "before", "set", "capabilities", "groups"}
    assert fields == {name: names - (own if name == "libreplace_guard" else set()) for name, names in structs.items()}


def test_stub_of_the_native_module_is_the_table_and_what_there_is():
    found = stub("_native.pyi")
    for call in CALLS:
        assert found.pop(call.name) == [name for name, _ in parameters(call)]
    others = {name for name in dir(_native) if callable(getattr(_native, name)) and not name.startswith("__")}
    assert set(found) == others - {call.name for call in CALLS} - {"Guard"}


def test_constants_of_the_native_module_are_those_of_its_stub():
    body = ast.parse((ROOT / "replace" / "_native.pyi").read_text()).body
    declared = {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
    assert declared == {name for name in dir(_native) if name.isupper()}


def test_levels_for_the_type_checker_are_those_of_c():
    text = (ROOT / "replace" / "_impersonate.py").read_text()
    assert re.findall(r'"(\w+)"', re.search(r"Level = Literal\[(.*)\]", text)[1]) == list(_native.LEVELS)


def test_compiled_modules_have_every_call():
    from replace._replace import lib

    assert {call.symbol for call in CALLS} <= set(dir(lib))
    assert {call.name for call in CALLS} <= set(dir(_native))


def test_all_names_the_calls():
    calls = {call.name for call in CALLS}
    assert calls <= set(replace.__all__)
    assert all(hasattr(replace, name) for name in replace.__all__)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_docstring_and_signature(call):
    function = getattr(replace, call.name)
    text = " ".join(inspect.getdoc(function).split())
    assert "Source:" in text
    assert "Raises" in text
    if call.kind == "setter":
        assert list(inspect.signature(function).parameters) == [name for name, _ in parameters(call)]
        if not call.thread_only:
            assert "This is not" in text, "the paragraph that says what POSIX's call would do"


@pytest.mark.parametrize("name", [call.name for call in CALLS if hasattr(os, call.name)])
def test_signature_is_that_of_os(name):
    def shape(function):
        return [p.kind for p in inspect.signature(function).parameters.values()]

    assert shape(getattr(replace, name)) == shape(getattr(os, name))


def test_every_row_names_what_there_is():
    assert {call.shape for call in CALLS} == set(SHAPES)
    assert {call.emulation for call in CALLS} - {""} == set(EMULATIONS)
    assert all((call.proof is None) == (call.kind == "getter") for call in CALLS)
    assert all({name for _, name in call.params} >= set(call.refuse) for call in CALLS)
    assert all(call.source and call.doc.endswith(".") for call in CALLS)


def test_an_emulation_names_the_setters_that_it_calls():
    for call in CALLS:
        for system in EMULATIONS.get(call.emulation, {}):
            calls, text = emulation(call, system)
            assert sorted(calls) == sorted(set(re.findall(r"\bset\w+(?=\((?!\)))", text))), (call.name, system)


def test_the_seven_calls_are_those_of_the_probe():
    probe = (ROOT / "detect" / "probes" / "linux_32bit_syscalls.c").read_text()
    assert set(re.findall(r"SYS_(\w+)32", probe)) == set(WIDE)
    assert set(WIDE) <= set(SYSTEM_CALLS)


def test_install_list_is_the_tree():
    text = (ROOT / "replace" / "meson.build").read_text()
    block = text[text.index("py.install_sources(") :]
    listed = set(re.findall(r"'([^'/]+\.\w+)'", block[: block.index("subdir:")]))
    tree = {p.name for p in (ROOT / "replace").iterdir() if p.is_file() and p.name != "meson.build"}
    assert listed == tree


def test_every_probe_has_a_question_and_says_what_yes_means():
    probes = {p.name for p in (ROOT / "detect" / "probes").glob("*.c")}
    assert probes == {q.subject for q in questions() if q.subject.endswith(".c")}
    for name in probes:
        comment = (ROOT / "detect" / "probes" / name).read_text().split("*/")[0]
        assert re.search(r"\bYes\b", comment), name
        assert re.search(r"libreplace_\w+", comment), name


def test_ids_are_unique_and_prefixed():
    ids = [q.id for q in questions()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"libreplace_[a-z0-9_]+", i) for i in ids)


def test_detect_parses_on_the_oldest_python_of_meson():
    for path in (ROOT / "detect").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 7))


def test_each_header_compiles_alone_as_c_and_cxx(tmp_path):
    compiler = tool("g++", "C++ compiler")
    (tmp_path / "empty.c").write_text("extern int not_empty;\n")
    for platform in ("linux-glibc-x86_64", "linux-musl-x86_64"):
        include = tmp_path / platform / "libreplace"
        include.mkdir(parents=True)
        for name in ("calls.h", "replace_override.h", "samba_config.h"):
            (include / name).write_text((ROOT / "tests" / "golden" / platform / name).read_text())
        for header in (ROOT / "replace/core/libreplace").glob("*.h"):
            (include / header.name).write_text(header.read_text())
        for header in include.iterdir():
            for language in ("c", "c++"):
                out = run(
                    compiler,
                    "-x",
                    language,
                    "-Wall",
                    "-Wextra",
                    "-Wpedantic",
                    "-Werror",
                    "-fsyntax-only",
                    f"-I{include.parent}",
                    "-include",
                    f"libreplace/{header.name}",
                    tmp_path / "empty.c",
                )
                assert out.returncode == 0, out.stderr


def test_importing_is_light():
    heavy = ["asyncio", "argparse", "subprocess", "concurrent.futures", "typing", "logging", "threading", "inspect"]
    code = f"import replace, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    assert run(sys.executable, "-c", code, cwd="/").stdout.strip() == "[]"


def test_typed_marker_is_installed():
    spec = importlib.util.find_spec("replace")
    from importlib.resources import files

    assert spec is not None
    assert files("replace").joinpath("py.typed").is_file()
