# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Wheels for another machine, from a read-only source, and beside another distribution (docs/packaging.md)."""

import json
import os
import re
import shlex
import shutil
import struct
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, run, tool, version
from support.configure import MACHINE
from support.schema import valid
from test_build import PIP, ask, install, meson

PAGE = (ROOT / "docs" / "packaging.md").read_text()
PIP_ENVIRONMENT = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0 turns isolation off
AARCH64 = 183  # EM_AARCH64 of <elf.h>


def block(first_line):
    """Return the block of the page that begins with this line."""
    (text,) = re.findall(rf"^```sh\n{re.escape(first_line)}\n(.*?)^```", PAGE, re.M | re.S)
    return text


def refused_by_pip(*words, env=None):
    """Return what pip says when it cannot build a wheel."""
    out = run(*PIP, "wheel", "--no-deps", *words, env={**PIP_ENVIRONMENT, **(env or {})})
    assert out.returncode != 0, out.stdout
    return out.stdout + out.stderr


def sysconfigdata(folder, platform_name, triplet, version="311"):
    """Describe a target with this Python's own variables, but its suffix. Return the variables of the environment."""
    known = {name: value for name, value in sysconfig.get_config_vars().items() if isinstance(value, (str, int))}
    known |= {"EXT_SUFFIX": f".cpython-{version}-{triplet}.so", "SOABI": f"cpython-{version}-{triplet}"}
    (folder / f"data{version}.py").write_text(f"build_time_vars = {known!r}\n")
    variables = {"_PYTHON_HOST_PLATFORM": platform_name, "_PYTHON_SYSCONFIGDATA_NAME": f"data{version}"}
    return {**variables, "PYTHONPATH": str(folder)}


def cross_file(path, compiler, family, endian="little", more=""):
    path.write_text(
        f"[binaries]\nc = '{compiler}'\nar = 'ar'\n{more}\n[properties]\nneeds_exe_wrapper = true\n[host_machine]\n"
        f"system = 'linux'\ncpu_family = '{family}'\ncpu = '{family}'\nendian = '{endian}'\n"
    )
    return path


# ---- The way that works


@pytest.fixture(scope="session")
def built(arm64, source, tmp_path_factory):
    """The source folder with the wheel that the page's commands build, and the result of their check under qemu."""
    env, python = arm64
    tool("aarch64-linux-gnu-gcc", "a cross compiler")
    tool("qemu-aarch64", "runs programs for arm64")
    tool("git", "a clone")
    folder = tmp_path_factory.mktemp("cross") / "libreplace"
    assert run("git", "clone", "-q", source, folder).returncode == 0
    path = os.path.dirname(python) + os.pathsep + os.environ["PATH"]
    env = {**env, **PIP_ENVIRONMENT, "PATH": path, "MESON_ARGS": "-Dcredentials=libc -Dno_such_option=true"}
    for first_line in ("# aarch64 wheel", "# aarch64 wheel, under qemu"):
        words = block(first_line).replace("3.11", "{}.{}".format(*version(python)))
        out = run("sh", "-euc", words, cwd=folder, env=env)
        done = out.returncode == 0 or "0 contradicted" in out.stdout  # without root, some checks cannot run
        assert done, words + out.stdout + out.stderr
    return folder, out


def test_page_commands_build_a_wheel_for_aarch64(built):
    folder, _ = built
    (wheel,) = (folder / "dist").iterdir()
    assert re.fullmatch(r"libreplace-[\d.]+-cp3\d+-abi3-linux_aarch64\.whl", wheel.name)
    modules = list((folder / "site").rglob("*.so"))
    assert [module.name for module in modules] == ["_native.abi3.so"]
    assert struct.unpack_from("<H", modules[0].read_bytes(), 18) == (AARCH64,)
    report = valid(json.loads((folder / "site" / "replace" / "build_report.json").read_text()))
    assert report["machine"]["cpu_family"] == "aarch64"
    assert wheel.stem.split("-", 2)[2] == report["toolchain"]["tag"]


def test_wheel_for_aarch64_works_under_qemu(built):
    folder, verified = built
    assert re.search(r"^[1-9]\d* proved, 0 contradicted", verified.stdout, re.M), verified.stdout
    code = "import replace, platform; print(platform.machine(), replace.SCOPE, replace.report()['verdict']['backend'])"
    (python,) = (folder / "target" / "usr" / "bin").glob("python3.*")
    variables = ["-E", f"PYTHONHOME={folder}/target/usr", "-E", f"PYTHONPATH={folder}/site"]
    out = run("qemu-aarch64", "-L", folder / "target", *variables, python, "-S", "-c", code, cwd="/")
    assert out.stdout == "aarch64 thread syscall\n", out.stderr + "meson-python ignores MESON_ARGS"


