# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make wrong versions (mutants) of a C file by rules on its structure, independent of the text of the file.

To add a rule, add a function to RULES. It gets a statement and the text of the file, and yields changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from support.c_statements import (
    CALL,
    COMPARISONS,
    JUMPS,
    Statement,
    Token,
    calls,
    ends_at,
    functions,
    operands,
    statements,
)  # fmt: skip

#: Functions that change credentials. Their order and their arguments matter.
_SETTER = re.compile(r"libreplace_set\w+|syscall|set\w+|raise\w*|clear_capabilities|restore_capabilities")
#: Calls that exist for both users and groups.
_KIND = re.compile(r"(SYS_|libreplace_)?(set|get)\w*[ug]id(32)?")
_CHANGES = re.compile(rf"\b({_SETTER.pattern}|changed|restore|restore_once)\(")
_CHANGE_OPERATORS = ("++", "--", "+=", "-=", "*=", "/=", "|=", "&=", "^=")


class Mutant(NamedTuple):
    function: str
    rule: str
    place: str  # the text that the rule changed, shortened; with a number, if the function has it more than once
    text: str  # the whole file

    @property
    def name(self) -> str:
        return ": ".join(part for part in (self.function, self.rule, self.place) if part)


#: What a rule yields: its name, the start and the end of the text to replace, and the new text.
Change = tuple[str, int, int, str]


def _arguments(tokens: list[Token]) -> Iterator[list[tuple[int, int]]]:
    """Yield, for each call that changes credentials, the start and end of each argument."""
    for place, name, closed in calls(tokens):
        if _SETTER.fullmatch(name.text):
            opened = tokens[place + 1]
            commas = [
                one for one in tokens if one.text == "," and one.depth == opened.depth + 1
                and opened.end <= one.start < closed.start
            ]  # fmt: skip
            starts = [opened.end, *(comma.end for comma in commas)]
            yield list(zip(starts, [*(comma.start for comma in commas), closed.start], strict=True))


# ---- The rules


def _conditions(statement: Statement, text: str) -> Iterator[Change]:
    """A condition is always true or never; a loop does not run; a predicate always gives the same answer."""
    tokens = statement.tokens
    if statement.first == "if":
        for rule, value in (("condition is false", "0"), ("condition is true", "1")):
            yield rule, tokens[1].end, tokens[-1].start, value
    elif statement.first in ("for", "while") and tokens[-1].text == ")":
        yield "loop is left out", statement.start, statement.end, ";"
    elif statement.first == "return":
        words = [one.text for one in statement.level]
        if "?" not in words and any(word in ("&&", "||", *COMPARISONS) for word in words):
            for value in "01":
                yield f"answer is always {value}", tokens[1].start, tokens[-1].start, value
    for place, token in enumerate(tokens):
        if token.text == "?":
            start = place - 1
            while start >= 0 and not (tokens[start].depth < token.depth or ends_at(tokens[start], token, _BEFORE)):
                start -= 1
            for rule, value in (("condition is false", "0"), ("condition is true", "1")):
                yield rule, tokens[start + 1].start, token.start, f"{value} "


_BEFORE = {"?", ":", ",", ";", "=", "return"}


def _left_out(statement: Statement, text: str) -> Iterator[Change]:
    """A statement with an effect, or a part of it, is left out."""
    start, end = statement.start, statement.tokens[-1].end
    words = [token.text for token in statement.level]
    if statement.first in JUMPS:
        at_end = statement.end == statement.function[-1].end
        fails = re.match(r"return (-1|libreplace_fail)\b", text[start:end])  # the failure is stored; it counts
        # else, if the condition has no effect of its own, "condition is false" is the same
        if not at_end and not fails and CALL.search(_text(statement.parent, text)):
            yield "jump is left out", start, end, ";"
    elif not statement.is_plain:
        pass
    elif "=" in words:
        equals = [token for token in statement.level if token.text == "="]
        places = [start, *(token.end for token in equals)]
        target = text[start : equals[0].start].strip()
        if not target.isidentifier() or _has_value(target, statement):
            yield "assignment is left out", start, end, ";"
        for begins, ends in zip(places, places[1:], strict=False):
            if len(equals) > 1:  # a = b = c
                yield "target is left out", begins, ends, ""
    elif any(word in _CHANGE_OPERATORS for word in words):
        yield "change is left out", start, end, ";"
    else:
        yield "call is left out", start, end, ";"
    for _, left, begins, ends, right in operands(statement.tokens):
        yield "operand is left out", begins, right, ""
        yield "operand is left out", left, ends, ""


