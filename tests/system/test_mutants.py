# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""mutants.py: every wrong body and every missing step is noticed by a test."""

import os
import subprocess
import sys

import mutants
import pytest
from support.builds import ROOT, run, tool
from support.children import needs_root


@pytest.mark.timeout(600)
def test_every_mutant_is_noticed():
    needs_root()
    if os.uname().machine != "x86_64":
        pytest.skip("needs x86_64: the mutated module is that of its golden file")
    tool("strace", "makes system calls fail")
    compiler = [tool("cc", "compiles the mutants"), "-m32", "-x", "c", "-", "-o", "/dev/null"]
    if subprocess.run(
        compiler, input="int main(void) { return 0; }", text=True, stderr=subprocess.PIPE, check=False
    ).returncode:
        pytest.skip("needs a compiler for 32-bit programs (Debian: gcc-12-multilib)")
    out = run(sys.executable, ROOT / "tests" / "programs" / "mutants.py", cwd="/", timeout=590)
    assert out.returncode == 0, out.stdout[-3000:] + out.stderr
    assert ", 0 not noticed" in out.stdout


def test_every_body_has_a_mutant():
    text = (mutants.golden.GOLDEN / "linux-glibc-x86_64" / "replace_calls.c").read_text()
    mutated = {mutant.what.split(":")[0] for mutant in mutants.of_bodies(text)}
    assert mutated == {name for name, _ in mutants._bodies(text)}
    assert len(mutated) == 17
