# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report --html`: the report as one HTML page. Its template and style are report.html.

The page has no script and loads nothing; its content security policy forbids both.
"""

from __future__ import annotations

import html
import re
from itertools import groupby
from string import Template

from .._build import package_file
from .documents import REACH, SECTIONS, facts, machine, ring, used_questions
from .text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BACKENDS = {"syscall": "raw system calls", "libc": "libc's calls", "refused": "an error"}
GROUPS = {
    "run": "Questions that need a run",
    "link": "Probes that were linked",
    "number": "Numbers of system calls",
    "symbol": "Functions of libc",
    "header": "Headers",
    "define": "Macros",
    "type": "Sizes",
}


def escape(text: str) -> str:
    """The text for an element or for an attribute. Only its line ends and tabs are kept, for programs."""
    lines = ["\t".join(map(harmless, line.split("\t"))) for line in text.split("\n")]
    return html.escape("\n".join(lines)).replace("\t", "&#9;")


def _link(question_id: str, questions: dict[str, dict[str, Any]]) -> str:
    if question_id not in questions:
        return f"<li><code>{escape(question_id)}</code></li>"
    question = questions[question_id]
    return f'<li><a href="#{escape(question_id)}"><code>{escape(question["subject"])}</code></a> {_pill(question)}</li>'


def _pill(question: dict[str, Any]) -> str:
    answer = question["answer"]
    return f'<span class="pill {answer if answer in ("yes", "no", "unknown") else "value"}">{escape(answer)}</span>'


def _words(text: str) -> str:
    """The text, with options in <code>, so that no line breaks at their hyphen."""
    return " ".join(f"<code>{escape(w)}</code>" if w.startswith("-D") else escape(w) for w in text.split(" "))


def _exits(step: dict[str, Any], forward: bool) -> str:
    """The exits of a step: forward, to the next step or to raw calls; or aside, to libc's calls or an error."""
    exits = [e for e in step["exits"] if (e["leads_to"] in ("next", "syscall")) == forward]
    exits.sort(key=lambda e: e["answer"] != step["answer"])
    if not exits:
        return ""
    spans, taken = "", ""
    for way in exits:
        took = way["answer"] == step["answer"]
        taken = " taken" if took else taken
        mark = '<span class="took"><span class="hidden">answer: </span>' if took else "<span>"
        word = escape(way["answer"] if took or way["leads_to"] != "next" or len(exits) == 1 else f"or {way['answer']}")
        target = BACKENDS.get(way["leads_to"], "")
        arrow = '<span class="hidden">leads to</span><span aria-hidden="true">&rarr;</span>'
        spans += f"{mark}{word}</span>" + (f'<span class="to">{arrow} {target}</span>' if target else "")
    return f'<div class="{"on" if forward else "off"}{taken}">{spans}</div>'


def _way(document: dict[str, Any], questions: dict[str, dict[str, Any]]) -> str:
    steps, verdict = document["decision"], document["verdict"]
    backend = verdict["backend"]
    lines = [f'<ol class="way {escape(backend)}">']
    for number, step in enumerate(steps, 1):
        detail = f'<p class="detail">{escape(step["detail"])}</p>' if step["detail"] else ""
        ids = used_questions(step, document)
        if step["answer"] and ids:
            rows = "".join(_link(question_id, questions) for question_id in ids)
            many = "s" if len(ids) > 1 else ""
            detail += f"<details><summary>from {len(ids)} answer{many}</summary><ul>{rows}</ul></details>"
        state = "asked" if step["answer"] else "skipped"
        if any(e["answer"] == step["answer"] and e["leads_to"] == "libc" for e in step["exits"]):
            state += " decided"  # this step led to libc's calls
        skipped = "" if step["answer"] else '<p class="detail">not asked</p>'
        lines.append(
            f'<li class="step {state}" style="grid-column: {number}"><div class="card">'
            f'<p class="question">{_words(step["question"])}</p>{detail}{skipped}{_exits(step, True)}</div>'
            f"{_exits(step, False)}</li>"
        )
    scope = {"syscall": "thread", "libc": verdict["scope"] if backend == "libc" else "process"}

    def end(target: str, kind: str, column: str) -> str:
        reached = "outcome" if target == backend else ""
        effect = f"change {REACH[scope[target]]}" if target in scope else ""
        return (
            f'<li class="{kind} {target} {reached}" style="grid-column: {column}"><div>'
            f'<span class="hidden">{"reached" if reached else "not reached"}: </span>'
            f"<strong>{BACKENDS[target]}</strong>{effect}</div></li>"
        )

    lines.append(end("syscall", "goal", str(len(steps) + 1)))
    away = [next((e["leads_to"] for e in s["exits"] if e["leads_to"] in ("libc", "refused")), "") for s in steps]
    column = 1
    for target, group in groupby(away):
        width = len(list(group))
        if target:
            lines.append(end(target, "lane", f"{column} / span {width}"))
        column += width
    return "\n".join([*lines, "</ol>"])