def _has_value(name: str, statement: Statement) -> bool:
    """Whether the function has given the local variable a value before the statement."""
    tokens = statement.function
    return any(
        one.text == name and other.text == "=" and one.start < statement.start
        for one, other in zip(tokens, tokens[1:], strict=False)
    )


def _skipped(statement: Statement, text: str) -> Iterator[Change]:
    """A call is not made, and its result is success: a read leaves the value as it was, a step changes nothing."""
    tokens = statement.tokens
    for place, name, closed in calls(tokens):
        if statement.is_plain and tokens[place] is tokens[0]:
            continue  # left out already
        negated = place > 0 and tokens[place - 1].text == "!"
        rest = text[tokens[1].end : name.start] + text[closed.end : tokens[-1].start]
        if statement.first == "if" and re.fullmatch(r"!?\s*([!=]= 0)?", rest):
            continue  # the whole condition
        yield "call is skipped", name.start, closed.end, "1" if negated else "0"


def _swapped(statement: Statement, text: str) -> Iterator[Change]:
    """Two neighbouring steps, operands or arguments change places."""
    place = next(i for i, one in enumerate(statement.siblings) if one is statement)
    if place + 1 < len(statement.siblings):
        other = statement.siblings[place + 1]
        one_text, other_text = text[statement.start : statement.end], text[other.start : other.end]
        between = text[statement.end : other.start]
        if _is_step(statement, text) and _is_step(other, text):
            yield "steps change places", statement.start, other.end, other_text + between + one_text
    for operator, left, begins, ends, right in operands(statement.tokens):
        one_text, other_text = text[left:begins].strip(), text[ends:right].strip()
        if operator in ("&&", "||") and _CHANGES.search(one_text) and _CHANGES.search(other_text):
            yield "steps change places", left, right, f"{other_text} {operator} {one_text}"
    for arguments in _arguments(statement.tokens):
        for (a, b), (c, d) in zip(arguments, arguments[1:], strict=False):
            one_text, other_text = text[a:b].strip(), text[c:d].strip()
            if one_text != other_text:
                yield "arguments change places", a, d, f"{other_text}, {one_text}"


def _is_step(statement: Statement, text: str) -> bool:
    """Whether a whole statement calls a function, or writes to the thread's state."""
    if statement.is_declaration or statement.first in (*JUMPS, "do", "case", "default", ";"):
        return False
    whole = text[statement.start : statement.end]
    return bool(CALL.search(whole) or re.match(r"libreplace_mine\.\w+ =", whole))


def _confused(statement: Statement, text: str) -> Iterator[Change]:
    """Users and groups are confused; a file system id is forgotten, and the effective id is used instead."""
    for place, token in enumerate(statement.tokens):
        if _KIND.fullmatch(token.text):
            other = token.text.replace("uid", "?").replace("gid", "uid").replace("?", "gid")
            yield "users and groups are confused", token.start, token.end, other
        is_read = statement.tokens[place - 1].text in ("->", ".") and statement.tokens[place + 1].text != "="
        if token.text in ("fsuid", "fsgid") and is_read:
            yield "fs id is forgotten", token.start, token.end, token.text.replace("fs", "e")