# ---- What is refused


WRONG_NAME = "the compiler compiles for linux on aarch64 (little endian), and the wheel is named after linux-x86_64"


def test_cross_file_alone_builds_no_wheel(source, tmp_path):
    needs_package("meson-python", "pip")
    file = cross_file(tmp_path / "cross.ini", tool("aarch64-linux-gnu-gcc", "a cross compiler"), "aarch64")
    said = refused_by_pip("-w", tmp_path / "dist", source, f"-Csetup-args=--cross-file={file}")
    assert WRONG_NAME in said
    assert list(tmp_path.rglob("*.whl")) == []


def test_python_of_the_cross_file_does_not_name_the_wheel(source, tmp_path):
    """Meson uses the Python of the cross file. meson-python runs in another one."""
    needs_package("meson-python", "pip")
    in_file = sysconfigdata(tmp_path, "linux-aarch64", "aarch64-linux-gnu")
    words = [*(f"{name}={value}" for name, value in in_file.items()), sys.executable]
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec env {shlex.join(words)} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    compiler = tool("aarch64-linux-gnu-gcc", "a cross compiler")
    file = cross_file(tmp_path / "cross.ini", compiler, "aarch64", more=f"python = '{tmp_path}/python'")
    for env, why in (
        ({}, WRONG_NAME),
        (sysconfigdata(tmp_path, "linux-aarch64", "aarch64-linux-gnu", "311d"), "and they differ"),
    ):
        assert why in refused_by_pip("-w", tmp_path, source, f"-Csetup-args=--cross-file={file}", env=env)


def test_headers_of_another_version_are_refused(source, tmp_path):
    """The machine is right, so the module would be imported, with structs of another version."""
    if MACHINE != "x86_64":
        pytest.skip("needs x86_64: the cross file is for it")
    for name in ("pyconfig.h", "patchlevel.h"):
        text = (Path(sysconfig.get_path("include")) / name).read_text()
        (tmp_path / name).write_text(re.sub(r"(#define PY_MINOR_VERSION\s+)\d+", r"\g<1>99", text))
    file = cross_file(tmp_path / "cross.ini", f"cc', '-I{tmp_path}", "x86_64")
    file.write_text(re.sub(r"^(c = )(.*)$", r"\1[\2]", file.read_text(), flags=re.M))
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", "--cross-file", file)
    assert out.returncode != 0
    assert "<pyconfig.h> is missing, or not the one of the target and of Python 3." in out.stdout, out.stdout


def test_headers_of_another_machine_are_refused(source, tmp_path):
    """The variables describe a big-endian target, and <pyconfig.h> is this machine's."""
    file = cross_file(tmp_path / "cross.ini", tool("s390x-linux-gnu-gcc", "a cross compiler"), "s390x", "big")
    env = sysconfigdata(tmp_path, "linux-s390x", "s390x-linux-gnu")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", "--cross-file", file, env=env)
    assert out.returncode != 0
    assert "<pyconfig.h> is missing, or not the one of the target" in out.stdout, out.stdout


def test_wrong_cpu_family_is_refused(source, tmp_path):
    """Then the compiler alone knows the machine."""
    file = cross_file(tmp_path / "cross.ini", tool("aarch64-linux-gnu-gcc", "a cross compiler"), "x86_64")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", "--cross-file", file)
    assert out.returncode != 0
    assert "the compiler does not compile for x86_64: it does not define __x86_64__" in out.stdout, out.stdout


def test_32_bit_compiler_beside_a_64_bit_python_is_refused(source, tmp_path):
    flags = "-m32 -idirafter /usr/include/x86_64-linux-gnu"
    (tmp_path / "p.c").write_text("#include <stdio.h>\nint main(void) { return 0; }\n")
    if run("cc", *flags.split(), tmp_path / "p.c", "-o", tmp_path / "p").returncode != 0:
        pytest.skip("needs a compiler for 32-bit programs (Debian: gcc-12-multilib)")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", env={"CFLAGS": flags})
    assert out.returncode != 0
    assert "the compiler's pointers have 4 bytes, and Python's have 8" in out.stdout, out.stdout


@pytest.mark.parametrize("given", ["macosx-11.0-arm64", "macosx-10.9-x86_64", "linux-armv7l", "freebsd-14.1-amd64"])
def test_platform_is_read_as_meson_python_reads_it(given):
    needs_package("meson-python")
    code = "import mesonpy._tags, toolchain; print(mesonpy._tags.get_platform_tag(), toolchain.wheel_platform())"
    env = {"_PYTHON_HOST_PLATFORM": given, "PYTHONPATH": str(ROOT / "detect"), "MACOSX_DEPLOYMENT_TARGET": "10.9"}
    named, ours = run(sys.executable, "-c", code, env=env).stdout.split()
    # meson-python also chooses the version of macOS, which is no part of the machine.
    assert re.sub(r"_\d+", "", named) == re.sub(r"_\d+", "", re.sub(r"[-.]", "_", ours))


