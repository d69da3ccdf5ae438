# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the generated parts of the files in replace/: the names and docstrings of the calls, and the C declarations.

usage: sources.py [--check]

People and tools read stubs, Cython's declarations, imports and the expectations of `libreplace verify`, so these files
are checked in. The parts between `# generated: begin NAME` and `# generated: end` come from detect/calls.py, the
public headers and the docstrings in replace/native. With --check, no file is written. The exit status is then 1 if a
part is not up to date.
"""

import ast
import os
import re
import sys
from typing import Callable, Dict, Iterable, List

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from calls import CALLS
from generate import generated_headers
from headers import HEADERS, Declarations, comments, declarations, read
from python_face import docstring, parameters, returned, wrapped

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _declared() -> Declarations:
    return declarations(generated_headers({}))  # the declared names do not depend on the answers


def _read(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def _c_docstrings(path: str) -> Dict[str, List[str]]:
    """The docstrings in a C file: name of a method, attribute or constant -> lines, without the signature."""
    strings = r'((?:\s*"(?:\\.|[^"\\\n])*")+)'
    code = _read(path)
    found = re.findall(r'\{"(\w+)", [\w() *&]+, [\w |]+,' + strings, code)
    found += re.findall(r"const char (\w+)\[\] =" + strings, code)
    found += re.findall(r"\{(Py_tp_doc),\s*\(void \*\)" + strings, code)
    docs = {}
    for name, literals in found:
        text: str = ast.literal_eval("(" + literals + ")")  # the literals that are used here mean the same in Python
        docs[name] = text.rpartition("--\n\n")[2].rstrip("\n").split("\n")
    return docs


def _documented(declaration: str, lines: List[str], indent: str = "    ") -> List[str]:
    """A declaration of a stub with its docstring."""
    mark = 'r"""' if any("\\" in line for line in lines) else '"""'
    if len(lines) == 1:
        return [declaration, f'{indent}{mark}{lines[0]}"""']
    return [declaration, f"{indent}{mark}{lines[0]}", *((indent + line).rstrip() for line in lines[1:]), f'{indent}"""']


def _native_stub() -> List[str]:
    lines = []
    for call in CALLS:
        names = [f"{name}: {annotation}" for name, annotation in parameters(call)]
        declaration = f"def {call.name}({', '.join([*names, '/'] if names else [])}) -> {returned(call)}:"
        lines += [*_documented(declaration, docstring(call)), ""]
    return lines


def _open_beneath_stub() -> List[str]:
    lines = [
        "def open_beneath(",
        "    dir_fd: int,",
        "    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],",
        "    flags: int,",
        "    mode: int = 0o600,",
        "    *,",
        "    resolve: int = ...,  # Resolve.BENEATH | Resolve.NO_MAGICLINKS",
        "    regular: bool = True,",
    ]
    (text,) = _c_docstrings("replace/native/open_beneath.c").values()
    return [*lines, *_documented(") -> int:", text), ""]


_EXIT = "self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /"
#: The methods that checkers know. __aenter__() and __aexit__() always raise, so `async with` should be an error there.
_GUARD = {
    "__enter__": "def __enter__(self) -> Identity:",
    "__exit__": f"def __exit__(\n    {_EXIT}\n) -> None:",
    "check": "def check(self) -> bool:",
}


def _guard_stub() -> List[str]:
    docs = _c_docstrings("replace/native/guard_type.c")
    body = ["@property", *_documented("def changes(self) -> int:", docs["changes"]), ""]
    for name, declaration in _GUARD.items():
        body += [*_documented(declaration, docs[name]), ""]
    body = [line for text in body for line in text.split("\n")]
    return [
        "@final",
        *_documented("class Guard:", docs["Py_tp_doc"]),
        "",
        *("    " + line if line else "" for line in body),
    ]


def _annotation(ctype: str) -> str:
    return "_Data" if "*" in ctype or "[" in ctype else "None" if ctype == "void" else "int"


def _c_comments() -> Dict[str, List[str]]:
    """The descriptions of the C functions: name -> lines, in the form of kernel-doc."""
    found = {}
    for name in sorted(os.listdir(HEADERS)):
        if name.endswith(".h"):
            found.update(comments(read(name)))
    for call in CALLS:
        result = f"Return: {call.result}, or -1 with errno set."
        found[call.symbol] = [*wrapped(call.doc), "", result, *wrapped(f"Source: {call.source}.")]
    return found


