# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Find the functions, statements, operands and calls of a C file, for mutations.py.

This is not a C parser. It looks at tokens and brackets only. The file must have the style of clang-format, with one
statement on each line.
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
TYPES = {
    "int", "unsigned", "long", "char", "void", "const", "static", "struct", "enum", "size_t", "ssize_t", "uid_t",
    "gid_t", "pid_t", "uint32_t", "uint64_t", "FILE", "DIR",
}  # fmt: skip
HEADS = ("if", "for", "while", "switch")
JUMPS = ("return", "goto", "break", "continue")
CALL = re.compile(r"\b(?!sizeof\b)[a-z]\w+\(")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")


class Token(NamedTuple):
    text: str
    start: int
    end: int
    depth: int  # of brackets around it


class Statement(NamedTuple):
    tokens: list[Token]  # up to its semicolon; of `if (...)`, `for (...)` and the like, only that much
    end: int  # of the whole statement: `if (...)` with its branches
    parent: list[Token]  # of the `if (...)`, `for (...)` or the like around it, or []
    siblings: list[Statement]  # the statements of the same block, in order
    function: list[Token]  # the whole body

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def first(self) -> str:
        return self.tokens[0].text

    @property
    def level(self) -> list[Token]:
        """The tokens that are in no brackets."""
        return [token for token in self.tokens if token.depth == self.tokens[0].depth]

    @property
    def is_declaration(self) -> bool:
        return self.first in TYPES

    @property
    def is_plain(self) -> bool:
        """An assignment, a call, `i++;` or the like."""
        return not (self.is_declaration or self.first in (*HEADS, *JUMPS, "do", ";", "case", "default"))


def tokens_of(text: str) -> list[Token]:
    found, depth = [], 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "skip":
            continue
        depth -= match[0] in ")]}"
        found.append(Token(match[0], match.start(), match.end(), depth))
        depth += match[0] in "([{"
    return found


def _closing(tokens: list[Token], place: int) -> int:
    """Return the place of the bracket that closes the one at `place`."""
    return next(i for i in range(place + 1, len(tokens)) if tokens[i].depth == tokens[place].depth)


def functions(text: str) -> dict[str, list[Token]]:
    """Return the tokens between the braces of each function."""
    tokens, found = tokens_of(text), {}
    for place, token in enumerate(tokens):
        if token.text == "{" and token.depth == 0 and tokens[place - 1].text == ")":
            opened = max(i for i in range(place) if tokens[i].text == "(" and tokens[i].depth == 0)
            found[tokens[opened - 1].text] = tokens[place + 1 : _closing(tokens, place)]
    return found


def statements(body: list[Token]) -> list[Statement]:
    """Return all statements of a function, in order."""
    found: list[Statement] = []

    def take(place: int, parent: list[Token], siblings: list[Statement]) -> int:
        """Take the statement at a place, and return the place behind it."""
        token = body[place]
        if token.text == "{":
            block: list[Statement] = []
            end = _closing(body, place)
            place += 1
            while place < end:
                place = take(place, parent, block)
            return end + 1
        number, here = len(found), len(siblings)
        if token.text in HEADS:
            closed = _closing(body, place + 1)
            end = take(closed + 1, body[place : closed + 1], [])
            if end < len(body) and body[end].text == "else":
                end = take(end + 1, body[place : closed + 1], [])
            tokens = body[place : closed + 1]
        elif token.text == "do":  # the `while (...);` is the next statement, without a body
            end = take(place + 1, [token], [])
            tokens = [token]
        else:
            mark = ":" if token.text in ("case", "default") else ";"
            end = next(i for i in range(place, len(body)) if body[i].text == mark and body[i].depth == token.depth) + 1
            tokens = body[place:end]
        statement = Statement(tokens, body[end - 1].end, parent, siblings, body)
        found.insert(number, statement)
        siblings.insert(here, statement)
        return end

    place = 0
    outermost: list[Statement] = []
    while place < len(body):
        place = take(place, [], outermost)
    return found


def operands(tokens: list[Token]) -> Iterator[tuple[str, int, int, int, int]]:
    """For each &&, ||, | and binary &, yield it, the start of the left operand, its own ends and the right end."""
    for place, operator in enumerate(tokens):
        binary = operator.text in "&|" and re.fullmatch(r"\w+|\)|\]", tokens[place - 1].text)
        if operator.text not in ("&&", "||") and not binary:
            continue
        ends = {"||", "?", ":", ",", ";", "=", "return"} | ({"&&"} if operator.text != "||" else set())
        if binary:
            ends |= {*COMPARISONS, "|", "&", "|=", "&="}
        left = place - 1
        while left >= 0 and not (tokens[left].depth < operator.depth or ends_at(tokens[left], operator, ends)):
            left -= 1
        right = place + 1
        while right < len(tokens) and not (
            tokens[right].depth < operator.depth or ends_at(tokens[right], operator, ends | {"&&", "||"})
        ):
            right += 1
        yield operator.text, tokens[left + 1].start, operator.start, operator.end, tokens[right - 1].end


def ends_at(token: Token, operator: Token, ends: set[str]) -> bool:
    return token.depth == operator.depth and token.text in ends


def calls(tokens: list[Token]) -> Iterator[tuple[int, Token, Token]]:
    """Yield the place of the name of each call, its name and its closing bracket."""
    for place, token in enumerate(tokens[:-1]):
        is_name = CALL.fullmatch(token.text + "(") and token.text not in (*HEADS, "return", *TYPES)
        if is_name and tokens[place + 1].text == "(":
            yield place, token, tokens[_closing(tokens, place + 1)]
