# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the names of the calls, and what the headers declare, into the files of replace/ that must hold them.

usage: sources.py [--check]

Stubs, Cython's declarations, imports and the expectations of `libreplace verify` are files that people and
tools read, so they are checked in.  The parts between `# generated: begin NAME` and `# generated: end` come
from detect/calls.py and the public headers.  With --check nothing is written; the exit status says whether
something is stale.
"""

import os
import re
import sys
from typing import Callable, Dict, List

from calls import CALLS
from generate import calls_h
from headers import Declarations, declarations
from python_face import parameters

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _declared() -> Declarations:
    return declarations(calls_h({}))  # whatever the answers are, the same names are declared


def _native_stub() -> List[str]:
    lines = []
    for call in CALLS:
        ids = "tuple[int, int, int]" if len(call.params) == 3 else "int"
        result = call.face.result if call.face else "None" if call.kind == "setter" else ids
        names = [f"{name}: {annotation}" for name, annotation in parameters(call)]
        lines.append(f"def {call.name}({', '.join([*names, '/'] if names else [])}) -> {result}: ...")
    return [*lines, ""]  # an empty line, as ruff wants it after functions


def _annotation(ctype: str) -> str:
    return "_Data" if "*" in ctype or "[" in ctype else "None" if ctype == "void" else "int"


def _lib_stub() -> List[str]:
    declared = _declared()
    lines = [f"{name}: {'_Data' if v.startswith(chr(34)) else 'int'}" for name, v in declared.constants.items()]
    lines += [f"{name}: int" for enum in declared.enums for name in enum.members]
    for function in declared.functions:
        names = [f"{name}: {_annotation(text)}" for text, name in function.params]
        arguments = ", ".join(["self", *names, "/"] if names else ["self"])
        line = f"def {function.name}({arguments}) -> {_annotation(function.result)}: ..."
        broken = re.sub(r"\((.*)\)", r"(\n    \1\n)", line)  # as `ruff format` breaks a long line
        lines += [line] if len(line) <= 116 else broken.split("\n")
    return lines


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
    for struct in declared.structs:
        lines += ["", f"cdef struct {struct.name}:", *("    " + plain(field) for field in struct.fields)]
    lines.append("")
    for function in declared.functions:
        names = ", ".join(plain(text) for text, _ in function.params)
        lines.append(f"{function.result}{'' if function.result.endswith('*') else ' '}{function.name}({names})")
    return lines


def _import() -> List[str]:
    return ["SCOPE,", *(f"{name}," for name in sorted(call.name for call in CALLS))]


def _names() -> List[str]:
    return [f'"{name}",' for name in sorted(call.name for call in CALLS)]


def _expected() -> List[str]:
    def row(items: List[str]) -> str:
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"

    lines = ["EXPECTED: dict[str, tuple[tuple[Any, ...], str, tuple[int, ...]]] = {"]
    for call in CALLS:
        if call.proof:
            arguments, line, after = call.proof
            lines.append(f'    "{call.name}": ({row(list(arguments))}, "{line}", {row(list(after))}),')
    return [*lines, "}"]


#: file -> name of a part -> what makes its lines
PARTS: Dict[str, Dict[str, Callable[[], List[str]]]] = {
    "replace/__init__.py": {"import": _import, "names": _names},
    "replace/_native.pyi": {"calls": _native_stub},
    "replace/_replace.pyi": {"library": _lib_stub},
    "replace/libreplace.pxd": {"declarations": _pxd},
    "replace/_cli/checks.py": {"expected": _expected},
}


def written(text: str, parts: Dict[str, Callable[[], List[str]]]) -> str:
    """The file's text with its generated parts as they must be."""
    found = re.compile(r"^( *)# generated: begin (\w+)\n(.*?)^ *# generated: end\n", re.M | re.S)
    names = [match[2] for match in found.finditer(text)]
    if sorted(names) != sorted(parts):
        raise ValueError(f"the generated parts must be {sorted(parts)} and are {sorted(names)}")

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
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        wanted = written(text, parts)
        if wanted == text:
            continue
        stale += 1
        if arguments:
            print(f"{path} is stale: python detect/sources.py", file=sys.stderr)
        else:
            print(f"{path} is new")
            with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
                file.write(wanted)
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
