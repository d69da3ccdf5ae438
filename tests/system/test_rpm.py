# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The RPM packages of docs/examples/libreplace.spec: Debian's rpmbuild makes them with the commands of the page.

Nothing is installed. The packages are unpacked into a folder.
"""

import os
import re
import sys
from datetime import datetime, timezone

import pytest
from support.builds import ROOT, VERSION, needs_debian_12, needs_package, run, tool
from support.projects import development_files

#: rpmlint's tags for these packages, and why each is accepted.
ACCEPTED = {
    # Fedora's guidelines say that these are not written any more.
    "library-without-ldconfig-postin": "ldconfig runs by itself",
    "library-without-ldconfig-postun": "ldconfig runs by itself",
    "no-buildroot-tag": "rpmbuild sets it",
    "no-group-tag": "nobody reads it",
    # The build system, not the spec file, makes these.
    "no-packager-tag": "set by the build system",
    "no-signature": "made by the build system",
    # Rules of other distributions
    "invalid-license": "MIT is valid in Fedora",
    "lib-package-without-%mklibname": "not Fedora's",
    "no-major-in-name": "not Fedora's",
    "non-versioned-file-in-library-package": "not Fedora's",
    "outside-libdir-files": "not Fedora's",
    "requires-on-release": "Fedora requires it",
    "shlib-policy-name-error": "not Fedora's",
    # Debian's rpmbuild does not strip and compress.
    "manpage-not-compressed": "Fedora's rpmbuild compresses it",
    "missing-hash-section": "the linker's default",
    "no-manual-page-for-binary": "rpmlint expects a compressed one",
    "unstripped-binary-or-object": "Fedora's rpmbuild strips it",
}


def commands():
    """Return the page's commands. Debian's packages are not in rpm's database, and the C tests take half a minute."""
    (text,) = re.findall(r"^```sh\n(# RPM\n.*?)^```", (ROOT / "docs" / "packaging.md").read_text(), re.M | re.S)
    return text.replace("rpmbuild -ba", "rpmbuild -ba --nodeps --without tests")


@pytest.fixture(scope="module")
def packages(source, tmp_path_factory):
    """A clone that contains the built packages, in rpm/, and the unpacked files of each package."""
    needs_debian_12()
    needs_package("argparse-manpage", "build", "meson-python", "shtab")
    for name in ("git", "rpmbuild"):
        tool(name, "builds an RPM package")
    clone = tmp_path_factory.mktemp("rpm") / "clone"
    assert run("git", "clone", "-q", source, clone).returncode == 0
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path_factory.mktemp("home"))}  # without ~/.rpmmacros
    out = run("bash", "-euo", "pipefail", "-c", commands(), cwd=clone, env=env, timeout=900)
    assert out.returncode == 0, (out.stdout + out.stderr)[-3000:]
    for path in clone.glob("rpm/RPMS/*/*.rpm"):
        (clone / name_of(path)).mkdir()
        out = run("sh", "-c", 'rpm2archive - < "$0" | tar xzf -', path, cwd=clone / name_of(path))
        assert out.returncode == 0, out.stderr
    return clone


def name_of(path):
    return path.name.rsplit("-", 2)[0]


def query(packages, name, question):
    (path,) = (path for path in packages.glob("rpm/RPMS/*/*.rpm") if name_of(path) == name)
    return run("rpm", "-qp", *question, path).stdout.splitlines()


def test_each_rpm_package_contains_its_files(packages):
    names = {name_of(path) for path in packages.glob("rpm/RPMS/*/*.rpm")}
    assert names == {"libreplace", "libreplace-devel", "python3-libreplace"}
    found = {name: set(query(packages, name, ["--list"])) for name in names}
    site = "/usr/lib/python{}.{}/site-packages".format(*sys.version_info)
    assert {"/usr/lib64/libreplace.so.0", f"/usr/lib64/libreplace.so.{VERSION}"} <= found["libreplace"]
    assert {f"/{name}" for name in development_files("usr/lib64")} <= found["libreplace-devel"]
    assert {"/usr/lib64/libreplace.so", "/usr/lib64/libreplace/build_report.json"} <= found["libreplace-devel"]
    assert {
        "/usr/bin/libreplace",
        f"{site}/replace/__init__.py",
        f"{site}/libreplace-{VERSION}.dist-info/METADATA",
        "/usr/share/man/man1/libreplace.1",
        "/usr/share/bash-completion/completions/libreplace",
        "/usr/share/zsh/site-functions/_libreplace",
        "/usr/share/fish/vendor_completions.d/libreplace.fish",
    } <= found["python3-libreplace"]
    assert not [name for name in found["python3-libreplace"] if re.search(r"\.(a|h|pc|cmake)$|build_report", name)]
    all_names = [name for files in found.values() for name in files if not name.startswith("/usr/lib/.build-id")]
    assert len(all_names) == len(set(all_names)), "a file is in two packages"


