# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Runs README's two commands in Debian's releases, on other architectures and with other Pythons.

As root, on Linux x86_64 with mmdebstrap.  For each root (default: all), the program makes a root folder with the
packages that a user needs, clones the last commit of this repository into it, and runs the commands there.  It prints
a row for each root: the first command's checks, the tests that passed, failed and were skipped, and the time.

`roots.py --record` also writes the rows to docs/roots.json, from which pages.py makes docs/roots.md.

Exit status: 1 if something failed, 2 if a root cannot be tried.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import musl_root
from root_folder import ALL, C_TESTS, GUARDS, PATH, SOURCE, CannotTry, Failed, Root, make, remove, run

RECORD = SOURCE / "docs" / "roots.json"
#: The tests that --tests guards runs.
GUARD_FILES = ("impersonate", "guards", "identity_in_c", "acting_as", "drop_privileges", "kernel_rules", "thread_state")
#: What pip needs where PyPI has no wheels: the library of cffi, and ninja.
BUILT = ("libffi-dev", "ninja-build")
#: What some tests ask for. These libraries are for glibc.
GLIBC_TOOLS = ("fakeroot", "g++", "libnss-wrapper", "libuid-wrapper", "proot")
#: Makes a Python on musl, and how its root finds it first.
MUSL_SCRIPT = "/usr/bin/python3 /source/tests/programs/musl_root.py /opt/musl"
MUSL_PATH = f"PATH=/opt/musl/bin:{PATH}"
#: Debian has no package of a CPython without the GIL, so its source is built. cffi needs 3.14.
FREE_THREADED = """
set -e
sed 's/^deb /deb-src /' /etc/apt/sources.list > /etc/apt/sources.list.d/source.list
apt-get -qq update
mkdir -p /python
cd /python
apt-get -q source --download-only python3.14 || exit 77
tar -xf python3.14_*.orig.tar.xz --strip-components=1
./configure -q --disable-gil --disable-test-modules --with-wheel-pkg-dir=/usr/share/python-wheels CFLAGS=-O1
make -s -j$(nproc)
make -s install
"""


def other_python(name: str) -> str:
    """A script that makes `python3` another Python of Debian."""
    return f"ln -s $(command -v {name}) /usr/local/bin/python3"


ROOTS = (
    Root("bookworm-amd64", "bookworm", packages=GLIBC_TOOLS),
    Root("trixie-amd64", "trixie", packages=GLIBC_TOOLS),
    Root("sid-amd64", "sid", packages=GLIBC_TOOLS),
    Root("trixie-i386", "trixie", "i386", (*GLIBC_TOOLS, "make")),  # PyPI has no wheels of greenlet and gevent for it
    Root("trixie-musl", "trixie", packages=musl_root.PACKAGES, prepare=MUSL_SCRIPT, environment=(MUSL_PATH,)),
    Root(
        "trixie-musl-raw-calls",
        "trixie",
        packages=musl_root.PACKAGES,
        prepare=MUSL_SCRIPT,
        environment=(MUSL_PATH, "PIP_CONFIG_SETTINGS=setup-args=-Dcredentials=syscall"),
    ),
    Root(
        "sid-python3.15",
        "sid",
        packages=(*GLIBC_TOOLS, "python3.15-dev", "python3.15-venv"),
        prepare=other_python("python3.15"),
    ),
    Root(
        "sid-python3.14t",
        "sid",
        packages=("libffi-dev", "libssl-dev", "make", "python3-pip-whl", "xz-utils", "zlib1g-dev"),
        prepare=FREE_THREADED,
    ),
    Root(
        "sid-pypy3", "sid", packages=(*GLIBC_TOOLS, "pypy3", "pypy3-dev", "pypy3-venv"), prepare=other_python("pypy3")
    ),
    Root("trixie-arm64", "trixie", "arm64", BUILT, tests=(C_TESTS, GUARDS)),
    Root("trixie-armhf", "trixie", "armhf", BUILT, tests=(C_TESTS, GUARDS)),
    Root("trixie-riscv64", "trixie", "riscv64", BUILT, tests=(C_TESTS, GUARDS)),
    # sid, because some mirrors of Debian lack trixie's updates for these two
    Root("sid-s390x", "sid", "s390x", BUILT, tests=(C_TESTS, GUARDS)),
    Root("sid-ppc64el", "sid", "ppc64el", BUILT, tests=(C_TESTS, GUARDS)),
)


class Row(NamedTuple):
    """What happened in a root."""

    name: str
    date: str
    commit: str
    system: str = ""
    verify: str = ""
    tests: str = ""  # which ones
    passed: int = 0
    failed: tuple[str, ...] = ()  # names of tests
    skipped: dict[str, int] = {}  # reason -> number of tests
    minutes: int = 0  # of the commands, without making the root
    problem: str = ""  # why the row is not complete


