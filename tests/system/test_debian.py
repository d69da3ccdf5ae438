# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The Debian packages of docs/examples/debian/: the commands of docs/packaging.md build them, and lintian checks them.

Nothing is installed. The packages are unpacked into a folder, and the autopkgtest commands run there.
"""

import os
import re
import sys

import pytest
from support.builds import ROOT, needs_package, run, tool

#: lintian's tags for these packages, and why each is accepted.
ACCEPTED = {
    "initial-upload-closes-no-bugs": "an example has no bug to close (ITP) in Debian",
    "package-contains-documentation-outside-usr-share-doc": "a template for `libreplace report --html`",
    "repeated-path-segment": "`libreplace config` and get_include() promise the folder replace/lib/",
    "upstream-metadata-missing-bug-tracking": "the example has no bug tracker",
    "application-in-library-section": "the command checks the library; a separate package would contain one file",
    "library-package-name-for-application": "same reason as application-in-library-section",
    "debian-watch-does-not-check-openpgp-signature": "PyPI has no OpenPGP signatures",
}
DISTS = "usr/lib/python3/dist-packages"


def debian_12_commands():
    """Return the page's commands for Debian 12. They install newer build tools first."""
    (text,) = re.findall(r"^```sh\n(# Debian 12\n.*?)^```", (ROOT / "docs" / "packaging.md").read_text(), re.M | re.S)
    return text


@pytest.fixture(scope="session")
def packages(source, tmp_path_factory):
    """A clone. It contains the built packages, in deb/, and the unpacked files of each package."""
    if not os.environ.get("CI") and not os.path.exists("/etc/debian_version"):
        pytest.skip("needs Debian")
    needs_package("build", "meson-python")
    tool("git", "a clone")
    for name in ("dpkg-buildpackage", "dh", "dh_python3", "lintian", "py3versions"):
        tool(name, "builds a Debian package")
    clone = tmp_path_factory.mktemp("debian") / "clone"
    assert run("git", "clone", "-q", source, clone).returncode == 0
    # The `python` in this PATH has the build requirements. The page's commands then set PATH themselves.
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    out = run("bash", "-euo", "pipefail", "-c", debian_12_commands(), cwd=clone, env=env)
    if out.returncode and "No matching distribution" in out.stderr and not os.environ.get("CI"):
        pytest.skip("needs the network: newer build tools")
    assert out.returncode == 0, (out.stdout + out.stderr)[-3000:]
    for name in ("python3-replace", "libreplace-dev"):
        (deb,) = (clone / "deb").glob(f"{name}_*.deb")
        assert run("dpkg-deb", "-x", deb, clone / name).returncode == 0
    return clone


def test_lintian_reports_only_accepted_tags(packages):
    changes = list((packages / "deb").glob("*.changes"))
    assert len(changes) == 1, changes
    out = run("lintian", "--allow-root", "-EI", "--display-level", ">=pedantic", *changes)
    found = {line.split(": ", 2)[2].split()[0] for line in out.stdout.splitlines() if re.match("[EWIPX]: ", line)}
    assert found - set(ACCEPTED) == set(), out.stdout
    assert not re.search("^E: ", out.stdout, re.M)
    assert set(ACCEPTED) - found == set(), "lintian no longer reports these accepted tags"


def test_each_debian_package_contains_its_files(packages):
    python, dev = packages / "python3-replace", packages / "libreplace-dev"
    names = [{str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} for root in (python, dev)]
    assert {
        "usr/bin/libreplace",
        f"{DISTS}/replace/__init__.py",
        "usr/share/man/man1/libreplace.1.gz",
        "usr/share/bash-completion/completions/libreplace",
        "usr/share/zsh/vendor-completions/_libreplace",
        "usr/share/fish/vendor_completions.d/libreplace.fish",
    } <= names[0]
    assert {"usr/include/libreplace/replace.h", "usr/share/libreplace/build_report.json"} <= names[1]
    assert sorted(name.split("/", 3)[3] for name in names[1] if name.startswith("usr/lib/")) == [
        "cmake/libreplace/libreplaceConfig.cmake",
        "cmake/libreplace/libreplaceConfigVersion.cmake",
        "libreplace.a",
        "pkgconfig/libreplace.pc",
    ]
    modules = [name for name in names[0] if name.endswith(".so")]
    assert len(modules) == 1
    (deb,) = (packages / "deb").glob("python3-replace_*.deb")
    depends = run("dpkg-deb", "-f", deb, "Depends").stdout
    assert re.search(r"\bpython3-cffi\b", depends)
    assert re.search(r"\blibc6\b", depends)


def test_autopkgtest_commands_pass_on_unpacked_packages(packages):
    """Run each command of debian/tests/control on the unpacked packages."""
    text = (ROOT / "docs" / "examples" / "debian" / "tests" / "control").read_text()
    assert re.findall(r"^(?:Test-Command|Tests): (.*)$", text, re.M) == ["libreplace verify", "c-program"]
    site = os.pathsep.join([str(packages / "python3-replace" / DISTS), str(packages / "deb" / "newer")])
    out = run(packages / "python3-replace" / "usr/bin/libreplace", "verify", env={"PYTHONPATH": site}, cwd="/")
    assert out.returncode == (0 if os.geteuid() == 0 else 2), out.stdout + out.stderr
    (pc,) = (packages / "libreplace-dev").glob("usr/lib/*/pkgconfig")
    env = {"PKG_CONFIG_PATH": str(pc), "PKG_CONFIG_SYSROOT_DIR": str(packages / "libreplace-dev")}
    out = run(ROOT / "docs" / "examples" / "debian" / "tests" / "c-program", env=env)
    assert (out.returncode, out.stdout) == (0, "syscall\n"), out.stderr


def test_debian_rules_clean_restores_the_source_tree(packages):
    """dpkg-source finds no difference from the original source after `debian/rules clean`."""
    (tree,) = (path for path in (packages / "deb").glob("libreplace-*") if path.is_dir())
    path = f"{packages}/deb/newer/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {"PATH": path, "PYTHONPATH": f"{packages}/deb/newer", "HOME": "/nonexistent"}
    out = run("dpkg-buildpackage", "-S", "-us", "-uc", "-d", cwd=tree, env=env)
    assert out.returncode == 0, (out.stdout + out.stderr)[-2000:]
    assert "local changes" not in out.stdout + out.stderr


def test_debian_copyright_file_matches_the_license():
    text = (ROOT / "docs" / "examples" / "debian" / "copyright").read_text()
    licence = (ROOT / "LICENSE").read_text()
    plain = " ".join(
        line.strip() for line in text.split("License: Expat\n", 2)[2].replace("\n .\n", "\n\n").splitlines()
    )
    assert " ".join(plain.split()) == " ".join(licence[licence.index("Permission") :].split())
