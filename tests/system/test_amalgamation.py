# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The files that detect/amalgamate.py writes compile for each platform, and pass the C tests.

tests/test_amalgamate.py looks at their texts. docs/embedding.md shows the commands of tests/projects/amalgamation.
"""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import amalgamate
import headers
import platforms
import pytest
from questions import NEWER
from support.builds import ROOT, run, tool
from support.children import needs_root
from support.configure import answers_of, configure
from support.copies import looked_up, symbols
from support.projects import PROGRAM, build, offline

C_TESTS = ROOT / "tests" / "c"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
#: Tests of tests/c/, and those for a second and a third compiler.
MANY = [
    "conformance",
    "drop_privileges",
    "edges",
    "forks",
    "guard",
    "identity",
    "open_beneath",
    "ring",
    "ring_paths",
    "thread_ends",
    "threads",
]
FEW = ["conformance", "guard", "identity", "threads"]
#: Those that pass if a call changes the whole process.
ANYWHERE = {"conformance", "identity"}


def write(folder, family, *options):
    out = run(sys.executable, ROOT / "detect" / "amalgamate.py", family, folder, *options)
    assert out.returncode == 0, out.stderr
    return folder


def compiled(*words):
    """Compile, and check that the compiler says nothing."""
    out = run(*words)
    assert (out.returncode, out.stdout + out.stderr) == (0, ""), words


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Family -> the folder with its files."""
    folder = tmp_path_factory.mktemp("written")
    return {family: write(folder / family, family) for family in amalgamate.families()}


def is_accepted(folder):
    out = run(tool("cc", "compiles the library"), "-fsyntax-only", folder / "libreplace.c")
    assert out.returncode == 0 or "this file is for " in out.stderr, out.stderr
    return out.returncode == 0


@pytest.fixture(scope="module")
def own(written):
    """The family of this machine. The compiler refuses the files of all others."""
    accepted = [family for family, folder in written.items() if is_accepted(folder)]
    assert len(accepted) <= 1, accepted
    if not accepted:
        pytest.skip("needs a machine with the answers of a family")
    return accepted[0]


def kinds_and_names(path):
    """Return all symbols of an object file, local and undefined ones included."""
    out = run(tool("nm", "lists symbols"), path)
    assert out.returncode == 0, out.stderr
    return sorted(tuple(line.split()[-2:]) for line in out.stdout.splitlines())


# ---- The C tests


def run_c_tests(folder, names, tmp_path, compiler, *options):
    """Compile the library with the options, and the tests without them; run the tests."""
    if "LIBREPLACE_THREAD_SCOPE 0\n" in (folder / "libreplace/replace.h").read_text():
        names = [name for name in names if name in ANYWHERE]
    library = tmp_path / "libreplace.o"
    compiled(*compiler, *STRICT, *options, "-c", folder / "libreplace.c", "-o", library)
    # with the macros with which the build compiles the tests
    words = [*compiler, "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-w", f"-I{folder}", "-pthread"]

    def attempt(name):
        compiled(*words, C_TESTS / f"{name}.c", library, "-o", tmp_path / name)
        return run(tmp_path / name, env={"ASAN_OPTIONS": "detect_leaks=0"}, cwd=tmp_path)

    with ThreadPoolExecutor(4) as pool:  # some of them only wait
        results = dict(zip(names, pool.map(attempt, names), strict=True))
    assert {name: out.stderr for name, out in results.items() if out.returncode} == {}


def test_c_tests_pass(written, own, tmp_path):
    """The library is compiled with the include of replace_override.h, as in a project that has it for every file."""
    needs_root()
    folder = written[own]
    override = ["-include", folder / "libreplace/replace_override.h", "-DLIBREPLACE_OVERRIDE_ALL"]
    compiler = [tool("gcc", "compiles the library"), "-std=gnu11", "-O2"]
    run_c_tests(folder, MANY, tmp_path, compiler, *override)


def test_c_tests_pass_with_clang_and_sanitizers(written, own, tmp_path):
    needs_root()
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    compiler = [tool("clang", "has the sanitizers"), "-std=c11", "-O0", "-g", *sanitizers]
    run_c_tests(written[own], FEW, tmp_path, compiler)