#: Prints the system on one line. The first command has installed the package.
DESCRIBE = """
. /etc/os-release; printf '%s, ' "$PRETTY_NAME"
cd /; /source/.venv/bin/python - <<'END'
import replace
report = replace.report()
verdict, tools = report["verdict"], report["toolchain"]
print(", ".join([f"{verdict['libc']} {verdict['libc_version']}".strip(), tools["compiler"], tools["python"]]), end="")
END
"""


class Counted(NamedTuple):
    """What a command that runs tests says."""

    passed: int
    failed: tuple[str, ...]
    skipped: dict[str, int]  # reason -> number


def count(tests: str, output: str) -> Counted:
    """Read the output of pytest, or of `meson test` and the reasons in its log."""
    reasons: collections.Counter[str] = collections.Counter()
    if tests == C_TESTS:
        passed = re.findall(r"^Ok: +(\d+)", output, re.M)[-1:]
        bad = "FAIL|ERROR|TIMEOUT|INTERRUPT|UNEXPECTEDPASS"
        failed = re.findall(rf"^ *\d+/\d+ (\S.*?) +(?:{bad})\b", output, re.M)
        reasons.update(re.findall(r"^# skipped: (.*)$", output, re.M))
    else:
        (summary,) = re.findall(r"^(?:=+ )?(\d+ .*) in [\d.]+s\b.*$", output, re.M)[-1:] or [""]
        passed = re.findall(r"(\d+) passed", summary)
        failed = re.findall(r"^(?:FAILED|ERROR) (tests/[^\s\[]+(?:\[.*?\](?= - |$))?)", output, re.M)
        for number, reason in re.findall(r"^SKIPPED \[(\d+)\] [^:]+:(?:\d+:)? (.*)$", output, re.M):
            reasons[reason] += int(number)
    return Counted(int("".join(passed) or 0), tuple(dict.fromkeys(failed)), dict(reasons))


#: How each group of tests is run.
COMMANDS = {
    ALL: ".ci/readme 2",
    GUARDS: ".venv/bin/pip install -q pytest pytest-timeout && .venv/bin/pytest "
    + " ".join(f"tests/test_{name}.py" for name in GUARD_FILES),
    C_TESTS: ".venv/bin/pip install -q meson && { command -v ninja || .venv/bin/pip install -q ninja; } && "
    "PATH=$PWD/.venv/bin:$PATH && meson setup --reconfigure build/c -Dpython=false && "
    "{ meson test -C build/c; status=$?; grep '^# skipped' build/c/meson-logs/testlog.txt; exit $status; }",
}