def test_rpm_packages_provide_and_require_each_other(packages):
    assert f"pkgconfig(libreplace) = {VERSION}" in query(packages, "libreplace-devel", ["--provides"])
    assert "libreplace.so.0()(64bit)" in query(packages, "libreplace", ["--provides"])
    required = query(packages, "libreplace-devel", ["--requires"])
    assert [line for line in required if re.fullmatch(rf"libreplace\(.*\) = {re.escape(VERSION)}-1", line)]
    assert [line for line in required if line.startswith("cmake-filesystem")], "the owner of lib64/cmake"
    version = "{}.{}".format(*sys.version_info)
    assert "python3dist(libreplace) = {}".format(re.sub(r"(\.0)+$", "", VERSION)) in query(
        packages, "python3-libreplace", ["--provides"]
    )
    required = query(packages, "python3-libreplace", ["--requires"])
    assert {f"python(abi) = {version}", f"python{version}dist(cffi) >= 1.17", "/usr/bin/python3"} <= set(required)
    assert not [line for line in required if "libreplace" in line], "the extension module contains the C library"


def test_rpm_packages_contain_neither_the_build_time_nor_the_build_folder(packages):
    spec = (packages / "docs" / "examples" / "libreplace.spec").read_text()
    (day,) = re.findall(r"^%changelog\n\* \w+ (\w+ \d+ \d+) ", spec, re.M)
    time = datetime.strptime(day, "%b %d %Y").replace(tzinfo=timezone.utc).timestamp()
    for name in ("libreplace", "libreplace-devel", "python3-libreplace"):
        assert query(packages, name, ["--queryformat", "%{BUILDTIME}\n"]) == [f"{time:.0f}"]
        for path in (packages / name).rglob("*"):
            assert path.is_symlink() or path.is_dir() or str(packages).encode() not in path.read_bytes(), path


def test_program_is_built_with_the_unpacked_devel_package(packages):
    tool("pkg-config", "finds libraries")
    root = packages / "libreplace-devel"
    (root / "usr/lib64/libreplace.so.0").symlink_to(packages / "libreplace/usr/lib64/libreplace.so.0")
    env = {
        "PKG_CONFIG_PATH": str(root / "usr/lib64/pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "LD_LIBRARY_PATH": str(packages / "libreplace/usr/lib64"),
    }
    library = f"usr/lib64/libreplace.so.{VERSION}"
    (root / library).symlink_to(packages / "libreplace" / library)
    out = run(ROOT / "docs" / "examples" / "debian" / "tests" / "c-program", env=env)
    assert (out.returncode, out.stdout) == (0, "syscall\n"), out.stderr


def test_spec_file_works_with_pip_of_debian_12():
    """pip 23.0 has no short option -C. The tests themselves run a newer pip."""
    needs_debian_12()
    out = run(tool("rpmspec", "expands the spec file's macros"), "-P", ROOT / "docs" / "examples" / "libreplace.spec")
    (line,) = re.findall("^.* pip wheel .*$", out.stdout, re.M)
    assert line.endswith(" --config-settings=install-args=--tags=python-runtime .")


def test_rpmlint_reports_only_accepted_tags(packages):
    paths = [*packages.glob("rpm/RPMS/*/*.rpm"), *packages.glob("rpm/SRPMS/*.rpm")]
    out = run(tool("rpmlint", "checks RPM packages"), *paths)
    found = {line.split(": ", 2)[2].split()[0] for line in out.stdout.splitlines() if re.match(r"\S+: [EWI]: ", line)}
    assert found - set(ACCEPTED) == set(), out.stdout
    assert set(ACCEPTED) - found == set(), "rpmlint no longer reports these accepted tags"
