# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""One build reports the same facts everywhere: console, JSON, HTML, pkg-config, CMake, Meson and C at run time."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.builds import report_of, run, tool
from test_build import meson
from verdict import FACTS

PARENT = """project('parent', 'c')
libreplace = dependency('libreplace', fallback: 'libreplace', default_options: ['python=false', {options}])
foreach name : [{names}]
  message('fact', name, libreplace.get_variable(name))
endforeach
message('fact version', libreplace.version())
"""
PROGRAM = r"""
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <libreplace/replace.h>

int main(int argc, char **argv)
{
	fputs(libreplace_build_info(NULL), stdout);
	for (int i = 1; i < argc; i++)
		printf("%s is %s\n", argv[i], libreplace_build_info(argv[i]));
	assert(libreplace_build_info("") == NULL && libreplace_build_info("no such fact") == NULL);
	assert(strcmp(libreplace_build_info("backend"), LIBREPLACE_BACKEND) == 0);
	assert((strcmp(libreplace_build_info("scope"), "thread") == 0) == LIBREPLACE_THREAD_SCOPE);
	return 0;
}
"""


@pytest.mark.parametrize(
    ("compiler", "options"),
    [("cc", []), ("cc", ["credentials=libc"]), ("musl-gcc", []), ("musl-gcc", ["credentials=syscall"])],
    ids=str,
)
def test_every_interface_reports_the_same_facts(source, tmp_path, compiler, options):
    env = {"CC": tool(compiler, "a C compiler"), "DESTDIR": str(tmp_path / "d")}
    build, root = tmp_path / "b", tmp_path / "d" / "usr"
    asked = [f"-D{option}" for option in ["python=false", *options]]
    console = meson(
        "setup", build, source, "-Dtests=false", "--prefix=/usr", "--libdir=lib", "--werror", *asked, env=env
    )
    assert console.returncode == 0, console.stdout
    out = meson("install", "-C", build, env=env)
    assert out.returncode == 0, out.stdout + out.stderr

    document = report_of(build)
    facts = {"version": document["version"], **{name: document["verdict"][name] for name in FACTS}}
    assert facts["backend"] == (
        options[0].split("=")[1] if options else {"cc": "syscall", "musl-gcc": "libc"}[compiler]
    )

    text = console.stdout
    assert dict(re.findall(rf"^ +({'|'.join(FACTS)}) *: (\w+)$", text, re.M)) == without_version(facts)
    assert re.search(rf"^libreplace {re.escape(facts['version'])}$|Project version: {facts['version']}$", text, re.M)
    console_calls = {name: row.split() for name, row in re.findall(r"^ +(\w+) *: (.+)$", text, re.M)}
    for call in document["verdict"]["calls"]:
        assert console_calls[call["name"]] == f"{call['backend']} {call['symbol']} {call['scope']}".split()

    page = run(sys.executable, "-m", "replace", "report", "--html", build / "replace/build_report.json", cwd="/").stdout
    shown = dict(re.findall(r"<dt>(\w+)</dt><dd><code>(\w+)</code></dd>", page[page.index("<h3>Verdict</h3>") :]))
    assert {name: shown[name] for name in FACTS} == without_version(facts)
    assert f"<h1>libreplace {facts['version']} " in page
    rows = [re.sub("<.*?>", " ", row).split() for row in re.findall(r"<tr><th scope=\"row\">.*", page)]
    wanted = ("name", "backend", "symbol", "scope")
    assert rows == [" ".join(str(call[key]) for key in wanted).split() for call in document["verdict"]["calls"]]

    def pkg_config(*arguments: str) -> str:
        environment = {"PKG_CONFIG_PATH": str(root / "lib/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(tmp_path / "d")}
        found = run(tool("pkg-config", "finds libraries"), *arguments, "libreplace", env=environment)
        assert found.returncode == 0, found.stderr
        return str(found.stdout.strip())

    assert {name: pkg_config(f"--variable={name}") for name in FACTS} == without_version(facts)
    assert pkg_config("--modversion") == facts["version"]
    cmake = (root / "lib/cmake/libreplace/libreplaceConfig.cmake").read_text()
    assert {name.lower(): value for name, value in re.findall(r'^set\(libreplace_(\w+) "(\w+)"\)$', cmake, re.M)} == (
        without_version(facts)
    )

    (tmp_path / "program.c").write_text(PROGRAM)
    flags = pkg_config("--cflags", "--libs").split()
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([env["CC"], *strict, "-o", tmp_path / "program", tmp_path / "program.c", *flags], check=True)
    listed = run(tmp_path / "program", *facts)
    assert listed.returncode == 0, listed.stderr
    lines = [f"{name}={value}" for name, value in facts.items()] + [
        f"{name} is {value}" for name, value in facts.items()
    ]
    assert listed.stdout.splitlines() == lines

    parent = tmp_path / "parent"
    shutil.copytree(source, parent / "subprojects" / "libreplace", ignore=shutil.ignore_patterns(".git"))
    chosen = {"options": ", ".join(f"'{option}'" for option in options), "names": ", ".join(f"'{n}'" for n in FACTS)}
    (parent / "meson.build").write_text(PARENT.format(**chosen))
    out = meson("setup", tmp_path / "p", parent, env={"CC": env["CC"], "PKG_CONFIG_LIBDIR": os.devnull})
    assert out.returncode == 0, out.stdout
    assert dict(re.findall(r"^Message: fact (\w+) (\S+)$", out.stdout, re.M)) == facts


def without_version(facts: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if name != "version"}


def test_build_info_header_documents_every_fact():
    """build_info.h names exactly the facts that a build reports."""
    header = (Path(__file__).parent.parent.parent / "replace/core/libreplace/build_info.h").read_text()
    assert set(re.findall(r'"(\w+)"', header)) - {"C"} == {"version", *FACTS}
