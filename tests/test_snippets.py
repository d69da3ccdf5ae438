# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A test runs every command and every Python block of README, CONTRIBUTING and docs/.

This file runs each Python block unchanged, as root, in an empty folder. Some blocks need a server, are parts of a
program, or take minutes. ELSEWHERE names the tests that run them.
"""

import os
import re
import sys
import tempfile

import pytest
from support.builds import IS_SDIST, ROOT, flags_for_c, imported, run
from support.children import needs_root

import replace

MarkdownIt = imported("markdown-it-py", "markdown_it").MarkdownIt
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The start of a block or of a command -> the test that runs it: a function, or a file.
ELSEWHERE = {
    # README
    "python3 -m venv .venv && .venv/bin/pip install -q . ": ".ci/readme",
    ".venv/bin/pip install -q '.[test]' && .venv/bin/pytest": ".ci/readme",
    # identities
    "import threading\n\nimport cachetools": "test_documented_cache_does_not_keep_failures",
    # examples: a test runs each with the command of its page
    "python3 docs/examples/fuse_mount.py": "test_fuse.py",
    "python3 docs/examples/sftp_server.py": "test_sftp.py",
    "python3 docs/examples/fastapi_server.py": "test_asgi.py",
    "python3 docs/examples/file_service.py": "test_file_service.py",
    "python3 docs/examples/": "test_servers.py",
    "gunicorn --pythonpath docs/examples ": "test_wsgi_servers.py",
    "python docs/examples/dask_files.py": "test_dask.py",
    "python docs/examples/dask_": "test_dask_hosts.py",
    "dask ": "test_dask_hosts.py",
    "python docs/examples/": "test_examples.py",
    "import os\n\nfrom twisted.conch import unix": "test_tasks.py",
    "import celery\n": "test_tasks.py",
    "import ray\n": "test_tasks.py",
    # ASGI: a test calls each application of the page
    "import os\nfrom typing import Annotated\n\nfrom fastapi": "test_asgi.py",
    "async def get(request):": "test_asgi.py",
    '@app.get("/wrong/': "test_asgi.py",
    '@app.post("/wrong/': "test_asgi.py",
    'app.mount("/wrong/': "test_asgi.py",
    "def lines(path):": "test_asgi.py",
    "def as_client(client: Client):": "test_asgi.py",
    # parts of programs: a test finds them in the programs
    "uid, gid, thread = fuse_get_context()": "test_blocks_of_the_page_are_in_the_example",
    'caches = {"entry_timeout": 0': "test_blocks_of_the_page_are_in_the_example",
    "with guard:\n    return function": "test_blocks_of_the_page_are_in_the_example",
    "def method(self, *args, **kwargs):": "test_servers_page_blocks_are_in_the_examples",
    "future = client.submit(replace.acting_as(alice, create)": "test_dask.py",
    "def difference(account):": "test_functions_of_the_page_are_in_the_example",
    'as_client = {"class": "replace.wsgi.AsClient"': "test_servers_page_blocks_are_in_the_examples",
    "app.wsgi_app = replace.wsgi.AsClient": "test_parts_of_programs_on_the_page_are_in_the_programs",
    "class Flask(flask.Flask):": "test_local_variables_of_a_failed_flask_view",
    "file = served.open(path)": "test_parts_of_programs_on_the_page_are_in_the_programs",
    "app = replace.wsgi.AsClient(get_wsgi_application()": "test_parts_of_programs_on_the_page_are_in_the_programs",
    "return self.service.files.open(": "test_servers_page_blocks_are_in_the_examples",
    "def in_memory(file, offset):": "test_block_of_the_page_is_in_the_example",
    "async def method(self, *args):": "test_sftp_page_blocks_are_in_the_example",
    "for name, function in inspect.getmembers(server": "test_sftp_page_blocks_are_in_the_example",
    "runuser -l alice": "test_runuser_runs_a_command_in_a_login_shell",
    # long: a test runs a short form
    "python tests/benchmarks/compare.py": "test_benchmarks.py",
    "python tests/benchmarks/frameworks.py": "test_benchmarks.py",
    "python tests/benchmarks/file_service.py": "test_benchmarks.py",
    "python tests/benchmarks/files.py": "test_benchmarks.py",
    "python tests/programs/soak_files.py": "test_soak.py",
    # embedding: the blocks are files of projects that a test builds and runs
    "meson setup build": "test_embedding.py",
    "meson compile -C build": "test_embedding.py",
    "cc -o program ": "test_embedding.py",
    "cc $(pkg-config --": "test_embedding.py",
    "cmake ": "test_embedding.py",
    "meson install -C build": "test_embedding.py",
    "python3 -m venv .venv": "test_embedding.py",
    "cc -static -o program main.c": "test_embedding.py",
    "python3 libreplace/detect/amalgamate.py": "test_amalgamation.py",
    "cc -Ithird_party": "test_amalgamation.py",
    "PKG_CONFIG=pkgconf-pypi python -m pip wheel": "test_embedding.py",
    "python -m pip wheel --no-deps --wheel-dir": "test_embedding.py",
    '"""A cffi extension and a module': "test_embedding.py",
    '"""A plain C extension': "test_embedding.py",
    '"""The source of a cffi extension': "test_embedding.py",
    '"""A package with a vendored copy': "test_embedding.py",
    "def configure(conf):": "test_existing_c_code.py",
    "LD_PRELOAD=libuid_wrapper.so UID_WRAPPER=1 UID_WRAPPER_ROOT=1": "test_uid_wrapper.py",
    # how-checked: a test runs a short form
    "build/tests/c/explorer/explore ": "test_explorer.py",
    # packaging
    "# glibc 2.17": "test_packaging.py",
    "# musl\n": "test_packaging.py",
    "# aarch64 wheel": "test_cross_wheel.py",
    "# Debian sid\n": "debian_sid.py",
    "# Debian 12\n": "test_debian.py",
    "# RPM\n": "test_rpm.py",
    "pyinstaller ": "test_frozen.py",
    "cxfreeze ": "test_frozen.py",
    'CC="python-zig cc': "test_packaging.py",
    "python cross/variables.py": "test_packaging.py",
    "python -m wheel": "test_packaging.py",
    "python tests/programs/abi.py": "test_abi.py",
    "python -m pip wheel --no-deps -Csetup-args=-Dpackage": "test_cross_wheel.py",
    "sed -i 's/^libreplace = ": "test_cross_wheel.py",
    "python -m zipfile": "test_cross_wheel.py",
    "python3 -m build --no-isolation --sdist": "debian_sid.py",
    "python -m build --no-isolation --sdist --outdir deb": "test_debian.py",
    "python -m build --no-isolation --sdist --outdir rpm": "test_rpm.py",
    "python -m pip --python /usr/bin/python3": "test_debian.py",
    "mkdir man && cd man": "test_man_and_completion.py",
    "argparse-manpage ": "test_man_and_completion.py",
    "shtab ": "test_man_and_completion.py",
    "meson test -C BUILD": "test_build.py",
    "python -m pytest -q": "test_suite_anywhere.py",
    # CONTRIBUTING: a release
    "# tag\n": "test_fresh_clone_of_the_tag_builds_the_same_packages_twice",
    "# build\n": "test_fresh_clone_of_the_tag_builds_the_same_packages_twice",
    "python -m build --no-isolation": "test_fresh_clone_of_the_tag_builds_the_same_packages_twice",
    # other platforms
    "meson setup BUILD": "test_cross.py",
    "meson compile -C BUILD": "test_cross.py",
    "python tests/programs/golden.py adopt": "test_golden.py",
}
#: Tutorials: one test runs all blocks of the page, in order.
TUTORIALS = {f"start-{door}.md": "test_tutorials.py" for door in ("python", "c", "package", "report")}
SHELL = {"sh", "console", "", "text"}
COMMAND = re.compile(
    r"(python3?|pip|meson|libreplace|argparse-manpage|shtab|\.venv|sphinx-build|cmake|cc|gcc|dpkg\S*|[A-Z_]+=\S+) "
)


