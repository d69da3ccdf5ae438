# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The build report: the verdict, the rule, each question with its evidence.

Made from the same answers as the code.  Its schema is replace/report.schema.json;
its reader is replace/_report.py.  The portable profile holds nothing that differs
between two builds of the same source: no path, host, kernel, or builder's euid.
"""

from typing import Any, Dict, List, Tuple

import programs
from decision import decision, glibc_version
from questions import questions
from verdict import EXPLICIT, Answers, Refused, Verdict, decide

SCHEMA_VERSION = 1


def _without_runs(answers: Answers) -> Answers:
    """The answers as the portable profile may know them."""
    kept = dict(answers)
    for question in questions():
        if question.kind == "run" and answers[question.id + ":how"] not in EXPLICIT:
            kept[question.id] = "unknown"
            kept[question.id + ":how"] = "not recorded"
            kept[question.id + ":evidence"] = "the portable profile keeps no run's result"
    return kept


def way_back(answers: Answers) -> Dict[str, str]:
    """id -> OK or NO for each run question: given by hand, they lead to the same verdict.

    Mostly what was found.  Where it was not (a run never decides, an answer given by hand
    does) or nothing was, the answer that changes nothing: each is tried on verdict.py.
    """

    def differs(verdict: Verdict) -> Tuple[bool, bool, bool]:
        bare = verdict._replace(rule="", warnings=())
        return (
            bare != target._replace(rule="", warnings=()),
            verdict.rule != target.rule,
            len(verdict.warnings) != len(target.warnings),
        )

    target, given = decide(answers), dict(answers)
    for question in questions():
        if question.kind != "run":
            continue
        found = answers[question.id]
        if found not in ("yes", "no"):  # whether libc has setreuid is known without a run
            found = answers.get(question.id.replace("_use_", "_have_"), "")
        tried: List[Tuple[Tuple[bool, bool, bool], int, Answers]] = []
        for answer in (found, "yes", "no"):
            attempt = {**given, question.id: answer, question.id + ":how": "answers file"}
            try:
                if answer in ("yes", "no"):
                    tried.append((differs(decide(attempt)), len(tried), attempt))
            except Refused:
                pass
        given = min(tried, key=lambda row: row[:2])[2]
    return {q.id: "OK" if given[q.id] == "yes" else "NO" for q in questions() if q.kind == "run"}


def _questions(answers: Answers) -> List[Dict[str, Any]]:
    rows = []
    back = way_back(answers)
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
            row["cross_answer"] = back[question.id]
        rows.append(row)
    return rows


def _group(answers: Answers, prefix: str, private: bool) -> Dict[str, str]:
    """The answers under `prefix:`; those under `private-prefix:` only in the full profile."""
    found = {k[len(prefix) + 1 :]: str(v) for k, v in sorted(answers.items()) if k.startswith(prefix + ":")}
    if private:
        found.update(_group(answers, "private-" + prefix, False))
    return found


def build(answers: Answers) -> Dict[str, Any]:
    verdict = decide(answers)
    profile = str(answers["option:report_profile"])
    full = profile == "full"
    known = answers if full else _without_runs(answers)
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": profile,
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
                    "id_bits": verdict.id_bits,
                }
                for c in verdict.calls
            ],
            "warnings": list(verdict.warnings) if full else [],
        },
        "decision": decision(known, verdict),
        "questions": _questions(known),
        "probe_headers": programs.headers(),
        "overrides": {
            "used": [q.id for q in questions() if answers[q.id + ":how"] in EXPLICIT],
            "unused": [line for line in str(answers.get("overrides:unused", "")).split("\n") if line],
        },
        "options": _group(answers, "option", full),
        "machine": _group(answers, "machine", full),
        "toolchain": _group(answers, "toolchain", full),
    }