def _lib_stub() -> List[str]:
    declared, docs = _declared(), _c_comments()
    lines = [f"{name}: {'_Data' if v.startswith(chr(34)) else 'int'}" for name, v in declared.constants.items()]
    lines += [f"{name}: int" for enum in declared.enums for name in enum.members]
    for function in declared.functions:
        names = [f"{name}: {_annotation(text)}" for text, name in function.params]
        arguments = ", ".join(["self", *names, "/"] if names else ["self"])
        line = f"def {function.name}({arguments}) -> {_annotation(function.result)}:"
        broken = re.sub(r"\((.*)\)", r"(\n    \1\n)", line)  # as `ruff format` breaks a long line
        lines += [*_documented(line if len(line) <= 116 else broken, docs[function.name]), ""]
    return [part for line in lines for part in line.split("\n")]


def _pxd() -> List[str]:
    def plain(text: str) -> str:
        return re.sub(r"\b(struct|enum) ", "", text)

    def constant(value: str) -> str:
        cast = re.match(r"\(\((\w+)\)", value)
        return "const char *" if value.startswith('"') else f"const {cast[1] if cast else 'int'} "

    declared = _declared()
    lines = [constant(value) + name for name, value in declared.constants.items()]
    for enum in declared.enums:
        lines += ["", f"cdef enum {enum.name}:", *("    " + name for name in enum.members)]
    lines += ["", *(f"cdef struct {name}" for name in declared.opaque)]
    for struct in declared.structs:
        lines += ["", f"cdef struct {struct.name}:", *("    " + plain(field) for field in struct.fields)]
    lines.append("")
    for function in declared.functions:
        names = ", ".join(plain(text) for text, _ in function.params)
        lines.append(f"{function.result}{'' if function.result.endswith('*') else ' '}{function.name}({names})")
    return lines


def _pxd_types() -> List[str]:
    """The imports of the types in _pxd(); Cython itself has size_t."""
    types = set(re.findall(r"\b\w+_t\b", "\n".join(_pxd()))) - {"size_t"}
    exact = {name for name in types if re.fullmatch(r"u?int\d+_t", name)}
    return [
        f"from {module} cimport {', '.join(sorted(names))}"
        for module, names in (("libc.stdint", exact), ("posix.types", types - exact))
    ]


def _import() -> List[str]:
    return ["SCOPE,", "Guard,", *(f"{name}," for name in sorted(call.name for call in CALLS))]


def _names() -> List[str]:
    return [f'"{name}",' for name in sorted(call.name for call in CALLS)]


def _expected() -> List[str]:
    def row(items: Iterable[str]) -> str:
        names = [
            re.sub(r"\b(USER|GROUP|OTHER|HIGH)\b", lambda match: f"ids.{match[0].lower()}", item) for item in items
        ]
        return f"({', '.join(names)}{',' if len(names) == 1 else ''})"

    lines = [
        "def expected(ids: Ids) -> dict[str, tuple[tuple[Any, ...], str, tuple[int, ...]]]:",
        '    """Setter -> arguments, the changed line of /proc/PID/status, and its ids after a call by root."""',
        "    return {",
    ]
    for call in CALLS:
        if call.proof:
            arguments, line, after = call.proof
            lines.append(f'        "{call.name}": ({row(arguments)}, "{line}", {row(after)}),')
    return [*lines, "    }", "", ""]  # as `ruff format` separates a function from the comment below it


#: file -> name of a part -> the function that makes its lines
PARTS: Dict[str, Dict[str, Callable[[], List[str]]]] = {
    "replace/__init__.py": {"import": _import, "names": _names},
    "replace/_native.pyi": {"calls": _native_stub, "open_beneath": _open_beneath_stub, "guard": _guard_stub},
    "replace/_replace.pyi": {"library": _lib_stub},
    "replace/libreplace.pxd": {"types": _pxd_types, "declarations": _pxd},
    "replace/_cli/chosen_ids.py": {"expected": _expected},
}


def written(text: str, parts: Dict[str, Callable[[], List[str]]]) -> str:
    """The file's text with new generated parts."""
    found = re.compile(r"^( *)# generated: begin (\w+)\n(.*?)^ *# generated: end\n", re.M | re.S)
    names = [match[2] for match in found.finditer(text)]
    if sorted(names) != sorted(parts):
        raise ValueError(f"the generated parts should be {sorted(parts)}, not {sorted(names)}")

    def part(match: "re.Match[str]") -> str:
        indent, name = match[1], match[2]
        lines = [f"# generated: begin {name}", *parts[name](), "# generated: end"]
        return "".join((indent + line if line else "") + "\n" for line in lines)

    return found.sub(part, text)


def main(arguments: List[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: sources.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for path, parts in PARTS.items():
        text = _read(path)
        wanted = written(text, parts)
        if wanted == text:
            continue
        stale += 1
        if arguments:
            print(f"{path} is not up to date; run python detect/sources.py", file=sys.stderr)
        else:
            print(f"{path} is updated")
            with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
                file.write(wanted)
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
