# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the C library as one C file and its headers, for projects that build with nothing of ours.

No build asks questions then: the answers are those of a platform family (tests/golden/), or of a build. The C file
contains the files of replace/core/ that Meson would compile for these answers. If the compiler contradicts an answer,
the C file is an error, because a wrong answer could give a thread the wrong ids.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from typing import Dict, List, Set

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from calls import CALLS
from generate import LIBRARY, PACKAGE
from headers import read
from questions import NEWER, questions
from verdict import SYSTEMS, Answers, Refused, decide, variants

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden")
CORE = os.path.join(ROOT, "replace", "core")

_CREDENTIALS = ("auto", "syscall", "libc")
#: The form of an answer to a question of each kind. The other kinds are answered with yes or no.
_FORMS = {"define": r".+", "type": r"\d+", "run": "yes|no|unknown"}
#: The version in the answers of a family, which are those of each version.
_NO_VERSION = "0"
#: Macros with which a system's headers declare all functions, also with -std=c11.
_FEATURES = {"darwin": "_DARWIN_C_SOURCE", "netbsd": "_NETBSD_SOURCE"}


def _read(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def families() -> List[str]:
    names = os.listdir(GOLDEN) if os.path.isdir(GOLDEN) else []  # a packager may have left the tests out
    return sorted(name for name in names if os.path.exists(os.path.join(GOLDEN, name, "answers.json")))


def _version() -> str:
    found = re.search(r"^  version: '(.*)',$", _read(ROOT, "meson.build"), re.M)
    if not found:
        raise ValueError("meson.build has no version")
    return found[1]


def _is_complete(answers: Answers) -> bool:
    """Whether each question has an answer. The decision would take a missing answer for a no."""

    def has(name: str, form: str) -> bool:
        answer = answers.get(name)
        return isinstance(answer, str) and bool(re.fullmatch(form, answer))

    return has("option:credentials", "|".join(_CREDENTIALS)) and all(
        has(question.id, _FORMS.get(question.kind, "yes|no")) for question in questions()
    )


def answers_of(family: str) -> Answers:
    """The answers of a family, or of a build of this version whose answers.json is given."""
    path = family if family.endswith(".json") else os.path.join(GOLDEN, family, "answers.json")
    unusable = f"{path} does not have the answers of a build"
    try:
        answers = json.loads(_read(path))
        version = answers["project:version"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(unusable) from None
    if version not in (_NO_VERSION, _version()):
        raise ValueError(f"{path} is of libreplace {version}; build libreplace {_version()}, and use its answers")
    if not _is_complete(answers):
        raise ValueError(unusable)
    return {**answers, "project:version": _version()}


def core_files(answers: Answers) -> List[str]:
    """The files of replace/core/ that Meson compiles for these answers."""
    chosen = variants(answers)
    names = []
    for name in sorted(os.listdir(CORE)):
        variant = re.fullmatch(r"(\w+)_(linux|libc|none)\.c", name)
        kinds = [kind for kind in chosen if variant and f"{variant[1]}_".startswith(f"{kind}_")]
        if name.endswith(".c") and (not variant or chosen[(kinds or ["kernel"])[0]] == variant[2]):
            names.append(name)
    return names


def _internal_headers(names: List[str]) -> List[str]:
    """The headers in replace/core/ that these files include. internal.h is the first one."""
    texts = "".join(_read(CORE, name) for name in names)
    found = [name for name in sorted(os.listdir(CORE)) if name.endswith(".h") and f'#include "{name}"' in texts]
    return sorted(found, key=lambda name: name != "internal.h")


# ---- The texts of the files


def _without_license(text: str) -> str:
    """The text without the lines that are at the top of each file."""
    return re.sub(r"\A/\*\n \* SPDX-\S+ .*\n \* SPDX-\S+ .*\n \*\n", "/*\n", text)


def _part(name: str, text: str) -> str:
    return f"/* {'=' * 16} {name} {'=' * 16} */\n\n{text.strip()}\n\n"


def _target(answers: Answers) -> str:
    verdict = decide(answers)
    system = "a system that libreplace does not know" if verdict.system == "unknown" else verdict.system
    return system if verdict.libc == "system" else f"{system} with {verdict.libc}"


def _top(answers: Answers, *text: str) -> str:
    lines = [
        "SPDX-FileCopyrightText: 2026 the libreplace authors",
        "SPDX-License-Identifier: MIT",
        "",
        f"libreplace {answers['project:version']} for {_target(answers)}.",
        *text,
        "",
        "Written by detect/amalgamate.py from the files of replace/core/; do not edit.",
        "",
        *_read(ROOT, "LICENSE").strip().split("\n"),
    ]
    return "/*\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


def _header(name: str, answers: Answers, seen: Set[str]) -> str:
    """A public header with the text of our other headers in the place of their #include. Adds each name to `seen`."""
    seen.add(name)
    generated = {**LIBRARY, **PACKAGE}
    text = _without_license(generated[name](answers) if name in generated else read(name))

    def included(match: "re.Match[str]") -> str:
        return "" if match[1] in seen else "\n" + _part("libreplace/" + match[1], _header(match[1], answers, seen))

    return re.sub(r"^#include <libreplace/(.*)>\n", included, text, flags=re.M)


def public_headers(answers: Answers) -> Dict[str, str]:
    """replace.h, which contains the headers that it includes, and the others."""
    seen: Set[str] = set()
    text = re.sub(r"\n{3,}", "\n\n", _header("replace.h", answers, seen))
    others = {name: make(answers) for name, make in LIBRARY.items() if name.endswith(".h") and name not in seen}
    return {"replace.h": _top(answers, "The declarations of libreplace.c.") + "\n" + text, **others}


_INCLUDE = re.compile(r"^#include ([<\"])(.*?)[>\"].*\n", re.M)


def _system_headers(text: str) -> Set[str]:
    return {name for mark, name in _INCLUDE.findall(text) if mark == "<" and not name.startswith("libreplace/")}


def _source(text: str) -> str:
    """A C file without its #include lines."""
    return re.sub(r"\n{3,}", "\n\n", _INCLUDE.sub("", _without_license(text)))


def _check(answers: Answers, ids: Set[str], more: str = "") -> str:
    """An #error if the compiler contradicts one of these answers to questions about macros."""
    terms = [
        ("defined " if answers.get(question.id, "no") == "no" else "!defined ") + question.subject
        for question in questions()
        if question.id in ids
    ]
    condition = " || \\\n    ".join(terms)
    message = f"this file is for {_target(answers)}{more}; see detect/amalgamate.py --help"
    return f'#if {condition}\n#error "{message}"\n#endif\n'


def _for_all_headers(name: str, text: str) -> str:
    """A part of the C file. The headers of the user may be older than the family's, and lack system calls."""
    kind = next((kind for kind in NEWER if re.fullmatch(rf"{kind}(_\w+)?_linux\.c", name)), "")
    if not kind:
        return text
    condition = " && \\\n    ".join(f"defined SYS_{call}" for call in NEWER[kind])
    none = f"{kind}_none.c"
    otherwise = f"#else\n{_part(none, _source(_read(CORE, none)))}" if name == f"{kind}_linux.c" else ""
    return f"#if {condition}\n{text}{otherwise}#endif\n\n"


def _features(answers: Answers) -> str:
    """What comes before the first header. A project may include replace_override.h in every file, also in this one."""
    names = ["_GNU_SOURCE", _FEATURES.get(decide(answers).system, "")]
    return (
        "/* Here, these are libc's functions, also if a project includes replace_override.h in every file. */\n"
        + "".join(f"#undef {call.name}\n" for call in CALLS)
        + "\n"
        + "".join(f"#ifndef {name}\n#define {name} 1\n#endif\n" for name in names if name)
        + "#undef _FILE_OFFSET_BITS\n#define _FILE_OFFSET_BITS 64 /* files of more than 2 GiB on 32-bit systems */\n"
    )


_C11 = """\
#if !defined __STDC_VERSION__ || __STDC_VERSION__ < 201112L
#error "compile this file as C11 or later"
#endif
"""
_TYPES = """\
_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4, "ids have 4 bytes");
"""
#: A project may include a header in every file. If it is one of the system, our macros come too late.
_FIRST = """\
#pragma GCC diagnostic error "-Wimplicit-function-declaration" /* a system header came too early */
_Static_assert(sizeof(off_t) == 8, "include no system header before this file");
"""
#: The public declarations, and then those of internal.h. Definitions have the visibility of their first declarations.
_DECLARATIONS = """\
#if {included}
#error "before this file, include no header of libreplace but replace_override.h"
#endif
#ifdef LIBREPLACE_EXPORT
#pragma GCC visibility push(default)
#else
#pragma GCC visibility push(hidden)
#endif
#include "libreplace/replace.h"
#pragma GCC visibility pop
#if LIBREPLACE_VERSION_NUMBER != {number} || LIBREPLACE_THREAD_SCOPE != {scope}
#error "libreplace/replace.h was not written together with this file"
#endif

#pragma GCC visibility push(hidden)
{internal}#pragma GCC visibility pop

"""


def _declarations(answers: Answers, internal: str) -> str:
    header = public_headers(answers)["replace.h"]
    (number,) = re.findall(r"^#define LIBREPLACE_VERSION_NUMBER (.*)$", header, re.M)
    (scope,) = re.findall(r"^#define LIBREPLACE_THREAD_SCOPE (.*)$", header, re.M)
    guards = re.findall(r"^#ifndef (LIBREPLACE_\w+_H)$", header, re.M)
    included = " || \\\n    ".join("defined " + guard for guard in guards)
    return _DECLARATIONS.format(included=included, number=number, scope=scope, internal=internal)


def libreplace_c(answers: Answers) -> str:
    """The C file. All system headers come first, so no name in the code can change one of them."""
    verdict = decide(answers)
    systems = {"libreplace_define_" + name for name, _ in SYSTEMS}
    defines = {question.id for question in questions() if question.kind == "define" and not question.expected}
    newer = {f"libreplace_sys_{call}" for calls in NEWER.values() for call in calls}
    numbers = {question.id for question in questions() if question.kind == "number"} - newer
    names = core_files(answers)
    sources = {name: _read(CORE, name) for name in [*_internal_headers(names), *names]}
    sources.update({name: make(answers) for name, make in LIBRARY.items() if name.endswith(".c")})
    included = _system_headers(public_headers(answers)["replace.h"] + "".join(sources.values())) - {"limits.h"}
    parts = {name: _for_all_headers(name, _part(name, _source(text))) for name, text in sources.items()}
    text = _top(
        answers,
        "",
        "The whole C library in one file. Compile it as C11 or later, and link the program with -pthread.",
        "A shared object that contains it exports none of its functions, unless LIBREPLACE_EXPORT is",
        "defined. Then link it with -Wl,-Bsymbolic, so that no function of another copy takes the place",
        "of one of these. libreplace/replace.h explains the functions.",
    )
    text += "\n" + _check(answers, systems) + _C11 + "\n" + _features(answers)
    text += "\n#include <limits.h>\n" + _check(answers, defines - systems)
    text += "".join(f"#include <{name}>\n" for name in sorted(included))
    if verdict.backend == "syscall":
        text += _check(answers, numbers, f" {'and' if verdict.wide else 'without'} SYS_setresuid32")
    text += _TYPES + (_FIRST if verdict.system != "unknown" else "")
    text += "\n" + _declarations(answers, parts.pop("internal.h"))
    return text + "".join(parts.values())[:-1]


def files(answers: Answers) -> Dict[str, str]:
    """Path in the folder -> text."""
    headers = {"libreplace/" + name: text for name, text in public_headers(answers).items()}
    return {**headers, "libreplace.c": libreplace_c(answers)}


# ---- The command


def _write(path: str, text: str) -> None:
    """Write a file, whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _described(family: str) -> str:
    verdict = decide(answers_of(family))
    numbers = ", 32-bit numbers" if verdict.wide else ""
    return f"  {family:20} {verdict.system}, libc: {verdict.libc}{numbers}; a setter changes one {verdict.scope}\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Write DIR/libreplace.c and its headers DIR/libreplace/*.h: the C library for one platform family.",
        epilog="families:\n" + "".join(map(_described, families())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("family", metavar="FAMILY", help="one of the families below, or the answers.json of a build")
    parser.add_argument("folder", metavar="DIR", help="the folder to write into")
    parser.add_argument("--credentials", choices=_CREDENTIALS, help="as -Dcredentials of the build")
    options = parser.parse_args()
    if options.family not in families() and not options.family.endswith(".json"):
        known = ", ".join(families())
        parser.error(f"unknown family {options.family!r}; use one of {known}, or a path that ends with .json")
    if not options.folder:
        parser.error("DIR is empty; for the current folder, use .")
    try:
        answers = answers_of(options.family)
        if options.credentials:
            answers["option:credentials"] = options.credentials
        texts = files(answers)
        for name, text in texts.items():
            _write(os.path.join(options.folder, name), text)
    except (OSError, ValueError, Refused) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
