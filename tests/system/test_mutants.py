# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""mutants.py: a C test detects every wrong or missing step in the C code."""

import os
import subprocess
import sys

import mutants
import pytest
from support.builds import ROOT, run, tool
from support.children import needs_root
from support.mutations import functions


@pytest.mark.timeout(1800)
def test_every_mutant_is_detected():
    needs_root()
    if os.uname().machine != "x86_64":
        pytest.skip("needs x86_64: the mutated module is the golden file of that platform")
    tool("strace", "makes system calls fail")
    compiler = [tool("cc", "compiles the mutants"), "-m32", "-x", "c", "-", "-o", "/dev/null"]
    if subprocess.run(
        compiler, input="int main(void) { return 0; }", text=True, stderr=subprocess.PIPE, check=False
    ).returncode:
        pytest.skip("needs a compiler for 32-bit programs (Debian: gcc-12-multilib)")
    out = run(sys.executable, ROOT / "tests" / "programs" / "mutants.py", cwd="/", timeout=1700)
    assert out.returncode == 0, out.stdout[-3000:] + out.stderr
    assert ", 0 survived" in out.stdout


def test_every_c_function_has_mutants():
    texts = {name: (mutants.CORE / name).read_text() for name in mutants.SOURCES if name not in mutants.APART}
    texts["replace_calls.c"] = (mutants.golden.GOLDEN / "linux-glibc-x86_64" / "replace_calls.c").read_text()
    mutated = {name.split(": ")[0] for name, _, _ in mutants.all_mutants(texts)}
    written = {f"{file} {function}" for file, text in texts.items() for function in functions(text)}
    assert mutated <= written
    # These functions have no step and no result that a rule could change.
    assert {name.split()[1] for name in written - mutated} == {"install", "sort"}
    assert (
        len([name for name in mutated if name.startswith("replace_calls.c")]) == 17 + 3 + 2
    )  # calls, libc's calls, helpers


def test_each_mutation_rule_makes_its_change():
    """Apply each rule to one function. Strings and comments stay unchanged."""
    text = """static int f(int a)
{
	/* ask(a); */
	if (ask(a) != 0 && holds("x(1)"))
		return -1;
	k->a = k->b = a;
	libreplace_setresuid(a, 0, 1);
	return a;
}
"""
    found = {(m.rule, m.number): m.text for m in mutants.mutants(text)}
    assert "if (0)" in found["condition is false", 1]
    assert "if (1)" in found["condition is true", 1]
    assert "if (ask(a) != 0 )" in found["operand is left out", 1]
    assert 'if ( holds("x(1)"))' in found["operand is left out", 2]
    assert "k->a = k->b = a;" not in found["assignment is left out", 1]
    assert " k->b = a;" in found["target is left out", 1]
    assert "libreplace_setresuid" not in found["call is left out", 1]
    assert "libreplace_setresgid(a, 0, 1)" in found["users and groups are confused", 1]
    assert "(0, a, 1)" in found["arguments change places", 1].replace("setresuid(0,a", "setresuid(0, a")
    assert all("/* ask(a); */" in m for (rule, _), m in found.items() if rule != "nothing is done")