# ---- pip's options, and the name of the package


def test_buildtype_has_one_form_with_pip(source, tmp_path):
    needs_package("meson-python", "pip")
    said = refused_by_pip("-w", tmp_path, source, "-Csetup-args=--buildtype=debug")
    assert "Got argument buildtype as both -Dbuildtype and --buildtype" in said


@pytest.fixture(scope="session")
def unrelated(tmp_path_factory):
    """The wheel of a distribution `replace` with an import package of this name."""
    path = tmp_path_factory.mktemp("unrelated") / "replace-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("replace/__init__.py", "unrelated = True\n")
        archive.writestr("replace-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: replace\nVersion: 1.0\n")
        archive.writestr("replace-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        names = ["replace/__init__.py", *(f"replace-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD"))]
        archive.writestr("replace-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return path


@pytest.fixture
def environment(tmp_path):
    """pip(words) runs pip for a new, empty environment; python(code) runs code there."""
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env").returncode == 0
    python = tmp_path / "env" / "bin" / "python"

    def pip(*words):
        out = run(*PIP, "--python", python, *words, env={"PIP_NO_INDEX": "1"})
        return out.stdout + out.stderr

    return pip, lambda code: run(python, "-c", code, cwd="/").stdout.strip()


WHO = "import replace; print(getattr(replace, 'unrelated', False), hasattr(replace, 'SCOPE'))"


def test_last_of_two_distributions_is_imported(environment, unrelated, development):
    pip, python = environment
    (ours,) = development.parent.glob("libreplace-*.whl")
    for wheel, imported in ((unrelated, "True False"), (ours, "False True"), (unrelated, "True False")):
        said = pip("install", "--no-deps", "--force-reinstall", wheel)  # the third one also removes and installs
        assert "Successfully installed" in said
        assert not re.search("warn|conflict|already exists|overwrit", said, re.I), said
        assert python(WHO) == imported
    assert " replace " not in pip("check"), "only cffi is missing"
    pip("uninstall", "-y", "replace")
    assert python(WHO) == "False False", "replace/__init__.py is gone"


def test_target_folder_keeps_the_first_of_two_distributions(unrelated, development, tmp_path):
    (ours,) = development.parent.glob("libreplace-*.whl")
    install(unrelated, tmp_path)
    out = run(*PIP, "install", "--no-deps", "--no-index", "--target", tmp_path, ours)
    assert "replace already exists" in out.stderr
    assert ask(tmp_path, "replace.unrelated") == "True"


def test_package_of_another_name_from_a_read_only_source(source, environment, unrelated, tmp_path):
    """Root can write to read-only files, so the test uses a read-only mount. meson-python does not run patchelf."""
    needs_package("meson-python", "pip")
    commands = r"^(sed -i .*)\n(python -m pip wheel .*-Dpackage=host_vendor\.replace .*) \.$"
    ((change, line),) = re.findall(commands, PAGE, re.M)
    source = shutil.copytree(source, tmp_path / "source", symlinks=True)
    assert run("sh", "-ec", change, cwd=source).returncode == 0
    command = [sys.executable, *shlex.split(line)[1:], "-Csetup-args=-Doptimization=0", "-w", tmp_path, source]
    (tmp_path / "patchelf").write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
    (tmp_path / "patchelf").chmod(0o755)
    env = PIP_ENVIRONMENT | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    mount = f'mount --bind {source} {source} && mount -o remount,bind,ro {source} && exec "$@"'
    unshare = [tool("unshare", "a mount namespace"), "-rm" if os.geteuid() else "-m", "sh", "-c", mount, "sh"]
    out = run(*unshare, *command, "-Cbuild-dir=build", env=env)
    assert "Read-only file system: " in out.stdout + out.stderr, "a relative path starts in the source"
    out = run(*unshare, *command, f"-Cbuild-dir={tmp_path}/build", env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    assert not (tmp_path / "ran").exists()
    (ours,) = tmp_path.glob("libreplace-*.whl")
    pip, python = environment
    pip("install", "--no-deps", ours, unrelated)
    both = "import replace, host_vendor.replace; print(replace.unrelated, host_vendor.replace.SCOPE)"
    assert python(both) in ("True thread", "True process")
    folder = run(tmp_path / "env/bin/libreplace", "config", "--pkgconfigdir", cwd="/").stdout.strip()
    named = "from importlib.metadata import entry_points as e; print(*(p.value for p in e(group='pkg_config')))"
    assert folder.endswith(f"/{python(named).replace('.', '/')}")
