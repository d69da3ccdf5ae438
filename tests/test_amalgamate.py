# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""detect/amalgamate.py: what it writes for each platform family. tests/system/test_amalgamation.py compiles it."""

import json
import os
import re
import sys

import amalgamate
import golden
import headers
import pytest
from generate import LIBRARY, PACKAGE
from support.builds import ROOT, run

FAMILIES = [path.name for path in golden.platforms()]
CORE = ROOT / "replace" / "core"
#: What the command writes into its folder.
WRITTEN = [
    "libreplace.c",
    "libreplace/replace.h",
    "libreplace/replace_override.h",
    "libreplace/samba_config.h",
]


def command(*words, env=None):
    return run(sys.executable, ROOT / "detect" / "amalgamate.py", *words, env=env, cwd="/")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_run_writes_the_same_bytes(tmp_path, family):
    for seed in ("1", "2"):
        out = command(family, tmp_path / seed, env={"PYTHONHASHSEED": seed})
        assert (out.returncode, out.stdout, out.stderr) == (0, "", "")
    assert sorted(contents(tmp_path / "1")) == WRITTEN
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_help_lists_the_families():
    out = command("--help")
    assert out.returncode == 0
    assert re.findall(r"^  (\S+) +\S+, libc: ", out.stdout, re.M) == FAMILIES == amalgamate.families()


# ---- The texts


@pytest.mark.parametrize("family", FAMILIES)
def test_header_declares_what_the_installed_headers_declare(family):
    answers = amalgamate.answers_of(family)
    text = amalgamate.public_headers(answers)["replace.h"]
    assert "#include <libreplace/" not in text
    generated = {**LIBRARY, **PACKAGE}

    def installed(name):
        return generated[name](answers) if name in generated else headers.read(name)

    assert headers.parse(text, lambda name: pytest.fail(name)) == headers.parse(installed("replace.h"), installed)
    described = headers.comments(text)
    for name in ("calls.h", *(path.name for path in (CORE / "libreplace").glob("*.h"))):
        for function, lines in headers.comments(installed(name)).items():
            assert described.pop(function) == lines
    assert not described


@pytest.mark.parametrize("family", FAMILIES)
def test_other_headers_are_those_of_the_family(family):
    texts = amalgamate.files(amalgamate.answers_of(family))
    for name in ("replace_override.h", "samba_config.h"):
        assert texts["libreplace/" + name] == (golden.GOLDEN / family / name).read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_c_file_contains_each_source_once_after_the_last_system_header(family):
    answers = amalgamate.answers_of(family)
    text = amalgamate.libreplace_c(answers)
    assert re.findall(r'^#include "(.*)"', text, re.M) == ["libreplace/replace.h"]
    assert text.index('#include "') > text.rindex("#include <")
    sources = [(CORE / name).read_text() for name in amalgamate.core_files(answers)]
    sources += [path.read_text() for path in CORE.glob("*.h") if f'#include "{path.name}"' in "".join(sources)]
    for source in [*sources, LIBRARY["replace_calls.c"](answers), LIBRARY["build_info.c"](answers)]:
        code = re.sub(r"^#include .*\n|\A/\*.*?\*/", "", source, flags=re.M | re.S)
        for paragraph in filter(None, map(str.strip, code.split("\n\n"))):
            assert paragraph in text


@pytest.mark.parametrize("family", FAMILIES)
def test_license_is_at_the_top_and_only_there(family):
    texts = amalgamate.files(amalgamate.answers_of(family))
    license_text = "".join(f" * {line}".rstrip() + "\n" for line in (ROOT / "LICENSE").read_text().splitlines())
    for name, text in texts.items():
        assert text.startswith("/*\n * SPDX-FileCopyrightText: ")
        assert text.count("SPDX-") == 2, name
        if name in WRITTEN[:2]:
            assert license_text in text
            assert "\n\n\n" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        for line in text.expandtabs(8).splitlines():
            assert len(line) <= 100, (name, line)
            assert line == line.rstrip(), (name, line)


def test_version_is_that_of_the_source():
    (version,) = re.findall(r"^  version: '(.*)',$", (ROOT / "meson.build").read_text(), re.M)
    texts = amalgamate.files(amalgamate.answers_of("linux-glibc-x86_64"))
    for name in WRITTEN[:2]:
        assert f" * libreplace {version} for linux with glibc.\n" in texts[name]
    assert re.search(rf'(version=|LIBREPLACE_VERSION "){re.escape(version)}', "".join(texts.values()))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_variant_of_a_source_is_used_or_another_one(family):
    """One file of each group, such as ids_*.c, all files of the ring or none, and every file without variants."""
    used = amalgamate.core_files(amalgamate.answers_of(family))
    linux = family.startswith("linux")
    for path in CORE.glob("*.c"):
        variant = re.fullmatch(r"(\w+)_(linux|none|libc)\.c", path.name)
        others = {f"{variant[1]}_{name}.c" for name in ("linux", "none", "libc")} if variant else {path.name}
        is_only_for_linux = variant and len([name for name in others if (CORE / name).exists()]) == 1
        beside = "ring_linux.c" if path.name.startswith("ring_") else "ids_linux.c"
        assert len(others & set(used)) == (not is_only_for_linux or beside in used), path.name
    assert ("ids_linux.c" in used) == linux
    assert ("ring_linux.c" in used) == family.startswith("linux-glibc")
    assert ("users_libc.c" in used) == (family != "nothing")


