# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Each way to build and install a fresh copy (Meson, pip, editable, wheel, sdist, C only), and the build's errors."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, report_of, run, tool
from support.projects import PUBLIC_HEADERS
from support.schema import valid

import replace

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OTHER_BACK_END = "libc" if replace.report()["verdict"]["backend"] == "syscall" else "syscall"


def meson(*arguments, env=None):
    words = [sys.executable, "-m", "mesonbuild.mesonmain", *arguments]
    return run(*words, env={"PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"], **(env or {})})


def wheel(source, target, *arguments, env=None):
    needs_package("pip", "meson-python")
    # The build requirements are installed with the tests, so isolation would only download them again.
    out = run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", target, source, *arguments, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    return next(target.glob("*.whl"))


def install(path, target):
    out = run(*PIP, "install", "--no-deps", "--no-index", "--target", target, path)
    assert out.returncode == 0, out.stdout + out.stderr


def ask(target, expression, module="replace"):
    code = f"import {module} as replace; print({expression})"
    out = run(sys.executable, "-c", code, env={"PYTHONPATH": str(target)}, cwd="/")
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


@pytest.fixture(scope="session")
def other_back_end(source, tmp_path_factory):
    """The package built with the other back end, in a separate folder."""
    folder = tmp_path_factory.mktemp("other")
    install(wheel(source, folder, f"-Csetup-args=-Dcredentials={OTHER_BACK_END}"), folder / "site")
    return folder / "site"


@pytest.mark.timeout(600)
def test_fast_tests_pass_on_the_other_back_end(other_back_end):
    """Run the fast tests on a build with the other back end, except for the tests that switch no ids."""
    excluded = {"compare", "docs", "golden", "kernels", "packaging_page", "pages", "public_api", "snippets", "verdict"}
    excluded |= {"cross_answers", "help", "output", "questions", "report", "table", "verify_table", "hostile_files"}
    excluded |= {"start", "environments"}  # test_environments.py: uid_wrapper does not fake libc's initgroups()
    excluded |= {"wheel_machine"}  # it tests the build
    excluded |= {"explorer"}  # it needs only the C library, and always builds it with system calls
    suites = [path for path in (ROOT / "tests").glob("test_*.py") if path.stem.removeprefix("test_") not in excluded]
    suites.append(ROOT / "tests" / "system" / "test_interrupts.py")
    out = run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *suites,
        "--rootdir",
        ROOT,
        "-c",
        ROOT / "pyproject.toml",
        env={"PYTHONPATH": str(other_back_end), "LIBREPLACE_PYTHONS": sys.executable},
        cwd="/",
        timeout=590,
    )
    assert out.returncode == 0, out.stdout[-4000:]
    assert ask(other_back_end, "replace.report()['verdict']['backend']") == OTHER_BACK_END


def test_meson_setup_prints_every_call_and_meson_test_passes(source, tmp_path):
    out = meson("setup", tmp_path / "b", source, "--werror")
    assert out.returncode == 0, out.stdout + out.stderr
    credentials = out.stdout.split("Credentials\n")[-1]
    lines = [line.split(":")[0].strip() for line in credentials.splitlines() if ":" in line]
    assert lines[:17] == [c["name"] for c in replace.report()["verdict"]["calls"]]
    assert lines[17] == "rule"
    out = meson("test", "-C", tmp_path / "b")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "Fail:              0" in out.stdout or "Fail: 0" in " ".join(out.stdout.split()), out.stdout


