# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The build report: the verdict, the rule, each question with its evidence.

Made from the same answers as the code.  Its schema is replace/report.schema.json;
replace/_cli/ shows it.
"""

from typing import Any, Dict, List

import programs
from questions import questions
from verdict import EXPLICIT, Answers, Verdict, cross_answer, decide, glibc_version

SCHEMA_VERSION = 1


#: What a copy can lack, in words: the field left_out.
PRIVATE, RUNS = "paths and host names", "results of run probes"


def _without_runs(answers: Answers) -> Answers:
    """The answers of a build whose result must not depend on where it ran."""
    kept = dict(answers)
    for question in questions():
        if question.kind == "run" and answers[question.id + ":how"] not in EXPLICIT:
            kept[question.id] = "unknown"
            kept[question.id + ":how"] = "not recorded"
            kept[question.id + ":evidence"] = "SOURCE_DATE_EPOCH is set, so no result of a run is kept"
    return kept


def _decision(verdict: Verdict) -> List[Dict[str, Any]]:
    """The steps; those after the one that decided have an empty answer."""
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
    """The answers without what others put into evidence: the answers file's name, and what an exe wrapper prints."""
    kept = dict(answers)
    for question in questions():
        evidence, how = question.id + ":evidence", answers[question.id + ":how"]
        if how == "answers file":
            kept[evidence] = "line " + str(answers.get(evidence, "")).rpartition(":")[2]
        elif how == "ran under an exe wrapper":
            kept[evidence] = str(answers.get(evidence, "")).partition(";")[0]
    return kept


def _questions(answers: Answers, verdict: Verdict) -> List[Dict[str, Any]]:
    rows = []
    for question in questions():
        answer = str(answers[question.id])
        row = {
            "id": question.id,
            "question": question.words,
            "kind": question.kind,
            "subject": question.subject,
            "answer": answer,
            "how": str(answers[question.id + ":how"]),
            "evidence": str(answers.get(question.id + ":evidence", "")).strip(),
            "source": programs.source(question, answer),
            "command": programs.command(question),
        }
        if question.kind == "run":
            row["cross_answer"] = cross_answer(question.id, answers, verdict)
        rows.append(row)
    return rows


def _group(answers: Answers, prefix: str, private: bool) -> Dict[str, str]:
    """The answers under `prefix:`; those under `private-prefix:` if wanted."""
    found = {k[len(prefix) + 1 :]: str(v) for k, v in sorted(answers.items()) if k.startswith(prefix + ":")}
    if private:
        found.update(_group(answers, "private-" + prefix, False))
    return found


def build(answers: Answers, installed: bool) -> Dict[str, Any]:
    """The report: that of the build folder holds everything, the installed one no paths and no host names.

    A build with SOURCE_DATE_EPOCH must come out the same anywhere, so what it installs keeps no result of a run.
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
            "used": [q.id for q in questions() if answers[q.id + ":how"] in EXPLICIT],
            "unused": [line for line in str(answers.get("overrides:unused", "")).split("\n") if line],
        },
        "options": _group(answers, "option", not installed),
        "machine": _group(answers, "machine", not installed),
        "toolchain": _group(answers, "toolchain", not installed),
    }
