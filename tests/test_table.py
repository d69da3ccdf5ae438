# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""All code that is generated from the table of calls or must agree with it, and the list of installed files."""

import ast
import importlib.util
import inspect
import os
import re
import sys

import golden
import pytest
import sources
from bodies import EMULATIONS, SHAPES, emulation
from calls import CALLS, SYSTEM_CALLS, WIDE
from python_face import parameters
from questions import questions
from support.builds import ROOT, run, tool

import replace
from replace import _native


def test_generated_parts_of_the_sources_are_up_to_date():
    out = run(sys.executable, ROOT / "detect" / "sources.py", "--check")
    assert (out.returncode, out.stderr) == (0, "")


@pytest.mark.parametrize("path", sources.PARTS)
def test_missing_line_in_a_generated_part_is_found(path):
    text = (ROOT / path).read_text()
    for match in re.finditer(r"# generated: begin \w+\n.*\n", text):
        shorter = text[: match.end()] + text[match.end() :].split("\n", 1)[1]
        assert sources.written(shorter, sources.PARTS[path]) == text != shorter
    with pytest.raises(ValueError, match="generated parts"):
        sources.written(text.replace("# generated: end", "# generated: fin"), sources.PARTS[path])


def test_native_stub_lists_every_function():
    body = ast.parse((ROOT / "replace" / "_native.pyi").read_text()).body
    functions = {f.name: f for f in body if isinstance(f, ast.FunctionDef)}
    for function in functions.values():
        assert function.returns is not None
        assert all(a.annotation for a in function.args.posonlyargs)
    found = {n for n in dir(_native) if callable(getattr(_native, n)) and n[:2] != "__"}
    assert set(functions) == found - {"Guard", "Impersonated", "Ring"}


def test_cffi_stub_lists_every_name():
    classes = {
        n.name: n.body
        for n in ast.parse((ROOT / "replace" / "_replace.pyi").read_text()).body
        if isinstance(n, ast.ClassDef)
    }
    names = {
        cls: {n.name if isinstance(n, ast.FunctionDef) else n.target.id for n in body if not isinstance(n, ast.Expr)}
        for cls, body in classes.items()
    }
    assert names["_Lib"] == set(dir(replace.lib))
    only_glibc = set() if hasattr(os, "RTLD_DEEPBIND") else {"RTLD_DEEPBIND"}
    assert names["_FFI"] - only_glibc == {name for name in dir(replace.ffi) if not name.startswith("__")}


def test_native_stub_lists_every_constant():
    body = ast.parse((ROOT / "replace" / "_native.pyi").read_text()).body
    declared = {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
    assert declared == {name for name in dir(_native) if name.isupper()}


def test_level_literal_equals_the_levels_of_c():
    text = (ROOT / "replace" / "_options.py").read_text()
    assert re.findall(r'"(\w+)"', re.search(r"Level = Literal\[(.*)\]", text)[1]) == list(_native.LEVELS)


def test_compiled_module_has_every_call():
    assert {call.name for call in CALLS} <= set(dir(_native))


def test_dunder_all_lists_every_call():
    calls = {call.name for call in CALLS}
    assert calls <= set(replace.__all__)
    assert all(hasattr(replace, name) for name in replace.__all__)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_call_has_a_docstring_and_a_signature(call):
    function = getattr(replace, call.name)
    text = " ".join(inspect.getdoc(function).split())
    assert "Source:" in text
    assert "Raises" in text
    if call.kind == "setter":
        assert list(inspect.signature(function).parameters) == [name for name, _ in parameters(call)]
        if not call.thread_only:
            assert f"libc's {call.name}() changes all threads" in text


@pytest.mark.parametrize("name", [call.name for call in CALLS if hasattr(os, call.name)])
def test_signature_equals_that_of_os(name):
    def shape(function):
        return [p.kind for p in inspect.signature(function).parameters.values()]

    assert shape(getattr(replace, name)) == shape(getattr(os, name))


def test_every_row_of_the_call_table_is_consistent():
    assert {call.shape for call in CALLS} == set(SHAPES)
    assert {call.emulation for call in CALLS} - {""} == set(EMULATIONS)
    assert all((call.proof is None) == (call.kind == "getter") for call in CALLS)
    assert all({name for _, name in call.params} >= set(call.refuse) for call in CALLS)
    assert all(call.source and call.doc.endswith(".") for call in CALLS)


def test_emulation_lists_the_setters_that_it_calls():
    for call in CALLS:
        for system in EMULATIONS.get(call.emulation, {}):
            calls, text = emulation(call, system)
            assert sorted(calls) == sorted(set(re.findall(r"\bset\w+(?=\((?!\)))", text))), (call.name, system)


def test_wide_calls_are_the_seven_that_samba_uses():
    kinds = [f"set{kind}{x}" for x in ("uid", "gid") for kind in ("", "re", "res")]
    assert sorted(WIDE) == sorted([*kinds, "setgroups"])
    assert set(WIDE) <= set(SYSTEM_CALLS)


def test_install_list_equals_the_tree():
    text = (ROOT / "replace" / "meson.build").read_text()
    block = text[text.index("py.install_sources(") :]
    listed = set(re.findall(r"'([^'/]+\.\w+)'", block[: block.index("subdir:")]))
    tree = {p.name for p in (ROOT / "replace").iterdir() if p.is_file() and p.name != "meson.build"}
    assert listed == tree


def test_every_probe_has_a_question_and_explains_yes():
    probes = {p.name for p in (ROOT / "detect" / "probes").glob("*.c")}
    assert probes == {q.subject for q in questions() if q.subject.endswith(".c")}
    for name in probes:
        comment = (ROOT / "detect" / "probes" / name).read_text().split("*/")[0]
        assert re.search(r"\bYes\b", comment), name
        assert re.search(r"libreplace_\w+", comment), name


def test_question_ids_are_unique_and_prefixed():
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
        for header in golden.write_headers(golden.GOLDEN / platform, tmp_path / platform):
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
                    f"-I{tmp_path / platform}",
                    "-include",
                    f"libreplace/{header.name}",
                    tmp_path / "empty.c",
                )
                assert out.returncode == 0, out.stderr


def test_import_loads_no_heavy_module():
    heavy = ["asyncio", "argparse", "subprocess", "concurrent.futures", "typing", "logging", "threading", "inspect"]
    code = f"import replace, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    assert run(sys.executable, "-c", code, cwd="/").stdout.strip() == "[]"


def test_typed_marker_is_installed():
    spec = importlib.util.find_spec("replace")
    from importlib.resources import files

    assert spec is not None
    assert files("replace").joinpath("py.typed").is_file()
