# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Compare the generated module of every platform family with its reviewed copy."""

import json
import re

import generate
import golden
import pytest
from known_answers import KNOWN
from support.builds import run, tool
from support.odd_machine import name_of
from verdict import decide


@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_golden_files_are_up_to_date(platform):
    for name, text in golden.generated(platform).items():
        assert (platform / name).read_text() == text, f"{platform.name}/{name}: run tests/programs/golden.py update"


def test_known_answers_are_those_of_the_golden_files():
    assert golden.KNOWN_FILE.read_text() == golden.known_answers(), "run tests/programs/golden.py update"
    for platform in golden.platforms():
        answers = json.loads((platform / "answers.json").read_text())
        verdict = decide(answers)
        known = KNOWN.get(f"{verdict.system} {verdict.libc}", "").split()
        assert all(answers["libreplace_" + name] == "yes" for name in known), platform.name
        assert ("have_setuid" in known) == (platform.name != "nothing")


@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_golden_answers_every_question(platform):
    answers = json.loads((platform / "answers.json").read_text())
    assert golden.complete(answers) == answers, "run tests/programs/golden.py update"


def test_every_platform_family_has_golden_files():
    wanted = {
        "linux-glibc-x86_64",
        "linux-glibc-i386",
        "linux-musl-x86_64",
        "macos-aarch64",
        "freebsd-x86_64",
        "netbsd-x86_64",
        "openbsd-x86_64",
        "nothing",
    }
    assert wanted <= {p.name for p in golden.platforms()}


@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_generated_c_has_at_most_one_preprocessor_condition(platform):
    text = (platform / "replace_calls.c").read_text()
    assert len(re.findall(r"^#if", text, re.M)) <= 1


#: The family whose raw calls have the names of the headers here.
RAW = "linux-glibc-x86_64" if name_of("setresuid") == "setresuid" else "linux-glibc-i386"


@pytest.mark.parametrize("name", [RAW, "linux-musl-x86_64", "nothing"])
def test_golden_c_compiles_without_warnings(name, tmp_path):
    platform = golden.GOLDEN / name
    golden.write_headers(platform, tmp_path)
    strict = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{tmp_path}"]
    for source in sorted(platform.glob("*.c")):
        out = run(tool("gcc", "C compiler"), *strict, "-c", source, "-o", tmp_path / "out.o")
        assert out.returncode == 0, out.stderr


@pytest.mark.parametrize(
    ("version", "number"), [("0.1.0", 100), ("1.2.3", 10203), ("12.0.34rc1", 120034), ("1.2rc3", 10200), ("2", 20000)]
)
def test_version_header_has_the_version_as_text_and_number(version, number):
    text = generate.version_h({"project:version": version})
    assert re.findall(r"^#define (LIBREPLACE_VERSION) (.*)$", text, re.M) == [("LIBREPLACE_VERSION", f'"{version}"')]
    (expression,) = re.findall(r"^#define LIBREPLACE_VERSION_NUMBER (\(.*\))$", text, re.M)
    assert eval(expression) == number


@pytest.mark.parametrize("version", ["1.100.0", "0.0.100rc1"])
def test_version_whose_number_is_that_of_another_one_is_refused(version):
    with pytest.raises(ValueError, match=f"version {version}: .* less than 100"):
        generate.version_h({"project:version": version})


def test_headers_are_the_same_bytes_on_32_and_64_bits():
    """Packages of two architectures can then be installed side by side (Debian's Multi-Arch, Fedora's multilib)."""
    one, other = (golden.GOLDEN / name for name in ("linux-glibc-x86_64", "linux-glibc-i386"))
    for credentials in ("auto", "libc", "syscall"):
        for name in [name for name in golden.LIBRARY if name.endswith(".h")]:
            texts = {golden.generated(p, {"option:credentials": credentials})[name] for p in (one, other)}
            assert len(texts) == 1, (credentials, name)


def test_lines_are_short_and_end_with_whole_words():
    for platform in golden.platforms():
        for name, text in golden.generated(platform).items():
            for line in text.expandtabs(8).splitlines():
                assert len(line) <= 100, (platform.name, name, line)
                assert not re.search(r"\w-$", line), (platform.name, name, line)


def test_macros_of_the_public_header_have_the_prefix():
    for platform in golden.platforms():
        for macro in re.findall(r"#define (\w+)", (platform / "calls.h").read_text()):
            assert macro.startswith("LIBREPLACE_"), macro
