# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the sources of the Python package's extension modules.

replace._native has a C function for each call of the table, with a docstring, and the build report. replace._cffi is
the whole C library, as its headers declare it. generate.py writes the C library.
"""

import json
import os
import textwrap
from typing import List, Tuple

from calls import CALLS, Call
from headers import Declarations


def parameters(call: Call) -> Tuple[Tuple[str, str], ...]:
    """The parameters of the Python function: (name, annotation)."""
    if call.face:
        return tuple((name, annotation) for name, annotation, _ in call.face.params)
    return tuple((name, "SupportsIndex") for _, name in call.params) if call.kind == "setter" else ()


def returned(call: Call) -> str:
    """The annotation of the Python function's result."""
    if call.face:
        return call.face.result
    ids = "tuple[int, int, int]" if len(call.params) == 3 else "int"
    return "None" if call.kind == "setter" else ids


def _arguments(call: Call) -> List[Tuple[str, str]]:
    if call.face:
        return [(name, meaning) for name, _, meaning in call.face.params]
    unset = "." if call.refuse else ", or -1 to leave it unchanged."
    return [(name, f"The new {call.id_name(name)}, 0 to 2**32-2{unset}") for name, _ in parameters(call)]


def _exceptions(call: Call) -> List[Tuple[str, str]]:
    errors = [("OSError", call.python_errors)]
    if call.face:
        return errors + list(call.face.raises)
    if call.kind == "getter":
        return errors
    return errors + [
        ("OverflowError", "An id is out of range. 2**32-1 is out of range, too."),
        ("TypeError", "An argument is not an integer."),
    ]


def _returns(call: Call) -> str:
    if call.face:
        return call.face.returns
    if call.kind == "setter":
        return ""
    kinds = "real, effective and saved" if len(call.params) == 3 else "file system"
    return f"The {kinds} {call.id_name()}."


def wrapped(text: str, indent: str = "", first: str = "") -> List[str]:
    """The lines of a paragraph in a docstring."""
    return textwrap.wrap(text, 88, initial_indent=first or indent, subsequent_indent=indent)


def docstring(call: Call) -> List[str]:
    """The lines of the Python function's docstring, for help(), the stub and the reference page."""
    summary, _, more = call.does.partition(". ")
    lines = [summary.rstrip(".") + "."]
    if call.kind == "setter" and not call.thread_only:
        scope = 'If ``SCOPE`` is ``"thread"``, only the calling thread changes;'
        more = f"{more} {scope} libc's {call.name}() changes all threads.".strip()
    if more:
        lines += ["", *wrapped(more)]
    arguments, result = _arguments(call), _returns(call)
    if arguments:
        lines += ["", "Args:"]
    for name, text in arguments:
        lines += wrapped(text, " " * 8, f"    {name}: ")
    if result:
        lines += ["", "Returns:", *wrapped(result, " " * 4)]
    lines += ["", "Raises:"]
    for name, text in _exceptions(call):
        lines += wrapped(text, " " * 8, f"    {name}: ")
    return [*lines, "", *wrapped(f"Source: {call.source}.")]


def _method_doc(call: Call) -> str:
    """The doc string of the C function: its signature and the docstring."""
    names = [name for name, _ in parameters(call)]
    signature = f"{call.name}({', '.join(['$module', *names, '/'] if names else ['$module'])})\n--\n\n"
    return signature + "\n".join(docstring(call)) + "\n"