def test_c_library_builds_without_cffi(source, tmp_path):
    """Build with -Dpython=false and a Python without cffi. Then build a C program with pkg-config."""
    blocker = tmp_path / "block"
    blocker.mkdir()
    (blocker / "cffi.py").write_text("raise ImportError('no cffi here')\n")
    env = {"PYTHONPATH": str(blocker), "DESTDIR": str(tmp_path / "d")}
    out = meson(
        "setup",
        tmp_path / "b",
        source,
        "-Dtests=false",
        "-Dpython=false",
        "--prefix=/usr",
        "--libdir=lib",
        "--werror",
        env=env,
    )
    assert out.returncode == 0, out.stdout + out.stderr
    out = meson("install", "-C", tmp_path / "b", env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    assert not (tmp_path / "b" / "tests").exists(), "-Dtests=false"
    root = tmp_path / "d" / "usr"
    files = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
    assert files == [
        *(f"include/libreplace/{name}" for name in PUBLIC_HEADERS),
        "lib/cmake/libreplace/libreplaceConfig.cmake",
        "lib/cmake/libreplace/libreplaceConfigVersion.cmake",
        "lib/libreplace.a",
        "lib/pkgconfig/libreplace.pc",
        "share/libreplace/build_report.json",
    ]
    program = tmp_path / "program.c"
    program.write_text(
        "#include <libreplace/replace.h>\n#include <stdio.h>\n"
        "int main(void) { puts(LIBREPLACE_BACKEND); return libreplace_setresuid(-1, -1, -1); }\n"
    )
    flags = subprocess.check_output(
        [tool("pkg-config", "finds libraries"), "--cflags", "--libs", "libreplace"],
        text=True,
        env={
            **os.environ,
            "PKG_CONFIG_PATH": str(root / "lib/pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": str(tmp_path / "d"),
        },
    ).split()
    subprocess.run(["cc", "-o", tmp_path / "program", program, *flags], check=True)
    assert subprocess.check_output([tmp_path / "program"], text=True).strip() in ("syscall", "libc")


def test_c_only_install_has_the_report_of_a_python_build(source, tmp_path):
    """A target may have no Python, so the C library brings its report, and the .pc file says where it is."""
    for name, python in (("c", "false"), ("p", "true")):
        out = meson(
            "setup", tmp_path / name, source, "-Dtests=false", f"-Dpython={python}", "--prefix=/usr", "--libdir=lib"
        )
        assert out.returncode == 0, out.stdout + out.stderr
    out = meson("install", "-C", tmp_path / "c", env={"DESTDIR": str(tmp_path / "d")})
    assert out.returncode == 0, out.stdout + out.stderr
    env = {"PKG_CONFIG_PATH": str(tmp_path / "d/usr/lib/pkgconfig")}
    place = run(tool("pkg-config", "finds libraries"), "--variable=build_report", "libreplace", env=env).stdout.strip()
    assert place == "/usr/share/libreplace/build_report.json"
    installed = Path(f"{tmp_path}/d{place}")
    assert str(source) not in installed.read_text()
    assert str(tmp_path) not in installed.read_text()
    report = valid(json.loads(installed.read_text()))
    other = json.loads((tmp_path / "p" / "replace" / "installed_report.json").read_text())
    assert report["verdict"] == other["verdict"]
    for document in (report, other):
        del document["options"]  # and the tools that only the Python package needs
        document["toolchain"] = {name: document["toolchain"].get(name) for name in ("compiler", "meson")}
    assert report == other
    out = run(sys.executable, "-m", "replace", "report", installed, cwd="/")
    assert out.returncode == 0, out.stderr
    assert report["verdict"]["rule"] in " ".join(out.stdout.split())


def test_open_beneath_and_ring_are_enosys_if_headers_lack_openat2(source, tmp_path):
    """System call numbers come only from the headers, so the kernel's own support does not matter."""
    (tmp_path / "older.h").write_text("#include <sys/syscall.h>\n#undef SYS_openat2\n")
    build = tmp_path / "b"
    env = {"CFLAGS": f"-include {tmp_path}/older.h"}
    out = meson("setup", build, source, "-Dpython=false", "--werror", env=env)
    assert re.search(r"open_beneath *: ENOSYS", out.stdout), out.stdout + out.stderr
    assert re.search(r"ring *: ENOSYS: the headers have no SYS_openat2\n", out.stdout)
    out = meson("test", "-C", build)
    assert out.returncode == 0, out.stdout + out.stderr
    question = {q["id"]: q["answer"] for q in report_of(build)["questions"]}["libreplace_sys_openat2"]
    assert question == "no"
    assert list(build.rglob("*open_beneath_none.c.o"))
    assert list(build.rglob("*ring_none.c.o"))
    assert not [*build.rglob("*open_beneath_linux.c.o"), *build.rglob("*ring*_linux.c.o")]


def test_missing_cffi_error_says_how_to_continue(source, tmp_path):
    (tmp_path / "cffi.py").write_text("raise ImportError('no cffi here')\n")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", env={"PYTHONPATH": str(tmp_path)})
    assert out.returncode != 0
    assert "pip install cffi" in out.stdout
    assert "-Dpython=false" in out.stdout


def test_editable_install_works_and_serves_the_c_library(source, tmp_path):
    """pip install -e . --no-build-isolation, in a new environment."""
    needs_package("pip", "meson-python")
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv").returncode == 0
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "build-requirements.pth").write_text(ours + "\n")
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    options = ["--no-deps", "--no-build-isolation", "--ignore-installed", f"-Cbuild-dir={tmp_path / 'build'}"]
    out = run(*PIP, "--python", python, "install", *options, "-e", source, env={"PATH": path})
    assert out.returncode == 0, out.stdout + out.stderr
    code = "import replace; print(replace.__file__, replace.SCOPE, len(replace.report()['questions']))"
    out = run(python, "-c", code, env={"PATH": path}, cwd="/")
    assert out.returncode == 0, out.stderr
    assert str(source) in out.stdout

    # A C program can use the library in the build folder. The flags come from the command, or from its .pc file.
    (tmp_path / "program.c").write_text(
        "#include <libreplace/replace.h>\nint main(void) { return libreplace_setegid(-1) + 1; }\n"
    )

    def config(*options):
        out = run(python, "-m", "replace", "config", *options, env={"PATH": path}, cwd="/")
        assert out.returncode == 0, out.stderr
        return out.stdout.strip()

    env = {"PKG_CONFIG_PATH": config("--pkgconfigdir")}
    ask = [tool("pkg-config", "finds libraries"), "libreplace"]
    for flags in (config("--cflags", "--libs"), run(*ask, "--cflags", "--libs", env=env).stdout):
        (tmp_path / "program").unlink(missing_ok=True)
        out = run(tool("cc", "C compiler"), "-o", tmp_path / "program", tmp_path / "program.c", *flags.split())
        assert out.returncode == 0, out.stderr
        assert run(tmp_path / "program").returncode == 0
    assert run(*ask, "--modversion", env=env).stdout.strip() == config("--version") == replace.__version__
    assert os.path.isfile(run(*ask, "--variable=build_report", env=env).stdout.strip())

    # Cython finds the declarations.
    needs_package("cython")
    (tmp_path / "module.pyx").write_text("from replace.libreplace cimport libreplace_setegid\nlibreplace_setegid(0)\n")
    compiler = [python, "-m", "cython", "-3", "-o", tmp_path / "module.c", tmp_path / "module.pyx"]
    out = run(*compiler, "-I", config("--cythondir"), env={"PATH": path}, cwd="/")
    assert out.returncode == 0, out.stderr


def test_wheel_builds_from_the_sdist(source, tmp_path):
    needs_package("build", "meson-python")
    tool("git", "makes the sdist from a commit")
    out = run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", tmp_path, source)
    assert out.returncode == 0, out.stdout + out.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has no `filter=`
        archive.extractall(tmp_path / "unpacked")
    install(wheel(next((tmp_path / "unpacked").iterdir()), tmp_path), tmp_path / "site")
    assert ask(tmp_path / "site", "replace.__file__").startswith(str(tmp_path))


def test_wheel_contains_only_the_package_and_no_local_paths(source, tmp_path):
    path = wheel(source, tmp_path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert {n.split("/")[0] for n in names if ".dist-info" not in n} == {"replace"}
        assert "replace/build_report.json" in names
        report = archive.read("replace/build_report.json").decode()
    assert str(tmp_path) not in report
    assert str(source) not in report
    assert "abi3" not in path.name


def test_stable_abi_wheel_is_built_on_request(source, tmp_path):
    path = wheel(source, tmp_path, "-Csetup-args=-Dpython.allow_limited_api=true")
    assert f"-cp3{sys.version_info.minor}-abi3-" in path.name  # a wheel for this Python version and later
    install(path, tmp_path / "site")
    assert ask(tmp_path / "site", "replace.getresuid()") == str(replace.getresuid())


def test_vendored_package_is_independent_of_the_installed_one(source, tmp_path):
    path = wheel(
        source, tmp_path, "-Csetup-args=-Dpackage=host._vendor.replace", f"-Csetup-args=-Dcredentials={OTHER_BACK_END}"
    )
    install(path, tmp_path / "site")
    (tmp_path / "site" / "host" / "__init__.py").touch()
    (tmp_path / "site" / "host" / "_vendor" / "__init__.py").touch()
    both = "(replace.SCOPE, __import__('replace').SCOPE, __import__('replace').lib is not replace.lib)"
    scopes = ("thread", "process") if OTHER_BACK_END == "syscall" else ("process", "thread")
    assert ask(tmp_path / "site", both, "host._vendor.replace") == str((*scopes, True))


@pytest.mark.parametrize(
    ("arguments", "env", "text"),
    [
        (["-Dcredentials=perhaps"], {}, "perhaps"),
        (["-Dcredential=libc"], {}, "known option"),
        (["-Dcross_answers=/no/such/file"], {}, "cannot read /no/such/file: No such file or directory"),
        (["-Dcross_answers=."], {}, "cannot read"),
        ([], {"CFLAGS": "-nostdinc"}, "cannot compile programs"),
    ],
    ids=["bad value", "unknown option", "no answers file", "a directory", "no headers at all"],
)
def test_bad_setup_input_is_named_in_the_error(source, tmp_path, arguments, env, text):
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", *arguments, env=env)
    assert out.returncode != 0
    assert text in out.stdout + out.stderr


def test_missing_system_headers_are_named_in_the_error(source, tmp_path):
    broken = tmp_path / "include" / "sys"
    broken.mkdir(parents=True)
    (broken / "types.h").write_text("#error no such header\n")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", env={"CFLAGS": f"-I{broken.parent}"})
    assert out.returncode != 0
    assert "Checking that a program can call setuid: this fails" in out.stdout
    assert "no such header" in out.stdout


def test_syscall_back_end_without_call_numbers_is_refused(source, tmp_path):
    broken = tmp_path / "include" / "sys"
    broken.mkdir(parents=True)
    (broken / "syscall.h").write_text("")
    env = {"CFLAGS": f"-I{broken.parent}"}
    out = meson("setup", tmp_path / "b1", source, "-Dtests=false", "-Dpython=false", "-Dcredentials=syscall", env=env)
    assert out.returncode != 0
    assert "-Dcredentials=syscall is not possible: the headers have no SYS_setuid" in out.stdout
    out = meson("setup", tmp_path / "b2", source, "-Dtests=false", "-Dpython=false", env=env)
    assert out.returncode == 0, out.stdout
    assert "The headers have no SYS_setuid" in out.stdout.replace("\n", " ")


def test_cross_build_uses_optional_answers_from_the_machine_file(source, tmp_path):
    cross = tmp_path / "cross.ini"
    text = (
        "[binaries]\nc = 'cc'\nar = 'ar'\n[properties]\nneeds_exe_wrapper = true\n%s[host_machine]\n"
        "system = 'linux'\ncpu_family = 'x86_64'\ncpu = 'x86_64'\nendian = 'little'\n"
    )
    cross.write_text(text % "")
    out = meson("setup", tmp_path / "b1", source, "-Dtests=false", "-Dpython=false", "--cross-file", cross)
    assert out.returncode == 0, out.stdout
    cross.write_text(text % "libreplace_have_linux_thread_credentials = 'NO'\n")
    out = meson("setup", tmp_path / "b2", source, "-Dtests=false", "-Dpython=false", "--cross-file", cross)
    assert "The machine file says NO" in out.stdout
    cross.write_text(text % "libreplace_have_setuid = 'NO'\n")
    out = meson("setup", tmp_path / "b4", source, "-Dtests=false", "-Dpython=false", "--cross-file", cross)
    assert "answers that were not used: libreplace_have_setuid (machine file" in out.stdout
    cross.write_text(text % "libreplace_have_linux_thread_credentials = 'perhaps'\n")
    out = meson("setup", tmp_path / "b3", source, "-Dtests=false", "-Dpython=false", "--cross-file", cross)
    assert out.returncode != 0
    assert "use OK, NO, FAIL or UNKNOWN" in out.stdout
