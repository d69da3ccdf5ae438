# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The model of the kernel, on which the search in tests/c/explorer runs, against the real kernel: random threads.

For a million threads, run `kernel_rules --states 1000000` as root, in the folder tests/c/explorer of a build. This
takes about 20 minutes.
"""

import re
import subprocess

import mutants
import pytest
from support.builds import run, tool
from support.children import needs_root

STATES = 4000

#: Rules of kernel.c, and what a wrong model could have instead.
WRONG = [
    ("new.fsuid = new.euid;", ";"),
    ("if ((old->securebits & KEEP_CAPS) == 0)", "if (1)"),
    ("if (kernel_sees_no_op && (rgid", "if (0 && (rgid"),
    ("old->fsuid == root && id != root", "old->fsuid == root"),
    ("sort_groups(new.groups, size);", ";"),
    ("|| thread->namespace->denies_setgroups", ""),
    ("new.ambient &= new.permitted & new.inheritable;", "new.ambient &= new.permitted;"),
    ("(locked & ~bits) != 0", "0"),
    ("(old->securebits & NO_CAP_AMBIENT_RAISE) != 0", "0"),
    ("fix_capabilities(&new, old, kernel_id(map, 0));", "fix_capabilities(&new, old, 0);"),
]


@pytest.fixture
def program(faults):
    """The program kernel_rules, which is in the same build as the program faults."""
    needs_root()
    return faults.parent / "explorer" / "kernel_rules"


def assert_agrees(out):
    if out.returncode == 77:
        pytest.skip(out.stdout)
    assert out.returncode == 0, out.stdout[-4000:] + out.stderr


@pytest.mark.parametrize("seed", range(2, 6))
def test_model_and_kernel_agree(program, seed):
    out = run(program, "--states", STATES, "--seed", seed)
    assert_agrees(out)
    counts = re.findall(r"^(\w+): (\d+) succeeded, (\d+) EPERM, (\d+) EINVAL", out.stdout, re.MULTILINE)
    assert len(counts) == 11, out.stdout
    for name, *numbers in counts:
        assert int(numbers[0]) > STATES / 2, f"{name} succeeds too seldom to compare it"
        if name in ("setresuid", "setresgid", "setgroups", "prctl"):
            assert min(map(int, numbers)) > STATES / 20, f"{name} fails too seldom to compare it"
    entries = re.search(r"^enter: (\d+) entered, (\d+) refused, (\d+) rolled back", out.stdout, re.MULTILINE)
    assert min(map(int, entries.groups())) > STATES / 20, out.stdout


@pytest.mark.parametrize(("rule", "wrong"), WRONG, ids=[rule for rule, _ in WRONG])
def test_wrong_rule_is_noticed(program, source, tmp_path, rule, wrong):
    compiler = tool("cc", "a C compiler")
    folder = source / "tests" / "c" / "explorer"
    text = (folder / "kernel.c").read_text()
    assert text.count(rule) == 1, "kernel.c has changed"
    (tmp_path / "kernel.c").write_text(text.replace(rule, wrong))
    build = program.parents[3]
    headers = (folder, source / "replace" / "core", build / "replace" / "core")
    files = [file for file in mutants.sources("kernel_rules") if file.name != "kernel.c"]
    files += [tmp_path / "kernel.c", build / "replace" / "libreplace.a"]
    words = [compiler, "-std=gnu11", "-D_GNU_SOURCE", *(f"-I{path}" for path in headers), *files]
    subprocess.run([*words, "-pthread", "-ldl", "-o", tmp_path / "wrong"], check=True)
    out = run(tmp_path / "wrong", "--states", STATES)
    if out.returncode != 77:
        assert out.returncode == 1, out.stdout
        replay = re.search(r"to see each call: kernel_rules (.*)$", out.stdout, re.MULTILINE)
        assert run(tmp_path / "wrong", *replay[1].split()).returncode == 1