def attempt(root: Root, place: Path) -> Row:
    """Make the root below a folder if it is not there, and run the commands in it.  Fills in a row."""
    folder, log = place / root.name, place / f"{root.name}.log"
    commit = subprocess.run(
        ["git", "-C", str(SOURCE), "rev-parse", "--short=10", "HEAD"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    row = Row(root.name, datetime.date.today().isoformat(), commit, tests=" and ".join(root.tests))
    log.write_text("")

    def step(name: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {root.name}: {name}", flush=True)

    try:
        made = place / f"{root.name}.made"  # an unfinished root is made again
        if not made.exists():
            step("making the root folder")
            remove(folder)
            make(root, folder, log)
        remove(folder / "source")
        own = ["git", "-c", "safe.directory=*"]
        subprocess.run([*own, "clone", "-q", "--no-local", str(SOURCE), str(folder / "source")], check=True)
        if not made.exists():
            status = run(root, folder, root.prepare, log)[0] if root.prepare else 0
            if status == 77:
                raise CannotTry("the archive lacks a package's source")
            if status:
                raise Failed("the script that prepares the root failed")
            made.touch()
        start = time.monotonic()
        step("README's first command")
        status, output = run(root, folder, "cd /source; .ci/readme 1", log)
        (said,) = re.findall(r"^\d+ proved, \d+ contradicted, \d+ not run", output, re.M) or [""]
        row = row._replace(verify=said, system=run(root, folder, DESCRIBE, log)[1].strip() if said else "")
        if status:
            raise Failed(f"README's first command: exit status {status}")
        for tests in root.tests:
            step(f"tests: {tests}")
            status, output = run(root, folder, f"cd /source; {COMMANDS[tests]}", log)
            found = count(tests, output)
            row = row._replace(
                passed=row.passed + found.passed,
                failed=row.failed + found.failed,
                skipped=dict(collections.Counter(row.skipped) + collections.Counter(found.skipped)),
                minutes=round((time.monotonic() - start) / 60),
            )
            if not found.failed and (status or not found.passed):
                raise Failed(f"{tests}: exit status {status}, {found.passed} passed")
    except (CannotTry, Failed, subprocess.SubprocessError) as error:
        row = row._replace(problem=f"{'NOT TRIED' if isinstance(error, CannotTry) else 'FAILED'}: {error}")
    if row.problem or row.failed:
        print(f"{root.name}: the output of the commands ends with\n{log.read_text(errors='replace')[-6000:]}")
    return row


# ---- The rows


def line(row: Row) -> str:
    """A row of the page's table."""
    verify = row.verify.removesuffix(", 0 contradicted, 0 not run")
    tests = f"{row.passed} passed, {len(row.failed)} failed, {sum(row.skipped.values())} skipped"
    cells = [row.name, row.system, verify, row.problem or f"{row.tests}: {tests}", f"{row.minutes} min", row.date]
    return "| " + " | ".join(cells) + " |\n"


PAGE = """# Where the tests ran

<!-- generated by tests/programs/pages.py from roots.json -->

For each row, `python tests/programs/roots.py` makes a root folder with Debian's packages and clones libreplace into it.
As root, it runs README's first command there, and the tests that the row names. **All** is README's second command.
**C tests** are the C library's own tests (`meson test`). **Guards** are the Python tests of entering and leaving an
identity. The time does not include making the root folder. The kernel is the host's, {kernel}.

Other architectures than x86_64 and i386 run under qemu-user: their C library, compiler and Python are real, and the
processor is emulated.
[Platforms](platforms.md) shows where only the C library ran, and what never ran.

| root | system | `verify` | tests | time | date |
|---|---|---|---|---|---|
{rows}
## What was skipped, and why

A skipped test says what it needs. Tests with the same reason are counted together.

| reason | tests | roots |
|---|---|---|
{reasons}"""


def page() -> str:
    """The text of docs/roots.md."""
    rows, kernel = load(), json.loads(RECORD.read_text())["kernel"]
    reasons: dict[str, dict[str, int]] = {}
    for row in rows:
        for reason, number in row.skipped.items():
            reasons.setdefault(reason, {})[row.name] = number
    lines = []
    for reason, counted in sorted(reasons.items()):
        numbers = sorted(set(counted.values()))
        span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        names = "all" if len(counted) == sum(not row.problem for row in rows) else ", ".join(counted)
        lines.append(f"| {reason.replace('|', chr(92) + '|')} | {span} | {names} |\n")
    return PAGE.format(rows="".join(map(line, rows)), reasons="".join(lines), kernel=kernel)


def load() -> list[Row]:
    """The recorded rows."""
    return [Row(**{**row, "failed": tuple(row["failed"])}) for row in json.loads(RECORD.read_text())["rows"]]


def record(rows: list[Row]) -> None:
    """Replace these rows in the record, in the order of ROOTS."""
    known = {row.name: row for row in [*(load() if RECORD.exists() else []), *rows]}
    kept = [known[root.name]._asdict() for root in ROOTS if root.name in known]
    release = os.uname().release.split("-")[0]
    RECORD.write_text(json.dumps({"kernel": f"Linux {release}", "rows": kept}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [root.name for root in ROOTS]
    parser.add_argument("--folder", type=Path, help="keep the root folders here and use them again")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="this many roots at the same time")
    parser.add_argument("--record", action="store_true", help="replace the rows of these roots in docs/roots.json")
    parser.add_argument("--tests", choices=COMMANDS, help="run these tests in each root")
    parser.add_argument("root", nargs="*", choices=[*names, []], metavar="ROOT", help=", ".join(names))
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("run this program as root: it makes root folders and switches real ids")
    chosen = [root for root in ROOTS if root.name in (options.root or names)]
    if options.tests:
        chosen = [root._replace(tests=(options.tests,)) for root in chosen]
    with tempfile.TemporaryDirectory(prefix="libreplace-roots-") as temporary:
        place = options.folder.resolve() if options.folder else Path(temporary)
        place.mkdir(exist_ok=True)
        rows = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            try:
                for done in concurrent.futures.as_completed([pool.submit(attempt, root, place) for root in chosen]):
                    rows.append(done.result())
                    print(line(rows[-1]), end="", flush=True)
                    if options.record:
                        record(rows)
            finally:  # after Ctrl-C, no further root begins
                pool.shutdown(wait=False, cancel_futures=True)
    if any(row.failed or "FAILED" in row.problem for row in rows):
        return 1
    return 2 if any(row.problem for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
