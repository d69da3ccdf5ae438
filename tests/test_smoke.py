# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The smoke test of wheels knows which back end each wheel must have."""

import json
import sys
from importlib import metadata

import golden
import pytest
import smoke
from support.builds import ROOT, run
from support.children import needs_root_or_user
from verdict import decide

import replace


@pytest.mark.parametrize("option", ["auto", "libc", "syscall"])
@pytest.mark.parametrize("platform", ["linux-glibc-x86_64", "linux-glibc-i386", "linux-musl-x86_64"])
def test_local_wheel_must_have_the_back_end_that_the_build_chooses(platform, option):
    answers = json.loads((golden.GOLDEN / platform / "answers.json").read_text())
    verdict = decide({**answers, "option:credentials": option})
    report = {"options": {"credentials": option}, "verdict": {"libc": verdict.libc}}
    assert smoke.expected("cp313-cp313-linux_x86_64", report) == (verdict.backend, verdict.scope)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("manylinux_2_17_x86_64.manylinux2014_x86_64", ("syscall", "thread")),
        ("musllinux_1_2_x86_64", ("syscall", "thread")),
        ("macosx_11_0_arm64", ("libc", "process")),
    ],
)
def test_distributed_wheel_must_have_the_back_end_of_its_tag(platform, expected):
    assert smoke.expected(f"cp310-abi3-{platform}", replace.report()) == expected


def test_this_build_passes_if_pip_built_it_here():
    needs_root_or_user()
    try:
        text = metadata.distribution("libreplace").read_text("WHEEL") or ""
    except metadata.PackageNotFoundError:
        text = ""
    if not any(map(smoke.is_local, smoke.tags(text))):
        pytest.skip("needs a package that pip built on this machine")
    out = run(sys.executable, ROOT / "tests" / "programs" / "smoke.py", cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
