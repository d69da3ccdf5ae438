# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""mutants.py: a C test detects each wrong or missing step in the C code."""

import subprocess
import sys

import mutants
import pytest
from support import mutations
from support.builds import ROOT, run, tool, uid_wrapper
from support.c_statements import functions
from support.children import needs_root
from support.configure import MACHINE


@pytest.mark.timeout(1800)
def test_mutants_are_detected():
    """One of three, always the same ones: all of them take 7 minutes."""
    needs_root()
    if MACHINE != "x86_64":
        pytest.skip("needs x86_64: the mutated module is the golden file of that platform")
    tool("strace", "makes system calls fail")
    tool("setpriv", "drops ids and capabilities")
    uid_wrapper()
    compiler = [tool("cc", "compiles the mutants"), "-m32", "-x", "c", "-", "-o", "/dev/null"]
    if subprocess.run(
        compiler, input="int main(void) { return 0; }", text=True, stderr=subprocess.PIPE, check=False
    ).returncode:
        pytest.skip("needs a compiler for 32-bit programs (Debian: gcc-12-multilib)")
    out = run(sys.executable, ROOT / "tests" / "programs" / "mutants.py", "--share", 3, cwd="/", timeout=1700)
    assert out.returncode == 0, out.stdout[-3000:] + out.stderr
    assert ", 0 survived" in out.stdout


def test_every_c_function_has_mutants():
    texts = {name: (mutants.CORE / name).read_text() for name in mutants.SOURCES if name not in mutants.APART}
    texts["replace_calls.c"] = (mutants.golden.GOLDEN / "linux-glibc-x86_64" / "replace_calls.c").read_text()
    mutated = {name.split(": ")[0] for name, _, _ in mutants.all_mutants(texts)}
    written = {
        f"{file} {function}" for file, text in texts.items() for function in mutants.PARTLY.get(file, functions(text))
    }
    constants = {name for name in mutated - written if name.split()[1].isupper()}
    assert mutated == written | constants
    calls = [name for name in mutated if name.startswith("replace_calls.c")]
    assert len(calls) == 17 + 3 + 2  # calls, libc's calls, helpers


TEXT = """enum { LIMIT = 7 };
#define BITS                                                                                       \\
	(1ULL << LIMIT | 1ULL << OTHER)

static int f(int a)
{
	int count = 0, same = a == 5;

	/* ask(a); */
	if (ask(a) != 0 && holds("x(1)"))
		return -1;
	k->a = k->b = a;
	libreplace_setresuid(a, 0, 1);
	libreplace_mine.forked = 1;
	count++;
	for (int i = 0; i < a; i++)
		count = look(i) ? 1 : count;
	if (!known(count) || read_all(k) != 0)
		return EPERM;
	if (known(a))
		return 0;
	return k->fsuid == a || count < LIMIT;
}
"""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("condition is false", "if (0)\n\t\treturn -1;"),
        ("condition is true", "if (1)\n\t\treturn -1;"),
        ("condition is false", "count = 0 ? 1 : count;"),
        ("operand is left out", "if (ask(a) != 0 )"),
        ("operand is left out", 'if ( holds("x(1)"))'),
        ("operand is left out", "return k->fsuid == a ;"),
        ("operand is left out", "(0 | 1ULL << OTHER)"),
        ("assignment is left out", "return -1;\n\t;\n"),
        ("assignment is left out", "1);\n\t;\n\tcount++;"),
        ("target is left out", "\t k->b = a;"),
        ("call is left out", "k->b = a;\n\t;\n"),
        ("change is left out", "forked = 1;\n\t;\n"),
        ("loop is left out", "count++;\n\t;\n\tif (!known"),
        ("jump is left out", "if (known(a))\n\t\t;\n"),
        ("call is skipped", 'if (0 != 0 && holds("x(1)"))'),
        ("call is skipped", "if (!1 || read_all(k) != 0)"),
        ("call is skipped", "if (!known(count) || 0 != 0)"),
        ("steps change places", "libreplace_mine.forked = 1;\n\tlibreplace_setresuid(a, 0, 1);\n"),
        ("users and groups are confused", "libreplace_setresgid(a, 0, 1)"),
        ("arguments change places", "setresuid(0, a, 1)"),
        ("fs id is forgotten", "return k->euid == a"),
        ("answer is always 1", "return 1;"),
        ("answer is always 0", "return 0;"),
        ("another value is returned", "\t\treturn 0;\n"),
        ("limit is off by one", "count <= LIMIT"),
        ("comparison is reversed", "same = a != 5"),
        ("constant is off by one", "same = a == 6"),
        ("constant is off by one", "LIMIT = 7 + 1"),
        ("nothing is done", "{\n\treturn 0;\n}"),
    ],
)
def test_each_mutation_rule_makes_its_change(rule, text):
    assert any(text in mutant.text for mutant in mutations.mutants(TEXT) if mutant.rule == rule)


def test_mutants_have_different_names_and_leave_comments_alone():
    found = mutations.mutants(TEXT)
    assert len({mutant.name for mutant in found}) == len({mutant.text for mutant in found}) == len(found)
    assert all("/* ask(a); */" in mutant.text for mutant in found if mutant.rule != "nothing is done")