def _native_function(call: Call) -> str:
    names = [name for _, name in call.params]
    result = f"native_ids({len(names)}, values)" if len(names) > 1 else "PyLong_FromUnsignedLong(values[0])"
    head = "static PyObject *native_%s(PyObject *module, %s)\n{\n" % (
        call.name,
        "PyObject *unused" if call.kind == "getter" else "PyObject *const *args, Py_ssize_t count",
    )
    if call.kind == "getter":
        places = ", ".join(f"&values[{i}]" for i in range(len(names)))
        return head + (
            f"\tunsigned values[{len(names)}];\n\tint result;\n\n\t(void)module;\n\t(void)unused;\n"
            f"\tUNLOCKED_IF(!LIBREPLACE_THREAD_SCOPE, result = {call.symbol}({places}));\n"
            "\tif (result != 0)\n\t\treturn native_nothing(result);\n"
            f"\treturn {result};\n}}\n"
        )
    tests = [f'!native_arity("{call.name}", count, {len(names)})']
    tests += [f'!native_to_id(args[{i}], &{name}, "{call.unit}")' for i, name in enumerate(names)]
    return head + (
        f"\tunsigned {', '.join(names)};\n\tint result;\n\n\t(void)module;\n"
        f"\tif ({' || '.join(tests)})\n\t\treturn NULL;\n"
        f"\tUNLOCKED_IF(!LIBREPLACE_THREAD_SCOPE, result = {call.symbol}({', '.join(names)}));\n"
        "\treturn native_nothing(result);\n}\n"
    )


def native_calls() -> str:
    """The functions of replace._native for ids, and the list of all functions. module.c has the functions for lists."""
    text = "/* Generated by detect/generate.py from detect/calls.py for replace/native/module.c; do not edit. */\n\n"
    text += "".join(_native_function(call) + "\n" for call in CALLS if not call.face)
    rows = ""
    for call in CALLS:
        flags = "METH_NOARGS" if call.kind == "getter" else "METH_FASTCALL"
        doc = json.dumps(_method_doc(call))
        rows += f' \\\n\t{{"{call.name}", (PyCFunction)(void (*)(void))native_{call.name}, {flags}, {doc}}},'
    setters = [call.name for call in CALLS if call.kind == "setter"]
    quoted = ", ".join(f'"{name}"' for name in setters)
    text += f'#define NATIVE_SETTERS "({"s" * len(setters)})", {quoted}\n'
    return text + "#define NATIVE_CALLS" + rows + "\n"


def native_report(report: str) -> str:
    """The build report, a line of ASCII, as a C string. So replace.report() needs no data file."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "?": "\\?", "\x7f": "\\177"})  # ?? would begin a trigraph
    lines = [f'\t"{report[start : start + 88].translate(escapes)}"' for start in range(0, len(report), 88)]
    text = "/* Generated by detect/generate.py for replace/native/module.c; do not edit. */\n\n"
    return text + "static const char build_report[] =\n" + "\n".join(lines) + ";\n"


def cdef(declared: Declarations) -> str:
    """The cffi declarations. The compiler finds the sizes of types and structs, and the values of constants."""
    text = "".join(f"typedef int... {name};\n" for name in ("uid_t", "gid_t", "mode_t", "pid_t"))
    for name, value in declared.constants.items():
        text += f"static char *const {name};\n" if value.startswith('"') else f"#define {name} ...\n"
    for enum in declared.enums:
        text += f"enum {enum.name} {{ {', '.join(enum.members)}, ... }};\n"
    text += "".join(f"struct {name};\n" for name in declared.opaque)
    for struct in declared.structs:
        text += f"struct {struct.name} {{ {'; '.join(struct.fields)}; ...; }};\n"
    for function in declared.functions:
        text += f"{function.result} {function.name}({', '.join(param for param, _ in function.params) or 'void'});\n"
    return text


#: Warnings that compilers print about cffi's own code.
_QUIET = ("pedantic", "unused-parameter", "missing-field-initializers", "cast-function-type")


def cffi_source(package: str, declared: Declarations) -> str:
    """The C source of replace._cffi. Only this step needs cffi, and therefore the target's Python."""
    import tempfile

    import cffi
    from cffi import recompiler

    ffi = cffi.FFI()
    ffi.cdef(cdef(declared))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "module.c")
        recompiler.make_c_source(ffi, package + "._cffi", "#include <libreplace/replace.h>\n", path)
        with open(path, encoding="utf-8") as file:
            return "".join(f'#pragma GCC diagnostic ignored "-W{name}"\n' for name in _QUIET) + file.read()