def test_c_tests_pass_with_musl_and_raw_calls(tmp_path):
    needs_root()
    folder = write(tmp_path / "files", "linux-musl-x86_64", "--credentials=syscall")
    run_c_tests(folder, FEW, tmp_path, [tool("musl-gcc", "another C library"), "-std=c11", "-static", "-flto", "-O1"])


def test_plugin_that_contains_the_library_is_unloaded(written, own, tmp_path):
    if own != "linux-glibc-x86_64":
        pytest.skip("needs glibc: other C libraries unload nothing")
    needs_root()
    plugin = [C_TESTS / "plugin.c", written[own] / "libreplace.c", "-o", tmp_path / "plugin.so"]
    compiled("cc", "-fPIC", "-shared", f"-I{written[own]}", *plugin, "-pthread")
    compiled("cc", C_TESTS / "unload.c", "-o", tmp_path / "unload", "-pthread", "-ldl")
    out = run(tmp_path / "unload", tmp_path / "plugin.so", "1100")
    assert out.returncode == 0, out.stderr


OTHER_COPY = """
#include <libreplace/replace.h>
int drop(struct libreplace_drop *result);
int drop(struct libreplace_drop *result)
{
	const struct libreplace_identity user = {80001, 80011, 0, NULL};
	return libreplace_drop_privileges(&user, 0, result);
}
"""
#: One thread is switched by a copy while the main thread asks the other copy for a drop.
TWO_COPIES = """
#define _GNU_SOURCE
#include <libreplace/replace.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
int drop(struct libreplace_drop *result);
static pthread_barrier_t entered, leave;
static void *act(void *unused)
{
	const struct libreplace_identity user = {80001, 80011, 0, NULL};
	LIBREPLACE_GUARD(held, 64);
	if (libreplace_guard_init(&held.guard, sizeof held) != 0 ||
		libreplace_enter(&held.guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) != 0)
		_exit(1);
	pthread_barrier_wait(&entered);
	pthread_barrier_wait(&leave);
	if (geteuid() != 80001 || libreplace_leave(&held.guard) != 0)
		_exit(2);
	return unused;
}
int main(void)
{
	struct libreplace_drop result;
	pthread_t thread;
	pthread_barrier_init(&entered, NULL, 2);
	pthread_barrier_init(&leave, NULL, 2);
	if (pthread_create(&thread, NULL, act, NULL) != 0)
		return 3;
	pthread_barrier_wait(&entered);
	if (drop(&result) == 0 || errno != EPERM || result.step != LIBREPLACE_STEP_THREADS ||
		result.state != LIBREPLACE_STATE_IDLE || geteuid() != 0)
		return 4;
	pthread_barrier_wait(&leave);
	pthread_join(thread, NULL);
	return drop(&result) == 0 && getuid() == 80001 ? 0 : 5;
}
"""


def test_drop_of_one_copy_is_refused_while_another_copy_has_switched_a_thread(written, own, tmp_path):
    needs_root()
    if own != "linux-glibc-x86_64":
        pytest.skip("needs 64-bit Linux with glibc: elsewhere a call changes the whole process")
    for name, text in {"other.c": OTHER_COPY, "main.c": TWO_COPIES}.items():
        (tmp_path / name).write_text(text)
    options = [f"-I{written[own]}", written[own] / "libreplace.c", "-pthread"]
    compiled("cc", "-fPIC", "-shared", tmp_path / "other.c", *options, "-o", tmp_path / "other.so")
    compiled("cc", tmp_path / "main.c", tmp_path / "other.so", *options, "-o", tmp_path / "main")
    assert run(tmp_path / "main").returncode == 0


# ---- Symbols


@pytest.mark.parametrize("options", [[], ["-fvisibility=hidden"]], ids=" ".join)
def test_shared_object_exports_the_functions_only_on_request(written, own, tmp_path, options):
    text = (written[own] / "libreplace/replace.h").read_text()
    public = {function.name for function in headers.parse(text, lambda name: pytest.fail(name)).functions}
    for more, exported in ([], set()), (["-DLIBREPLACE_EXPORT", "-Wl,-Bsymbolic"], public):
        library = tmp_path / "out.so"
        compiled("cc", "-fPIC", "-shared", *options, *more, written[own] / "libreplace.c", "-o", library)
        assert symbols("-D", library) == exported
        assert not looked_up(library)