def _call(call: dict[str, Any]) -> str:
    backend = f'<span class="pill {escape(call["backend"])}">{escape(call["backend"])}</span>'
    return (
        f'<tr><th scope="row"><code>{escape(call["name"])}</code></th><td>{backend}</td>'
        f"<td><code>{escape(call['symbol'])}</code></td><td>{escape(call['scope'])}</td></tr>"
    )


def _pre(title: str, text: str, wrap: bool = False) -> str:
    kind = ' class="wrap"' if wrap else ' tabindex="0"'
    return f"<dt>{title}</dt><dd><pre{kind}><code>{escape(text.strip())}</code></pre></dd>" if text.strip() else ""


def _question(question: dict[str, Any], headers: dict[str, str]) -> str:
    source = _pre(
        "source: " + escape(question["subject"] if question["kind"] in ("link", "run") else "question.c"),
        question["source"],
    )
    for name in re.findall(r'^#include "([^"]*)"$', question["source"], re.MULTILINE):
        if name in headers:
            source += f'<dd>It includes <a href="#header-{escape(name)}">{escape(name)}</a></dd>'
    back = question.get("cross_answer")
    how = "" if question["how"] == "compiled" else question["how"]
    if how in ("not recorded", "not run") and question["evidence"]:
        how += f": {question['evidence']}"  # the reason
    how = how and f'<span class="how">{escape(how)}</span>'
    return (
        f'<details><summary><span class="words">{escape(question["question"])}</span>'
        f"{how}{_pill(question)}</summary>"
        f'<div class="inside" id="{escape(question["id"])}"><dl>'
        + _pre("result", question["evidence"], wrap=True)
        + _pre("command", question["command"], wrap=True)
        + source
        + f"<dt>how</dt><dd>{escape(question['how'])}</dd>"
        + f"<dt>id</dt><dd><code>{escape(question['id'])}</code></dd>"
        + (f"<dt>answer for an answers file</dt><dd><code>{escape(back)}</code></dd>" if back else "")
        + "</dl></div></details>"
    )


def _questions(document: dict[str, Any]) -> str:
    headers = document["probe_headers"]
    parts = []
    kinds = [*GROUPS, *sorted({q["kind"] for q in document["questions"]} - set(GROUPS))]
    for kind in kinds:
        rows = [_question(q, headers) for q in document["questions"] if q["kind"] == kind]
        if rows:
            title = f"<h3>{escape(GROUPS.get(kind, kind))} <small>({len(rows)})</small></h3>"
            wide = " wide" if kind in ("run", "link") else ""
            parts.append(f'{title}\n<div class="questions{wide}">\n' + "\n".join(rows) + "\n</div>")
    for name, text in headers.items():
        parts.append(
            f'<h3>Header of the probes</h3>\n<div class="questions wide"><details><summary><span class="words">'
            f'<code>{escape(name)}</code></span></summary><div class="inside" id="header-{escape(name)}"><dl>'
            f"{_pre('source', text)}</dl></div></details></div>"
        )
    return "\n".join(parts)


def _facts(title: str, known: dict[str, str]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(value)}</code></dd>" for key, value in known.items())
    return f"<section><h3>{escape(title)}</h3><dl>{rows}</dl></section>"


def as_html(document: dict[str, Any]) -> list[str]:
    """The lines of the page."""
    verdict, overrides = document["verdict"], document["overrides"]
    shown = ("system", "libc", "libc_version", "backend", "scope", "samba_macro")
    known = {**{name.replace("_", " "): verdict[name] for name in shown}, "ring": ring(document)}
    build = [_facts("Verdict", {name: value for name, value in known.items() if value})]
    build += [_facts(title.capitalize(), facts(document, title)) for title in SECTIONS]
    used = {name: ", ".join(overrides[name]) or "none" for name in ("used", "unused")}
    build.append(_facts("Answers given by hand", used))
    page = Template(package_file("_cli/report.html").read_text(encoding="utf-8")).substitute(
        version=escape(document["version"]),
        machine=escape(machine(document)),
        backend=escape(verdict["backend"]),
        reach=REACH[verdict["scope"]],
        means=BACKENDS[verdict["backend"]],
        rule=escape(verdict["rule"]),
        warnings="\n".join(
            f'<p class="warning"><strong>Warning:</strong> {escape(w)}</p>' for w in verdict["warnings"]
        ),
        columns=len(document["decision"]) + 1,
        way=_way(document, {question["id"]: question for question in document["questions"]}),
        calls="\n".join(map(_call, verdict["calls"])),
        questions=_questions(document),
        facts="\n".join(build),
        schema_version=document["schema_version"],
        left_out=escape(", ".join(document["left_out"]) or "nothing"),
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii").split("\n")  # any locale can print it
