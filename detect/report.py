# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The build report: the verdict, the rule, and each question with its evidence.

It is made from the same answers as the generated code. Its schema is replace/report.schema.json, and replace/_cli/
shows it.
"""

import re
import shlex
from typing import Any, Dict, List

import programs
from overrides import EXPLICIT
from questions import questions, words
from verdict import Answers, Verdict, cross_answer, decide, glibc_version, has_32_bit

SCHEMA_VERSION = 1
COMPILER = "private-evidence:"  # before a question's id: a command, and the compiler's first message

#: The values of the field left_out.
PRIVATE, RUNS = "paths and host names", "results of run probes"


def _without_runs(answers: Answers) -> Answers:
    """The answers without results of run probes, for a build that must give the same files on every machine."""
    kept = dict(answers)
    for question in questions():
        if question.kind == "run" and answers[question.id + ":how"] not in EXPLICIT:
            kept[question.id] = "unknown"
            kept[question.id + ":how"] = "not recorded"
            kept[question.id + ":evidence"] = "left out, because SOURCE_DATE_EPOCH is set"
    return kept


def _decision(verdict: Verdict) -> List[Dict[str, Any]]:
    """The steps, in order. After the step that decided, the answers are empty."""
    rows: List[Dict[str, Any]] = []
    decided = False
    for step in verdict.steps:
        rows.append(
            {
                "question": step.question,
                "answer": "" if decided else step.answer,
                "detail": "" if decided else step.detail,
                "exits": [{"answer": answer, "leads_to": to} for answer, to in step.exits],
                "questions": list(step.questions),
            }
        )
        decided = decided or step.leads_to != "next"
    return rows


def _without_names(answers: Answers) -> Answers:
    """The answers without texts that may name hosts or folders.

    These are an answers file's name, an exe wrapper's output, and the commands and messages of the compiler.
    """
    kept = {key: value for key, value in answers.items() if not key.startswith(COMPILER)}
    for question in questions():
        evidence, how = question.id + ":evidence", answers[question.id + ":how"]
        if how == "answers file":
            kept[evidence] = "line " + str(answers.get(evidence, "")).rpartition(":")[2]
        elif how == "ran under an exe wrapper":
            kept[evidence] = str(answers.get(evidence, "")).partition(";")[0]
    return kept


def _evidence(answers: Answers, question_id: str) -> str:
    texts = (answers.get(question_id + ":evidence", ""), answers.get(COMPILER + question_id, ""))
    return "; ".join(str(text).strip() for text in texts if text)


def _questions(answers: Answers, verdict: Verdict) -> List[Dict[str, Any]]:
    rows = []
    for question in questions():
        answer = str(answers[question.id])
        row = {
            "id": question.id,
            "question": words(question, has_32_bit(answers)),
            "kind": question.kind,
            "subject": question.subject,
            "answer": answer,
            "how": str(answers[question.id + ":how"]),
            "evidence": _evidence(answers, question.id),
            "source": programs.source(question, answer),
            "command": programs.command(question),
        }
        if question.kind == "run":
            row["cross_answer"] = cross_answer(question.id, answers, verdict)
        rows.append(row)
    return rows


def _group(answers: Answers, prefix: str, private: bool) -> Dict[str, str]:
    """The answers whose names start with `prefix:`, and, if private, also with `private-prefix:`."""
    found = {k[len(prefix) + 1 :]: str(v) for k, v in sorted(answers.items()) if k.startswith(prefix + ":")}
    if private:
        found.update(_group(answers, "private-" + prefix, False))
    return found


#: An argument of a compiler that has a path: what comes before the path, and the path. Everything after it may belong
#: to the path, too, because a path may contain any character.
_PATH = re.compile(r"(-I|-L|-B|-F|-isystem|-iquote|-idirafter|-include|-imacros|[^/]*[=,:@]|)[^/=,:@]*/.*", re.DOTALL)


def _toolchain(answers: Answers, installed: bool) -> Dict[str, str]:
    """The tools and their arguments. Both copies have the arguments without paths, so that they can be compared."""
    found = _group(answers, "toolchain", not installed)
    for name in ("c_args", "c_link_args"):
        if name not in found:
            continue
        given = [argument for argument in found[name].split("\n") if argument]
        shown = [_PATH.sub(r"\1...", argument) for argument in given]
        found[name] = " ".join(map(shlex.quote, shown))
        if shown != given and not installed:
            found["exact_" + name] = " ".join(map(shlex.quote, given))
    return found


def build(answers: Answers, installed: bool) -> Dict[str, Any]:
    """The report. The installed copy leaves out paths and host names.

    With SOURCE_DATE_EPOCH, it leaves out results of run probes too, because the build must give the same files on
    every machine.
    """
    verdict = decide(answers)
    left_out = [PRIVATE] if installed else []
    known = _without_names(answers) if installed else answers
    if installed and answers["environment:reproducible"] == "yes":
        left_out.append(RUNS)
        known = _without_runs(known)
    return {
        "schema_version": SCHEMA_VERSION,
        "left_out": left_out,
        "version": str(answers["project:version"]),
        "verdict": {
            "backend": verdict.backend,
            "scope": verdict.scope,
            "rule": verdict.rule,
            "system": verdict.system,
            "libc": verdict.libc,
            "libc_version": glibc_version(answers) if verdict.libc == "glibc" else "",
            "linux_32bit_syscalls": verdict.wide,
            "samba_macro": verdict.family,
            "no_ring": verdict.no_ring,
            "calls": [
                {
                    "name": c.call.name,
                    "kind": c.call.kind,
                    "backend": c.backend,
                    "symbol": c.symbol,
                    "scope": c.scope,
                }
                for c in verdict.calls
            ],
            "warnings": list(decide(known).warnings),
        },
        "decision": _decision(verdict),
        "questions": _questions(known, verdict),
        "probe_headers": programs.headers(),
        "overrides": {
            "used": list(verdict.used),
            "unused": [unused.text for unused in verdict.unused],
        },
        "options": _group(answers, "option", not installed),
        "machine": _group(answers, "machine", not installed),
        "toolchain": _toolchain(answers, installed),
    }
