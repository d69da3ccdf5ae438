# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make wrong versions (mutants) of a C file by rules on its structure, independent of the text of the file.

This is not a C parser. It finds functions, statements and conditions by tokens and brackets. The file must have the
style of clang-format: tabs, one statement on each line, and no `switch` in mutated functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

#: One token. A comment, a string or a run of spaces is one token.
_TOKEN = re.compile(
    r"""(?P<skip>/\*.*?\*/|//[^\n]*|\s+|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|^\#(?:[^\n]*\\\n)*[^\n]*)
    |(?P<word>\w+)|(?P<operator>->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/|&^]=|.)""",
    re.S | re.M | re.X,
)
#: A statement that begins with one of these is a declaration.
_TYPES = {
    "int", "unsigned", "long", "char", "void", "const", "static", "struct", "enum", "size_t", "uid_t", "gid_t",
    "uint64_t",
}  # fmt: skip
#: Functions that change credentials. Their order and their arguments matter.
_SETTER = re.compile(r"libreplace_set\w+|syscall|set\w+|raise\w*|clear_capabilities|restore_capabilities")
#: Calls that exist for both users and groups.
_KIND = re.compile(r"(SYS_|libreplace_)?(set|get)\w*[ug]id(32)?")
_CALL = re.compile(r"\b[a-z]\w+\(")
_CHANGES = re.compile(rf"\b({_SETTER.pattern}|changed|restore|restore_once)\(")


class Token(NamedTuple):
    text: str
    start: int
    end: int
    depth: int  # of brackets around it


class Mutant(NamedTuple):
    function: str
    rule: str
    number: int  # counts the mutants of this function and rule
    text: str  # the whole file

    @property
    def name(self) -> str:
        return f"{self.function}: {self.rule} {self.number}"


def _tokens(text: str) -> list[Token]:
    found, depth = [], 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "skip":
            continue
        depth -= match[0] in ")]}"
        found.append(Token(match[0], match.start(), match.end(), depth))
        depth += match[0] in "([{"
    return found


def functions(text: str) -> dict[str, list[Token]]:
    """Return the tokens between the braces of each function."""
    tokens, found = _tokens(text), {}
    for place, token in enumerate(tokens):
        if token.text == "{" and token.depth == 0 and tokens[place - 1].text == ")":
            opened = max(i for i in range(place) if tokens[i].text == "(" and tokens[i].depth == 0)
            end = next(i for i in range(place, len(tokens)) if tokens[i].text == "}" and tokens[i].depth == 0)
            found[tokens[opened - 1].text] = tokens[place + 1 : end]
    return found


def _statements(body: list[Token]) -> Iterator[list[Token]]:
    """Yield the statements, each up to its semicolon; `if (...)` and `for (...)` are separate statements."""
    start, place = 0, 0
    while place < len(body):
        token = body[place]
        if token.text in ("if", "for", "while", "switch") and place == start:
            opened = body[place + 1]
            place = next(
                i for i in range(place + 2, len(body)) if body[i].text == ")" and body[i].depth == opened.depth
            )
            yield body[start : place + 1]
            start = place + 1
        elif token.text in ("{", "}", "else", "do") and place == start:
            start = place + 1
        elif token.text == ";" and token.depth == body[start].depth:
            yield body[start : place + 1]
            start = place + 1
        place += 1


def _operands(tokens: list[Token]) -> Iterator[tuple[int, int, int, int]]:
    """For each &&, || and binary &, yield the start of the left operand, the operator's ends and the right end."""
    for place, operator in enumerate(tokens):
        binary = operator.text == "&" and re.fullmatch(r"\w+|\)", tokens[place - 1].text)
        if operator.text not in ("&&", "||") and not binary:
            continue
        ends = {"||", "?", ":", ",", ";", "=", "return"} | ({"&&"} if operator.text != "||" else set())
        left = place - 1
        while left >= 0 and not (tokens[left].depth < operator.depth or _ends(tokens[left], operator, ends)):
            left -= 1
        right = place + 1
        while right < len(tokens) and not (
            tokens[right].depth < operator.depth or _ends(tokens[right], operator, ends | {"&&", "||"})
        ):
            right += 1
        yield tokens[left + 1].start, operator.start, operator.end, tokens[right - 1].end