def test_option_selects_the_back_end(tmp_path):
    assert command("linux-musl-x86_64", tmp_path, "--credentials=syscall").returncode == 0
    assert "syscall(SYS_setresuid, " in (tmp_path / "libreplace.c").read_text()
    assert "#define LIBREPLACE_THREAD_SCOPE 1\n" in (tmp_path / "libreplace/replace.h").read_text()


# ---- Errors, and other files


@pytest.mark.parametrize("words", [["linux"], ["../golden/nothing"], ["linux-glibc-x86_64/"], [""]])
def test_unknown_family_is_refused_and_the_families_are_listed(tmp_path, words):
    out = command(*words, tmp_path / "new")
    assert (out.returncode, out.stdout) == (2, "")
    assert f"error: unknown family {words[0]!r}; use one of {', '.join(FAMILIES)}, or" in out.stderr
    assert not (tmp_path / "new").exists()


def test_empty_name_of_a_folder_is_refused():
    """As from a variable of a script that is not set."""
    out = command("nothing", "")
    assert (out.returncode, out.stdout) == (2, "")
    assert "error: DIR is empty" in out.stderr


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("freebsd-x86_64", ["--credentials=syscall"], "-Dcredentials=syscall is not possible: only Linux has"),
        ("{}/missing.json", [], "No such file or directory: '{}/missing.json'"),
        ("{}/broken.json", [], "{}/broken.json does not have the answers of a build"),
        ("{}/list.json", [], "{}/list.json does not have the answers of a build"),
        ("{}/other.json", [], "{}/other.json does not have the answers of a build"),
        ("{}/missing_answer.json", [], "{}/missing_answer.json does not have the answers of a build"),
        ("{}/wrong_answer.json", [], "{}/wrong_answer.json does not have the answers of a build"),
        ("{}/wrong_size.json", [], "{}/wrong_size.json does not have the answers of a build"),
        ("{}/wrong_option.json", [], "{}/wrong_option.json does not have the answers of a build"),
        ("{}/later.json", [], "{}/later.json is of libreplace 9.9; build libreplace "),
    ],
)
def test_unusable_answers_are_refused(tmp_path, family, options, message):
    right = json.loads((golden.GOLDEN / "linux-glibc-x86_64" / "answers.json").read_text())
    lacking = {key: answer for key, answer in right.items() if key != "libreplace_sys_setresuid"}
    contents_of = {
        "list": [],
        "other": {"name": "x"},
        "missing_answer": lacking,  # the decision would take it for a no, and change the whole process
        "wrong_answer": {**right, "libreplace_sys_setresuid": "117"},
        "wrong_size": {**right, "libreplace_sizeof_uid_t": None},
        "wrong_option": {**right, "option:credentials": "raw"},
        "later": {**lacking, "project:version": "9.9"},
    }
    (tmp_path / "broken.json").write_text("{")
    for name, answers in contents_of.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(answers))
    out = command(family.format(tmp_path), tmp_path / "new", *options)
    assert (out.returncode, out.stdout) == (1, "")
    assert message.format(tmp_path) in out.stderr
    assert out.stderr.startswith("amalgamate.py: ")
    assert out.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "libreplace").mkdir()
    (tmp_path / "mine.c").write_text("mine")
    (tmp_path / "libreplace" / "mine.h").write_text("mine")
    (tmp_path / "libreplace.c").symlink_to("mine.c")  # the link is replaced, not the file
    assert command("nothing", tmp_path).returncode == 0
    found = contents(tmp_path)
    assert sorted(found) == sorted([*WRITTEN, "mine.c", "libreplace/mine.h"])
    assert found["mine.c"] == found["libreplace/mine.h"] == b"mine"


def test_written_files_have_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        assert command("nothing", tmp_path).returncode == 0
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in WRITTEN} == {0o640}


def test_file_that_cannot_be_replaced_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "libreplace.c" / "folder").mkdir(parents=True)
    out = command("nothing", tmp_path)
    assert out.returncode == 1
    assert f"'{tmp_path}/libreplace.c'" in out.stderr
    assert list(contents(tmp_path)) == WRITTEN[1:]
