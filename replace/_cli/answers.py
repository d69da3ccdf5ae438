# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report --answers`: the report as a file for -Dcross_answers, in Samba's format."""

from __future__ import annotations

import shlex

from .documents import REACH, machine
from .text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def as_answers(document: dict[str, Any]) -> list[str]:
    """The lines of a file of answers that leads another build to the same verdict."""
    verdict, credentials = document["verdict"], document["options"].get("credentials", "auto")
    lines = [
        f"# libreplace {document['version']}, {machine(document)}: {verdict['backend']} back end, "
        f"a call changes {REACH[verdict['scope']]}.",
        "# With the same headers, this command leads to the same verdict:",
        f"#   meson setup BUILD -Dcredentials={shlex.quote(harmless(credentials))} -Dcross_answers=THIS_FILE",
    ]
    names = {"yes": "OK", "no": "NO"}
    for question in document["questions"]:
        if "cross_answer" not in question:
            continue  # nobody can answer it by hand
        found = " ".join(f"{question['answer']}, {question['how']}. {question['evidence']}".split())
        answer = question["cross_answer"]
        lines.append(f"# {found}")
        if names.get(question["answer"]) not in (answer, None):
            lines.append(
                "# A result of a run does not change the verdict, but an answer in this file does. "
                f"{answer} leads to the same verdict."
            )
        lines.append(f"{question['question']}: {answer}")
    return lines