def _constants(statement: Statement, text: str) -> Iterator[Change]:
    """A constant or a limit is off by one; a comparison is reversed; success and failure change places."""
    tokens = statement.tokens
    if statement.first == "return":
        value = _text(tokens[1:-1], text)
        if re.fullmatch(r"-?[01]|E[A-Z]+|NULL", value):
            yield "another value is returned", tokens[1].start, tokens[-2].end, "1" if value == "0" else "0"
            return
    logical = statement.first in ("if", "return") or any(one.text in ("&&", "||") for one in tokens)
    for place, token in enumerate(tokens[1:-1], 1):
        before, after = tokens[place - 1].text, tokens[place + 1].text
        if statement.first != "for" and not re.fullmatch("0|INT_MAX", after):
            if token.text in ("<", ">"):
                yield "limit is off by one", token.start, token.end, token.text + "="
            elif token.text in ("<=", ">="):
                yield "limit is off by one", token.start, token.end, token.text[0]
        if token.text in ("==", "!=") and not logical:
            yield "comparison is reversed", token.start, token.end, "!=" if token.text == "==" else "=="
        # not the -1 of an id, and not the result of a call, which is 0 or not
        is_value = before in ("==", "!=", "=", "+", "*", "?", ":") or after in ("==", "!=")
        is_value = is_value or (before == "-" and text[token.start - 1] == " ")
        if token.text.isdigit() and is_value and not (before in ("!=", "==") and tokens[place - 2].text == ")"):
            other = "0" if token.text == "1" else str(int(token.text) + 1)
            yield "constant is off by one", token.start, token.end, other


RULES: tuple[Callable[[Statement, str], Iterator[Change]], ...] = (
    *(_conditions, _left_out, _skipped, _swapped, _confused, _constants),
)


def _text(tokens: list[Token], text: str) -> str:
    return text[tokens[0].start : tokens[-1].end] if tokens else ""


def _outside(text: str) -> Iterator[tuple[str, Change]]:
    """Yield a name and a change for each number of an enum, and for each operand of a macro, of the whole file."""
    for enum in re.finditer(r"^enum \w*\s*\{.*?\};", text, re.M | re.S):
        for name in re.finditer(r"(\w+) = (\w+)", enum[0]):
            start, end = enum.start() + name.start(2), enum.start() + name.end(2)
            yield name[1], ("constant is off by one", start, end, f"{name[2]} + 1")
    for macro in re.finditer(r"^#define (\w+) (.*\\\n)+.*$", text, re.M):
        bits = list(re.finditer(r"1ULL << \w+", macro[0]))
        for bit in bits:
            yield macro[1], ("operand is left out", macro.start() + bit.start(), macro.start() + bit.end(), "0")


def mutants(text: str) -> list[Mutant]:
    """Return every mutant of every function of a file, and of its constants."""
    changes = list(_outside(text))
    for function, body in functions(text).items():
        if any(token.text == "return" for token in body):
            changes.append((function, ("nothing is done", body[0].start, body[-1].end, "return 0;")))
        for statement in statements(body):
            changes += [(function, change) for rule in RULES for change in rule(statement, text)]
    found, seen, names = [], {"".join(text.split())}, dict[str, int]()
    for function, (rule, start, end, other) in changes:
        changed = text[:start] + other + text[end:]
        if "".join(changed.split()) in seen:
            continue
        seen.add("".join(changed.split()))
        place = "" if rule == "nothing is done" else _short(text, start, end)
        mutant = Mutant(function, rule, place, changed)
        names[mutant.name] = number = names.get(mutant.name, 0) + 1
        found.append(mutant._replace(place=f"{place} ({number})") if number > 1 else mutant)
    return found


def _short(text: str, start: int, end: int) -> str:
    """The text on one line; for a single token, with its neighbours. No word is cut."""
    if re.fullmatch(r"\W*\w*\W*", text[start:end]):
        before, after = re.findall(r"\w*.{0,30}$", text[:start])[0], re.findall(r"^.{0,20}\w*", text[end:])[0]
        return " ".join(f"{before}[{text[start:end]}]{after}".split())
    words = " ".join(text[start:end].split())
    if len(words) <= 70:
        return words
    return " .. ".join(re.findall(r"^.{45}\w*|\w*.{21}$", words))