def _ends(token: Token, operator: Token, ends: set[str]) -> bool:
    return token.depth == operator.depth and token.text in ends


def _arguments(tokens: list[Token]) -> Iterator[list[tuple[int, int]]]:
    """Yield, for each call that changes credentials, the start and end of each argument."""
    for place, token in enumerate(tokens[1:], 1):
        if token.text == "(" and _SETTER.fullmatch(tokens[place - 1].text):
            inside = []
            for other in tokens[place + 1 :]:
                if other.text == ")" and other.depth == token.depth:
                    break
                inside.append(other)
            commas = [other for other in inside if other.text == "," and other.depth == token.depth + 1]
            starts = [token.end, *(comma.end for comma in commas)]
            yield list(
                zip(starts, [*(comma.start for comma in commas), inside[-1].end if inside else token.end], strict=True)
            )


def _of_statement(statement: list[Token], text: str) -> Iterator[tuple[str, int, int, str]]:
    """Yield (rule, start, end, replacement)."""
    first, last = statement[0], statement[-1]
    start, end = first.start, last.end
    level = [token.text for token in statement if token.depth == first.depth]
    if first.text == "if" and _CALL.search(text[statement[1].end : last.start]):
        for rule, value in (("condition is false", "0"), ("condition is true", "1")):
            yield rule, statement[1].end, last.start, value
    elif first.text in ("if", "return", "goto", "break", "continue", "for", "while") or first.text in _TYPES:
        pass
    elif "=" in level:
        equals = [token for token in statement if token.text == "=" and token.depth == first.depth]
        places = [start, *(token.end for token in equals)]
        if any(token.text == "->" for token in statement if token.end <= equals[0].start):
            yield "assignment is left out", start, end, ";"
        for begins, ends in zip(places, places[1:], strict=False):
            if len(equals) > 1:  # a = b = c
                yield "target is left out", begins, ends, ""
    elif not any(re.fullmatch(r"[-+|&^*/]=|\+\+|--", word) for word in level):
        yield "call is left out", start, end, ";"
    for left, begins, ends, right in _operands(statement):
        one, other = text[left:begins].strip(), text[ends:right].strip()
        if _CALL.search(other):
            yield "operand is left out", begins, right, ""
        if _CALL.search(one):
            yield "operand is left out", left, ends, ""
        if _CHANGES.search(one) and _CHANGES.search(other):
            yield "steps change places", left, right, f"{other} {text[begins:ends]} {one}"
    for token in statement:
        if _KIND.fullmatch(token.text):
            other = token.text.replace("uid", "?").replace("gid", "uid").replace("?", "gid")
            yield "users and groups are confused", token.start, token.end, other
    for arguments in _arguments(statement):
        for (a, b), (c, d) in zip(arguments, arguments[1:], strict=False):
            one, other = text[a:b].strip(), text[c:d].strip()
            if one != other:
                yield "arguments change places", a, d, f"{other}, {one}"


def mutants(text: str) -> list[Mutant]:
    """Return every mutant of every function of a file."""
    found, seen = [], {"".join(text.split())}
    for function, body in functions(text).items():
        numbers: dict[str, int] = {}
        changes = [change for statement in _statements(body) for change in _of_statement(statement, text)]
        if any(token.text == "return" for token in body):
            changes.insert(0, ("nothing is done", body[0].start, body[-1].end, "return 0;"))
        for rule, start, end, other in changes:
            changed = text[:start] + other + text[end:]
            if "".join(changed.split()) not in seen:
                seen.add("".join(changed.split()))
                numbers[rule] = numbers.get(rule, 0) + 1
                found.append(Mutant(function, rule, numbers[rule], changed))
    return found