def blocks(page):
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            yield token.info.split(" ")[0], token.content, token.map[0] + 1


def find_test(text):
    for start, test in ELSEWHERE.items():
        if text.startswith(start):
            return test
    return None


CASES = [(page, kind, text, line) for page in PAGES if page.name not in TUTORIALS for kind, text, line in blocks(page)]
PYTHON = [
    pytest.param(text, id=f"{page.name}:{line}")
    for page, kind, text, line in CASES
    if kind == "python" and not find_test(text)
]


@pytest.mark.parametrize("code", PYTHON)
def test_python_block_runs(code):
    needs_root()
    if replace.SCOPE != "thread":
        return
    if "/etc/shadow" in code and not os.path.exists("/etc/shadow"):
        pytest.skip("needs /etc/shadow (Debian: passwd)")
    if "os.O_PATH" in code and not hasattr(os, "O_PATH"):
        pytest.skip("needs os.O_PATH, which PyPy lacks")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        out = run(sys.executable, "-c", code, cwd=folder)
    assert out.returncode == 0, out.stderr


def commands():
    """Yield each command of each block. A backslash at the end of a line joins it with the next line."""
    for page, kind, text, line in CASES:
        if kind in SHELL:
            for command in re.sub(r"\\\n\s*", "", text).splitlines():
                command = command.strip().removeprefix("$ ")
                if COMMAND.match(command):
                    yield pytest.param(command, id=f"{page.name}:{line}:{command[:40]}")


@pytest.mark.parametrize("command", list(commands()))
def test_command_is_run_by_a_test(command):
    if command.startswith("libreplace config "):
        assert flags_for_c(*command.split()[2:])
        return
    if command.startswith("libreplace "):
        out = run(sys.executable, "-m", "replace", *command.split()[1:], cwd="/")
        assert out.returncode in (0, 2), out.stderr
        assert "usage:" not in out.stderr
        return
    assert find_test(command), f"name the test that runs {command!r} in ELSEWHERE"


def test_every_line_of_a_shell_block_is_run_by_a_test():
    """Also a line that does not look like a command. For embedding.md, test_embedding.py compares blocks with files."""
    for page, kind, text, line in CASES:
        if kind in ("sh", "console") and page.name != "embedding.md" and not find_test(text):
            for command in re.sub(r"\\\n\s*", "", text).splitlines():
                assert command.startswith("libreplace ") or find_test(command), (page.name, line, command)


def test_every_test_in_elsewhere_exists():
    names = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for test in {*ELSEWHERE.values(), *TUTORIALS.values()}:
        if test.startswith("test_") and not test.endswith(".py"):
            assert f"def {test}(" in names, test
        elif not (test.startswith(".ci/") and IS_SDIST):
            assert (ROOT / test).exists() or list((ROOT / "tests").rglob(test)), test


def test_every_entry_of_elsewhere_is_in_a_page():
    lines = [text for _, _, text, _ in CASES] + [line.strip() for _, _, text, _ in CASES for line in text.splitlines()]
    for start in ELSEWHERE:
        assert any(line.startswith(start) for line in lines), start
