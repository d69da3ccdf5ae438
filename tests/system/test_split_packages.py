# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A distribution installs the Python package without the C library's files, and these files elsewhere.

`libreplace config` and get_include() then ask pkg-config.
"""

import os
import shlex
import shutil
import sys

import pytest
from support.builds import needs_package, run, tool
from support.projects import environment_for, required

import replace

OPTIONS = ("--cflags", "--libs", "--includedir", "--pkgconfigdir")
VERSION = replace.__version__
BACKEND = replace.report()["verdict"]["backend"]
PC_FILE = "Name: libreplace\nDescription: another one\n"


@pytest.fixture(scope="session")
def split(development, tmp_path_factory):
    """A folder with the Python package and its metadata, without the files of the tag devel."""
    folder = tmp_path_factory.mktemp("split")
    shutil.copytree(development, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("include", "lib", "*.pc"))
    assert (folder / "replace/_c_library.py").is_file()
    return folder


def config(site, *options, env):
    return run(sys.executable, "-m", "replace", "config", *options, env={**required(site), **env}, cwd="/")


def include(site, env):
    code = "import replace; print(replace.get_include())"
    return run(sys.executable, "-c", code, env={**required(site), **env}, cwd="/")


def test_config_asks_pkg_config_for_files_outside_the_package(split, installed, tmp_path):
    prefix = installed / "static"
    env = environment_for(prefix)
    assert include(split, env).stdout.strip() == str(prefix / "include")
    out = config(split, "--includedir", "--pkgconfigdir", "--cflags", "--libs", env=env)
    folders, flags = out.stdout.splitlines()[:2], out.stdout.splitlines()[2].split()
    assert folders == [str(prefix / "include"), str(prefix / "lib/pkgconfig")]
    (tmp_path / "program.c").write_text(
        "#include <libreplace/replace.h>\nint main(void) { return libreplace_setegid(-1) + 1; }\n"
    )
    out = run(tool("cc", "C compiler"), "-o", tmp_path / "program", tmp_path / "program.c", *flags)
    assert out.returncode == 0, out.stderr
    assert run(tmp_path / "program").returncode == 0


def test_config_uses_the_program_that_pkg_config_variable_names(split, installed, tmp_path):
    """The variable may have arguments."""
    env = {**environment_for(installed / "static"), "PKG_CONFIG": f"{shutil.which('pkg-config')} --static"}
    assert "-lreplace" in config(split, "--libs", env=env).stdout


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (None, "pkg-config does not find libreplace"),
        (f"backend={BACKEND}\n{PC_FILE}Version: 0.0.1\n", f"libreplace 0.0.1 with the back end {BACKEND}, but this"),
        (f"backend=other\n{PC_FILE}Version: {VERSION}\n", f"libreplace {VERSION} with the back end other, but this"),
        (f"{PC_FILE}Version: {VERSION}\n", f"libreplace {VERSION} with the back end , but this package is {VERSION}"),
    ],
    ids=["missing", "other version", "other back end", "unknown back end"],
)
def test_missing_files_name_the_development_package(split, tmp_path, file, reason):
    tool("pkg-config", "finds libraries")
    if file:
        (tmp_path / "libreplace.pc").write_text(file)
    env = {"PKG_CONFIG_PATH": "", "PKG_CONFIG_LIBDIR": str(tmp_path)}
    for option in OPTIONS:
        out = config(split, option, env=env)
        assert (out.returncode, out.stdout) == (1, "")
        assert reason in out.stderr
        assert "libreplace-dev (Debian, Alpine) or libreplace-devel (Fedora)" in out.stderr
    assert config(split, "--version", env=env).stdout == VERSION + "\n"
    out = include(split, env)
    assert "FileNotFoundError: this package has no include/libreplace/replace.h, and" in out.stderr
    assert "libreplace-devel (Fedora)" in out.stderr


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/nonexistent/pkg-config", "/nonexistent/pkg-config cannot be run: No such file"),
        ("'pkg-config", "'pkg-config cannot be run: No such file"),
    ],
)
def test_missing_pkg_config_names_the_development_package(split, command, reason):
    out = config(split, "--libs", env={"PKG_CONFIG": command})
    assert (out.returncode, out.stdout) == (1, "")
    assert reason in out.stderr
    assert "libreplace-devel (Fedora)" in out.stderr


def test_folders_may_have_spaces(split, tmp_path):
    """Meson writes a backslash before each space."""
    tool("pkg-config", "finds libraries")
    folder = tmp_path / "two  spaces"
    folder.mkdir()
    escaped = str(folder).replace(" ", "\\ ")
    variables = f"prefix={escaped}\nincludedir=${{prefix}}/include\nbackend={BACKEND}\n"
    flags = f"Version: {VERSION}\nCflags: -I${{includedir}}\n"
    (folder / "libreplace.pc").write_text(variables + PC_FILE + flags)
    env = {"PKG_CONFIG_PATH": str(folder)}
    assert include(split, env).stdout == f"{folder}/include\n"
    out = config(split, "--includedir", "--pkgconfigdir", "--cflags", env=env)
    assert out.stdout.splitlines() == [f"{folder}/include", str(folder), shlex.quote(f"-I{folder}/include")]


def test_entry_point_does_not_dangle_without_the_files(split, installed):
    """pkgconf-pypi resolves the entry point without a warning, and finds the file of the other package."""
    needs_package("pkgconf")
    env = {**required(split), **environment_for(installed / "static")}
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    out = run("pkgconf-pypi", "--variable=pcfiledir", "libreplace", env=env, cwd="/")
    assert (out.stdout.strip(), out.stderr) == (str(installed / "static/lib/pkgconfig"), "")
