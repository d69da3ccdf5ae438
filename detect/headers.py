# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the declarations in the public headers.

cffi, Cython and the Python stub need every function, enum, constant and struct of the C library. They get them from
here, so each is declared only once, in its header. This is not a C compiler: it knows only the few forms that our
headers use, and refuses all others.
"""

import os
import re
from typing import Callable, Dict, List, NamedTuple, Tuple

HEADERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "replace", "core", "libreplace")


class Function(NamedTuple):
    result: str
    name: str
    params: Tuple[Tuple[str, str], ...]  # (whole declaration, name)


class Enum(NamedTuple):
    name: str
    members: Tuple[str, ...]


class Struct(NamedTuple):
    name: str
    fields: Tuple[str, ...]  # declarations, without their semicolons


class Declarations(NamedTuple):
    constants: Dict[str, str]  # macros with a value
    enums: Tuple[Enum, ...]
    opaque: Tuple[str, ...]  # structs without fields
    structs: Tuple[Struct, ...]
    functions: Tuple[Function, ...]


#: The condition of the members that only C has, since 1999. cffi and Cython read the headers as C.
C99 = "!defined __cplusplus && defined __STDC_VERSION__ && __STDC_VERSION__ >= 199901L"


class Unknown(Exception):
    """A declaration in a form that this file does not know. The text is the declaration."""


def _without_comments(text: str) -> str:
    found = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
    return found.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)


def comments(text: str) -> Dict[str, List[str]]:
    """The kernel-doc comments of the functions in a header: name -> lines."""
    found = re.findall(r"^/\*\*\n \* (\w+)\(\) - (.*?)\n \*/$", text, re.M | re.S)
    return {
        name: [re.sub(r"^ \* ?", "", line).expandtabs(4) for line in (body[0].upper() + body[1:]).split("\n")]
        for name, body in found
    }


def _preprocess(text: str, read: Callable[[str], str], macros: Dict[str, str]) -> str:
    """The text as a C compiler sees it, without other libraries' headers. Adds each macro to `macros`."""
    lines: List[str] = []
    conditions: List[bool] = []
    for line in _without_comments(text.replace("\\\n", " ")).split("\n"):
        if not line.lstrip().startswith("#"):
            lines += [line] if all(conditions) else []
            continue
        word, _, rest = line.lstrip()[1:].strip().partition(" ")
        rest = rest.strip()
        if word in ("ifdef", "ifndef"):
            conditions.append((rest in macros) == (word == "ifdef"))
        elif word == "if" and (rest == C99 or not all(conditions)):
            conditions.append(True)
        elif word == "else":
            conditions[-1] = not conditions[-1]
        elif word == "endif":
            conditions.pop()
        elif not all(conditions):
            continue
        elif word == "include":
            ours = re.fullmatch(r"<libreplace/(.*)>", rest)
            lines += [_preprocess(read(ours[1]), read, macros)] if ours else []
        elif word == "define":
            name, value = re.fullmatch(r"(\w+(?:\([^)]*\))?)\s*(.*)", rest).groups()  # type: ignore[union-attr]
            macros[name] = value
        else:
            raise Unknown(line)
    return "\n".join(lines)


def _parameters(text: str) -> Tuple[Tuple[str, str], ...]:
    found = []
    for declaration in re.findall(r"(?:[^,()]|\([^()]*\))+", "" if text == "void" else text):
        name = re.search(r"\(\*(\w+)\)|(\w+)(?:\[\])?$", declaration)
        if not name:
            raise Unknown(declaration)
        found.append((declaration.strip(), name[1] or name[2]))
    return tuple(found)


def parse(text: str, read: Callable[[str], str]) -> Declarations:
    """The declarations in a header and in our headers that it includes; read() returns the text of an included one."""
    macros: Dict[str, str] = {}
    text = _preprocess(text, read, macros)
    empty = [name for name, value in macros.items() if not value]
    rest = " ".join(re.sub(rf"\b({'|'.join(empty)})\b", "", text).replace(") ;", ");").split())
    enums, opaque, structs, functions = [], [], [], []
    body = re.compile(r"(enum|struct) (\w+) \{([^{}]*)\}; ?")
    name_only = re.compile(r"struct (\w+); ?")
    function = re.compile(r"([\w ]+[ *])(\w+)\(((?:[^()]|\([^()]*\))*)\); ?")
    while rest:
        match = body.match(rest)
        if match and match[1] == "enum":
            enums.append(Enum(match[2], tuple(re.findall(r"(\w+)(?: = [^,]+)?(?:,|$)", match[3].strip()))))
        elif match:
            structs.append(Struct(match[2], tuple(field.strip() for field in match[3].split(";") if field.strip())))
        else:
            only_name = name_only.match(rest)
            match = only_name or function.match(rest)
            if not match:
                raise Unknown(rest[:100])
            if only_name:
                opaque.append(only_name[1])
            else:
                functions.append(Function(match[1].strip(), match[2], _parameters(match[3])))
        rest = rest[match.end() :]
    constants = {name: value for name, value in macros.items() if value and "(" not in name}
    return Declarations(constants, tuple(enums), tuple(opaque), tuple(structs), tuple(functions))


def read(name: str) -> str:
    """The text of a public header."""
    with open(os.path.join(HEADERS, name), encoding="utf-8") as file:
        return file.read()


def declarations(generated: Dict[str, str]) -> Declarations:
    """The declarations of libreplace/replace.h. `generated` has the text of each header that the build writes."""
    return parse(read("replace.h"), lambda name: generated[name] if name in generated else read(name))
