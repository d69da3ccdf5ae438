# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads reports of other builds from files."""

from __future__ import annotations

import json
from contextlib import contextmanager

from .._build import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: The version of the schema that this reader knows; docs/report.md says what may change within it.
SCHEMA_VERSION = 1

#: A value of the field left_out: this copy has no results of run probes.
RUNS = "results of run probes"

#: The scope of a call -> what the call changes, in words.
REACH = {"thread": "one thread", "process": "the whole process"}

_HINT = "a report is the output of `libreplace report --json`, or BUILD/replace/build_report.json"


class NotAReport(Exception):
    """A file is not a report that this version can read. The text says which file, and why."""


def load(path: str) -> dict[str, Any]:
    """The report in a file. Raises NotAReport."""
    try:
        with open(path, encoding="utf-8") as file:
            document: dict[str, Any] = json.load(file)
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise NotAReport(f"{path} is not a report: it is not JSON ({error}); {_HINT}") from error
    if not isinstance(document, dict) or not {"schema_version", "verdict"} <= document.keys():
        raise NotAReport(f"{path} is not a report: it has no schema_version or no verdict; {_HINT}")
    if document["schema_version"] != SCHEMA_VERSION:
        raise NotAReport(
            f"{path} has schema_version {document['schema_version']}; libreplace "
            f"{report()['version']} can read only {SCHEMA_VERSION}; use the version of libreplace that wrote the file"
        )
    return document


@contextmanager
def needs_fields(path: str) -> Iterator[None]:
    """Turn a failed look-up of a field into NotAReport. Use it only around code that reads one report."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise NotAReport(f"{path} is not a report: it has no {error.args[0]}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise NotAReport(f"{path} is not a report: a field has an unexpected type ({error})") from error


def machine(document: dict[str, Any]) -> str:
    """The machine that the report describes, in a few words: system, processor, libc."""
    verdict, found = document["verdict"], document["machine"]
    libc = "" if verdict["libc"] == "system" else f"{verdict['libc']} {verdict['libc_version']}".strip()
    return ", ".join(word for word in (f"{verdict['system']} {found.get('cpu_family', '')}".strip(), libc) if word)
