# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Identities under uid_wrapper, which imitates ids for tests that run without privilege.

A process without capabilities can enter, nest, fork and leave. In a process with capabilities, each entry is refused,
because the thread would keep its rights. tests/c/imitated.c makes the entries and compares with /proc.
"""

import os
import shutil
import sys

import pytest
from support.builds import run, tool, uid_wrapper
from support.children import needs_root

CAPABILITIES = "+setuid,+setgid"
USER = ["--reuid=1000", "--regid=1000"]
POWERLESS_ROOT = ["--bounding-set=-all", "--inh-caps=-all"]


def wrapped(*command, options=(), **keywords):
    """Run a command under uid_wrapper; @options are those of setpriv(1), which runs outside of it."""
    words = ["env", f"LD_PRELOAD={uid_wrapper()}", "UID_WRAPPER=1", "UID_WRAPPER_ROOT=1"]
    prefix = [tool("setpriv", "drops ids and capabilities"), *options] if options else []
    return run(*prefix, *words, *command, cwd="/", **keywords)


@pytest.fixture(scope="module", params=["static", "shared"])
def program(request, faults, source, tmp_path_factory):
    """The program imitated; with the shared library, too: its constructors run before those of uid_wrapper."""
    needs_root()
    uid_wrapper()
    folder = tmp_path_factory.mktemp(request.param)
    build = faults.parent.parent.parent
    if request.param == "shared":
        build = folder
        meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
        options = ["-Dpython=false", "-Dcredentials=syscall", "-Ddefault_library=shared"]
        for words in (["setup", build, source, *options], ["compile", "-C", build, "imitated"]):
            out = run(*meson, *words)
            assert out.returncode == 0, out.stdout + out.stderr
    path = shutil.copy(build / "tests" / "c" / "imitated", folder / "imitated-copy")
    assert ("libreplace.so" in run("ldd", path).stdout) == (request.param == "shared")
    for part in (folder, *folder.parents):  # the programs run as another user
        if part.stat().st_uid == os.getuid() and part.name:
            part.chmod(part.stat().st_mode | 0o111)
        if part.name.startswith("pytest-of-"):
            break
    return ["env", f"LD_LIBRARY_PATH={build / 'replace'}", path]


@pytest.mark.parametrize(
    "options",
    [[*USER, "--clear-groups"], [*USER, "--groups=5,80001"], POWERLESS_ROOT],
    ids=["user", "user with groups", "root without capabilities"],
)
def test_process_without_capabilities_enters_nests_forks_and_leaves(program, options):
    out = wrapped(*program, "accepted", options=options)
    assert out.returncode == 0, out.stderr


def test_each_entry_of_real_root_is_refused(program):
    out = wrapped(*program, "refused")
    assert out.returncode == 0, out.stderr


def test_thread_with_capabilities_is_refused_after_another_one_was_accepted(program):
    options = [*USER, "--clear-groups", f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"]
    out = wrapped(*program, "mixed", options=options)
    assert out.returncode == 0, out.stderr


SCRIPT = """
import os, replace
alice = replace.Identity(80001, 80011, (80011, 80021))
for level in ("shielded", "effective", "real", "filesystem"):
    try:
        with replace.impersonate(alice, level=level):
            child = os.fork()
            if child == 0:
                is_alice = os.getresuid() == (80001,) * 3 and os.getresgid() == (80011,) * 3
                os._exit(not (is_alice and os.getgroups() == [80011, 80021]))
            print(level, os.geteuid(), os.waitpid(child, 0)[1])
    except replace.IdentityError as error:
        print(level, error.step, "/", error.state, "/", "uid_wrapper" in error.hint and error.hint in str(error))
replace.assert_clean()
print(os.getresuid())
try:
    print(replace.popen_as(alice, ["grep", "-q", "Uid:.0.0.0.0", "/proc/self/status"]).wait())
except replace.IdentityError as error:
    print(error.step, "/", error.state)
try:
    replace.drop_privileges(alice)
except replace.DropFailed as error:
    print(error.step, "/", error.state)
"""


def test_python_imitates_without_capabilities():
    needs_root()
    out = wrapped(sys.executable, "-c", SCRIPT, options=POWERLESS_ROOT)
    assert out.stdout.splitlines() == [
        "shielded 80001 0",
        "effective 80001 0",
        "real 80001 0",
        "filesystem setting the uid / unchanged / True",
        "(0, 0, 0)",
        "0",
        "verifying / tainted",
    ], out.stderr


def test_python_refuses_with_capabilities():
    needs_root()
    out = wrapped(sys.executable, "-c", SCRIPT)
    levels = ("shielded", "effective", "real", "filesystem")
    refused = [f"{level} verifying / rolled back / True" for level in levels]
    rest = ["(0, 0, 0)", "verifying / rolled back", "verifying / tainted"]
    assert out.stdout.splitlines() == [*refused, *rest], out.stderr


@pytest.mark.parametrize("options", [POWERLESS_ROOT, []], ids=["without capabilities", "with capabilities"])
def test_verify_names_uid_wrapper(options):
    """Nothing that compares ids is checked, so nothing contradicts the build."""
    needs_root()
    out = wrapped(sys.executable, "-m", "replace", "verify", "--explain", options=options)
    assert out.returncode == 2, out.stdout + out.stderr
    assert "0 contradicted" in out.stdout
    assert "needs real ids: uid_wrapper simulates ids and groups" in out.stdout