def test_override_header_does_not_change_the_library(written, own, tmp_path):
    """libreplace_drop_privileges() must call libc's setresuid(), which changes every thread."""
    found = []
    for options in ([], ["-include", written[own] / "libreplace/replace_override.h", "-DLIBREPLACE_OVERRIDE_ALL"]):
        compiled("cc", *options, "-c", written[own] / "libreplace.c", "-o", tmp_path / "libreplace.o")
        found.append(kinds_and_names(tmp_path / "libreplace.o"))
    assert found[0] == found[1]
    assert ("U", "setresuid") in found[0]


@pytest.mark.parametrize(
    ("lacking", "call"),
    [
        ("openat2", 'libreplace_open_beneath(-100, ".", 0, 0, 0, 0)'),
        *((name, "libreplace_ring_open(&(struct libreplace_ring *){0}, 0)") for name in NEWER["ring"]),
    ],
)
def test_headers_without_a_system_call_give_enosys(written, own, tmp_path, lacking, call):
    """A family's headers are new enough for openat2(2) and io_uring(7), but those of the user may be older."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/syscall.h").write_text(f"#include_next <sys/syscall.h>\n#undef SYS_{lacking}\n")
    (tmp_path / "main.c").write_text(
        "#include <errno.h>\n#include <libreplace/replace.h>\n"
        f"int main(void) {{ return {call} != -1 || errno != ENOSYS; }}\n"
    )
    source = [tmp_path / "main.c", written[own] / "libreplace.c", "-o", tmp_path / "main", "-pthread"]
    compiled("cc", "-w", f"-I{written[own]}", "-I", tmp_path, *source)
    assert run(tmp_path / "main").returncode == 0


# ---- Platforms


def compiler_for(platform):
    words = platform.compiler.split() or platforms.binary(platform, "c")
    return [sys.executable if word == "python3" else word for word in words]


@pytest.mark.parametrize(
    "platform",
    [platform for platform in platforms.PLATFORMS if platform.golden and not platform.by_hand],
    ids=lambda platform: platform.name,
)
def test_family_compiles_for_its_platforms(written, tmp_path, platform):
    missing = platforms.missing(platform)
    if missing:
        pytest.skip(f"needs {missing}")
    compiler = compiler_for(platform)
    # getgrouplist() of macOS takes the ids as int
    options = ["-Wno-sign-conversion"] if "macos" in platform.name else []
    words = [*compiler, "-std=c11", *STRICT, *options]
    compiled(*words, "-c", written[platform.golden] / "libreplace.c", "-o", tmp_path / "out.o")
    if platform.name == "linux-glibc-i386":
        names = {name for _, name in kinds_and_names(tmp_path / "out.o")}
        assert "fstat64" in names
        assert "fstat" not in names, "fstat() fails for files of more than 2 GiB"


def test_family_for_an_unknown_system_compiles(written, tmp_path):
    words = [tool("musl-gcc", "a C library without macros of its own"), "-U__linux__", "-std=c11", *STRICT]
    compiled(*words, "-c", written["nothing"] / "libreplace.c", "-o", tmp_path / "out.o")


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("linux-glibc-i386", [], "linux with glibc and SYS_setresuid32"),
        ("linux-musl-x86_64", [], "linux with musl"),
        ("netbsd-x86_64", [], "netbsd"),
        ("nothing", [], "a system that libreplace does not know"),
        ("linux-glibc-x86_64", ["-D__BIONIC__"], "linux with glibc"),
        ("linux-glibc-x86_64", ["-DSYS_setresuid32=1"], "linux with glibc without SYS_setresuid32"),
    ],
)
def test_wrong_family_is_an_error(written, own, family, options, message):
    if own != "linux-glibc-x86_64":
        pytest.skip("needs 64-bit Linux with glibc: the families above are wrong ones for it")
    out = run("cc", "-fsyntax-only", *options, written[family] / "libreplace.c")
    assert out.returncode == 1
    assert f'#error "this file is for {message}; see detect/amalgamate.py --help"' in out.stderr


@pytest.fixture
def refused(tmp_path):
    """A function that compiles a file without any option about warnings, and returns the errors."""

    def compile_file(file, *options, compiler="cc"):
        out = run(compiler, *options, "-c", file, "-o", tmp_path / "out.o")
        assert out.returncode == 1, out.stderr
        return out.stderr

    return compile_file


def test_header_of_the_library_in_front_is_an_error(written, own, refused):
    """Its declarations would have default visibility, or could be those of another copy."""
    message = refused(written[own] / "libreplace.c", "-include", written[own] / "libreplace/replace.h")
    assert '#error "before this file, include no header of libreplace but replace_override.h"' in message


def test_header_of_another_run_is_an_error(written, own, refused, tmp_path):
    scope = re.findall(r"LIBREPLACE_THREAD_SCOPE (\d)\n", (written[own] / "libreplace/replace.h").read_text())
    other = "libc" if scope == ["1"] else "syscall"
    write(tmp_path / "files", own, f"--credentials={other}")
    (tmp_path / "files/libreplace.c").write_text((written[own] / "libreplace.c").read_text())
    message = '#error "libreplace/replace.h was not written together with this file"'
    assert message in refused(tmp_path / "files/libreplace.c")
    write(tmp_path / "files", own)
    header = tmp_path / "files/libreplace/replace.h"
    later = re.sub(r"(?m)^(#define LIBREPLACE_VERSION_NUMBER) .*", r"\1 (9 * 10000)", header.read_text())
    header.write_text(later)
    assert message in refused(tmp_path / "files/libreplace.c")


@pytest.mark.parametrize("standard", ["c11", "gnu11"])
def test_system_header_in_front_is_an_error_if_it_lacks_a_declaration(written, own, refused, standard):
    message = refused(written[own] / "libreplace.c", f"-std={standard}", "-include", "unistd.h")
    assert "error: implicit declaration of function" in message


def test_system_header_in_front_is_an_error_if_files_would_have_32_bit_sizes(written, refused):
    compiler = tool("arm-linux-gnueabihf-gcc", "32-bit compiler")
    options = ["-D_GNU_SOURCE", "-include", "stdio.h"]
    message = refused(written["linux-glibc-i386"] / "libreplace.c", *options, compiler=compiler)
    assert "include no system header before this file" in message
    options += ["-D_FILE_OFFSET_BITS=64"]
    compiled(compiler, *options, "-c", written["linux-glibc-i386"] / "libreplace.c", "-o", "/dev/null")


@pytest.mark.parametrize("option", ["-std=c99", "-xc++"])
def test_older_c_and_cxx_are_errors(written, own, refused, option):
    first = refused(written[own] / "libreplace.c", option).splitlines()[0]
    assert first.endswith('#error "compile this file as C11 or later"')


# ---- The way


def test_answers_of_a_build_give_the_files_that_it_compiles(source, written, own, tmp_path):
    assert configure(source, tmp_path / "b").returncode == 0
    commands = json.loads((tmp_path / "b" / "compile_commands.json").read_text())
    sources = {Path(command["file"]).name for command in commands if "/core/" in command["file"]}
    used = amalgamate.core_files(answers_of(tmp_path / "b"))
    assert sources - {"replace_calls.c", "build_info.c"} == set(used)
    write(tmp_path / "files", str(tmp_path / "b" / "detect" / "answers.json"))
    if own == "linux-glibc-x86_64":
        for path in (tmp_path / "files").rglob("*.[ch]"):
            assert path.read_text() == (written[own] / path.relative_to(tmp_path / "files")).read_text()


def test_project_with_the_written_files_switches_one_thread(source, own, tmp_path):
    needs_root()
    if own != "linux-glibc-x86_64":
        pytest.skip("needs 64-bit Linux with glibc: the page's commands are for it")
    assert build("amalgamation", tmp_path / "p", env=offline(source)).strip() == PROGRAM
