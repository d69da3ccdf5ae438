# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of a change. `nox` runs lint and the fast tests, `nox -s NAME` one session, `nox -l` lists them."""

import nox

nox.options.sessions = ["lint", "test"]
nox.needs_version = ">=2024.4.15"
EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, spelling and the generated parts of the source."""
    session.install(*EXTRAS["lint"], *EXTRAS["types"])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("python", "detect/sources.py", "--check")
    files = session.run("git", "ls-files", "*.c", "*.h", external=True, silent=True, log=False)
    sources = [name for name in str(files).split() if not name.startswith("tests/golden/")]
    session.run("clang-format", "--dry-run", "-Werror", *sources)
    session.run("codespell")


@nox.session
def test(session: nox.Session) -> None:
    """Run the fast tests, as README's second command does."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """Run the tests in tests/system/: builds, wheels, other platforms, servers. Needs the packages of .ci/run."""
    session.install(".[test-all]")
    # Many tests wait, so three processes keep two cores busy. The default order would put the longest file last.
    order = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
    session.run("pytest", "-m", "long", *order, "--durations", "20", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs."""
    session.install(".[docs]")
    session.run("sphinx-build", "-E", "-W", "docs", "build/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the figures of docs/speed.md: as root, 8 minutes on an idle machine."""
    session.install(".[test-all,plots]")
    session.run("python", "tests/benchmarks/compare.py", *session.posargs)
    session.run("python", "tests/benchmarks/frameworks.py")
    session.run("python", "tests/benchmarks/files.py")
