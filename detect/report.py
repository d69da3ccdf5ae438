# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The build report: the verdict, the rule, each question with its evidence.

Made from the same answers as the code.  Its schema is replace/report.schema.json;
its reader is replace/_report.py.  The portable profile holds nothing that differs
between two builds of the same source: no path, host, kernel, or builder's euid.
"""

from typing import Any, Dict, List

from questions import questions
from verdict import EXPLICIT, Answers, decide

SCHEMA_VERSION = 1


def _questions(answers: Answers, portable: bool) -> List[Dict[str, Any]]:
    rows = []
    for question in questions():
        answer, how = str(answers[question.id]), str(answers[question.id + ":how"])
        evidence = str(answers.get(question.id + ":evidence", "")).strip()
        if portable and question.kind == "run" and how not in EXPLICIT:
            answer, how, evidence = "unknown", "not recorded", "the portable profile keeps no run's result"
        rows.append(
            {
                "id": question.id,
                "question": question.words,
                "kind": question.kind,
                "subject": question.subject,
                "answer": answer,
                "how": how,
                "evidence": evidence,
            }
        )
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
            "libc_version": ".".join(str(answers.get("libreplace_define_" + m, "")) for m in ("glibc", "glibc_minor"))
            if verdict.libc == "glibc"
            else "",
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
        "questions": _questions(answers, not full),
        "overrides": {
            "used": [q.id for q in questions() if answers[q.id + ":how"] in EXPLICIT],
            "unused": [line for line in str(answers.get("overrides:unused", "")).split("\n") if line],
        },
        "options": _group(answers, "option", full),
        "machine": _group(answers, "machine", full),
        "toolchain": _group(answers, "toolchain", full),
    }
