# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Install tags and staged installs: each build installs the files of docs/packaging.md in the right places."""

import json
import os
import re
import sys

import pytest
from support.builds import ROOT, run, tool
from test_build import meson

PAGE = (ROOT / "docs" / "packaging.md").read_text()
OPTIONS = {
    "with Python": ["-Dpython=true"],
    "C alone": ["-Dpython=false"],
    "C, shared": ["-Dpython=false", "-Ddefault_library=both", "-Dverify=true"],
}


@pytest.fixture(scope="session", params=OPTIONS)
def build(request, source, tmp_path_factory):
    """A compiled build folder, whether the build includes Python, and the install tag of each file."""
    folder = tmp_path_factory.mktemp("tags") / "b"
    options = [*OPTIONS[request.param], "--prefix=/usr", "-Dpython.install_env=prefix"]
    for words in (["setup", folder, source, "-Dtests=false", *options], ["compile", "-C", folder]):
        out = meson(*words)
        assert out.returncode == 0, out.stdout + out.stderr
    plan = json.loads(meson("introspect", "--install-plan", folder).stdout)
    tags = {row["destination"]: row["tag"] for rows in plan.values() for row in rows.values()}
    return folder, request.param == "with Python", tags


def stage(folder, target, *options):
    out = meson("install", "-C", folder, "--no-rebuild", *options, env={"DESTDIR": str(target)})
    assert out.returncode == 0, out.stdout + out.stderr
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file() or path.is_symlink())


def test_every_installed_file_has_a_documented_tag(build):
    _, _, tags = build
    on_page = set(re.findall(r"^\| `([a-z-]+)` \| ", PAGE.split("meson install --tags")[1].split("##")[0], re.M))
    assert tags
    assert set(tags.values()) <= on_page


def test_install_tags_divide_all_installed_files(build, tmp_path):
    folder, python, tags = build
    everything = stage(folder, tmp_path / "all")
    parts = {tag: stage(folder, tmp_path / tag, "--tags", tag) for tag in ("devel", "runtime", "python-runtime")}
    assert sorted(sum(parts.values(), [])) == everything
    files = [name for name in everything if not name.endswith(".pyc") and not (tmp_path / "all" / name).is_symlink()]
    assert len(files) == len(tags)
    if python:
        (site,) = {str(p.parent) for p in (tmp_path / "python-runtime").rglob("replace") if p.name == "replace"}
        code = "import replace; print(replace.__file__, replace.SCOPE)"
        out = run(sys.executable, "-c", code, env={"PYTHONPATH": site}, cwd="/")
        assert out.stdout.startswith(site), out.stderr
    else:
        assert parts["python-runtime"] == []
        assert any(name.endswith("libreplace.a") for name in parts["devel"])
        assert "usr/share/libreplace/build_report.json" in parts["devel"]
        assert ("usr/bin/libreplace-verify" in parts["runtime"]) == any("libreplace.so" in n for n in parts["runtime"])


def test_only_the_build_report_is_in_datadir(source, tmp_path):
    """A distribution moves it to a folder of the architecture, and the .pc file follows (docs/packaging.md)."""
    folders = re.search(r"`(--libdir=lib/\S+)\s(--datadir=lib/\S+)`", PAGE).groups()
    assert (
        meson("setup", tmp_path / "b", source, "-Dtests=false", "-Dpython=false", "--prefix=/usr", *folders).returncode
        == 0
    )
    assert meson("compile", "-C", tmp_path / "b").returncode == 0
    target = tmp_path / "root"
    names = stage(tmp_path / "b", target)
    (package,) = target.rglob("libreplaceConfig.cmake")
    (relative,) = re.findall(r'_include "\$\{_libreplace_here\}/(\S+)" ABSOLUTE', package.read_text())
    assert (package.parent / relative / "libreplace/replace.h").exists()
    place = folders[1].removeprefix("--datadir=")
    assert [name for name in names if "/include/" not in name and not name.startswith(f"usr/{place}/")] == []
    env = {"PKG_CONFIG_LIBDIR": str(target / "usr" / place / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(target)}
    report = run(tool("pkg-config", "finds libraries"), "--variable=build_report", "libreplace", env=env).stdout.strip()
    assert json.loads((target / report.removeprefix(str(target)).lstrip("/")).read_text())["schema_version"] == 1


def test_staged_files_do_not_contain_the_staging_path(build, tmp_path):
    folder, python, _ = build
    target = tmp_path / "staged here"
    names = stage(folder, target)
    assert not any(str(target).encode() in (target / name).read_bytes() for name in names)
    if not python:
        (pc,) = [name for name in names if name.endswith(".pc")]
        text = (target / pc).read_text()
        assert text.startswith("prefix=/usr\n")
        assert re.search(r"^libdir=\$\{prefix\}/lib", text, re.M)
        assert str(tmp_path) not in text
        assert os.path.dirname(folder) not in text
