# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report of a build has the arguments, options and versions that the build really used."""

import json
import platform
import zipfile
from importlib import metadata

import pytest
from support.builds import report_of
from support.schema import valid
from test_build import meson, wheel


def test_report_has_the_flags_and_options_of_a_c_build(source, tmp_path):
    flags = {"CFLAGS": f"-g -I{tmp_path}/include '-DWORDS=a b'", "LDFLAGS": "-Wl,-z,relro"}
    options = ["-Dpython=false", "-Dbuildtype=release", "-Db_lto=true"]
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", *options, env=flags)
    assert out.returncode == 0, out.stdout + out.stderr
    known = report_of(tmp_path / "b")["toolchain"]
    expected = {
        "c_args": "-g -I... '-DWORDS=a b'",
        "exact_c_args": f"-g -I{tmp_path}/include '-DWORDS=a b'",
        "c_link_args": "-Wl,-z,relro -g -I... '-DWORDS=a b'",
        "buildtype": "release",
        "optimization": "3",
        "debug": "false",
        "b_ndebug": "if-release",
        "b_lto": "true",
    }
    assert {name: known[name] for name in expected} == expected
    assert not {"python", "cffi", "tag"} & set(known)


def test_arguments_that_are_equal_for_compiler_and_linker_are_both_in_the_report(source, tmp_path):
    """Meson adds CFLAGS of the environment to the arguments of the linker, but not -Dc_args."""
    options = ["-Dpython=false", "-Dc_args=-DSAME", "-Dc_link_args=-DSAME"]
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", *options, env={"CFLAGS": "", "LDFLAGS": ""})
    assert out.returncode == 0, out.stdout + out.stderr
    known = report_of(tmp_path / "b")["toolchain"]
    assert (known["c_args"], known["c_link_args"]) == ("-DSAME", "-DSAME")


@pytest.mark.parametrize("limited", ["false", "true"])
def test_report_has_the_tag_of_its_wheel(source, tmp_path, limited):
    path = wheel(source, tmp_path, f"-Csetup-args=-Dpython.allow_limited_api={limited}")
    with zipfile.ZipFile(path) as archive:
        known = valid(json.loads(archive.read("replace/build_report.json")))["toolchain"]
    assert path.stem.split("-", 2)[2] == known["tag"]
    assert ("-abi3-" in known["tag"]) == (limited == "true")
    assert known["python"].split() == [platform.python_implementation(), platform.python_version()]
    assert known["cffi"] == metadata.version("cffi")
