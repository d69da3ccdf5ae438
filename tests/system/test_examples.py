# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The programs of docs/examples/ that show the problem. Each runs for a short time, and the test checks its figures.

docs/problem.md shows the figures of full runs.
"""

import os
import re
import sys

import pytest
from support.builds import ROOT, run, tool
from support.children import HANG, needs_root

import replace

EXAMPLES = ROOT / "docs" / "examples"


def figures(name, *arguments, python=sys.executable, env=None):
    """Return the table that the program prints: the first word of each line, and the numbers after it."""
    needs_root()
    out = run(python, EXAMPLES / name, *arguments, env=env, cwd="/", timeout=HANG)
    if replace.SCOPE != "thread":
        assert (out.returncode, "calls change one thread" in out.stderr) == (1, True)
        return None
    assert (out.returncode, out.stderr) == (0, "")
    table, meaning = out.stdout.splitlines()[1:-1], out.stdout.splitlines()[-1]
    assert meaning.endswith("."), "the last line says what the figures mean"
    rows = [line.split(maxsplit=1) for line in table]
    return {first: [float(n) for n in re.findall(r"[\d.]+", rest)] for first, rest in rows}


def test_seteuid_in_threads_gives_wrong_owners_but_impersonate_does_not():
    found = figures("seteuid_in_threads.py", 8, 100)
    if found:
        operations, failed, wrong = found["os.seteuid"]
        assert operations == 800
        assert failed + wrong > 0
        assert found["replace.impersonate"] == [800, 0, 0]


def test_libc_call_costs_more_than_ours_with_64_threads():
    found = figures("cost_of_threads.py", 1, 64)
    if found:
        assert set(found) == {"1", "64"}
        ours, _, libc, _ = found["64"]
        assert libc > ours, "with 64 threads, the call of libc must take longer (measured: 300 times as long)"


#: posix_spawnp() and sigaction(SIGABRT) share a lock, as they do in glibc 2.41 and in musl.
SHARED_LOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int (*spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                    char *const[], char *const[]);
static int (*set)(int, const struct sigaction *, struct sigaction *);

__attribute__((constructor)) static void find(void)
{
	spawn = dlsym(RTLD_NEXT, "posix_spawnp");
	set = dlsym(RTLD_NEXT, "sigaction");
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const words[], char *const environment[])
{
	int result;

	pthread_rwlock_rdlock(&lock);
	result = spawn(pid, file, actions, attributes, words, environment);
	pthread_rwlock_unlock(&lock);
	return result;
}

int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
	int result;

	if (number == SIGABRT)
		pthread_rwlock_wrlock(&lock);
	result = set(number, new, old);
	if (number == SIGABRT)
		pthread_rwlock_unlock(&lock);
	return result;
}
"""


#: A Python on musl that has this package, built with -Dcredentials=syscall. No package of Debian has one.
MUSL = os.environ.get("LIBREPLACE_MUSL_PYTHON", "")


@pytest.mark.parametrize("libc", ["own", "shared lock", *(["musl"] if MUSL else [])])
def test_only_the_os_call_waits_for_a_thread_in_vfork(libc, tmp_path):
    python, env = sys.executable, {}
    if libc == "shared lock":
        (tmp_path / "lock.c").write_text(SHARED_LOCK)
        out = run(tool("cc", "compiles a library"), "-shared", "-fPIC", "-o", "lock.so", "lock.c", "-ldl", cwd=tmp_path)
        assert out.returncode == 0, out.stderr
        env = {"LD_PRELOAD": str(tmp_path / "lock.so")}
    elif libc == "musl":
        python = MUSL
    found = figures("vfork_stall.py", 4, python=python, env=env)
    if found:
        assert found["os.setresuid"][0] > 1, "this call must wait for most of the 4 seconds"
        assert found["replace.setresuid"][0] < found["os.setresuid"][0] / 2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_on_a_page_and_shows_its_command(path):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    if "__main__" not in path.read_text():  # a module that other examples import
        assert f"docs/examples/{path.name}" in pages
        return
    assert re.search(rf"^( {{4}})?python3? docs/examples/{path.name}", pages, re.M)
    assert re.search(rf"(usage: |    )python3? (docs/examples/)?{path.name}", path.read_text())
