# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The Debian packages of docs/examples/debian/: the commands of docs/packaging.md build them, and lintian checks them.

Nothing is installed. The packages are unpacked into a folder, and the autopkgtest commands run there. Debian 12 has one
Python. With LIBREPLACE_PYTHONS, the packages are built for a second one, because Debian sid has two.
tests/programs/debian_sid.py builds the packages in sid itself.
"""

import os
import re
import shutil
import sys

import pytest
from support.builds import PYTHONS, ROOT, needs_debian_12, needs_package, run, tool, version
from support.projects import development_files

#: lintian's tags for these packages on Debian 12, and why each is accepted.
ACCEPTED = {
    "initial-upload-closes-no-bugs": "an example has no bug to close (ITP) in Debian",
    # The packages are for sid. This lintian is older than sid's policy 4.7.4 and its files of debian/watch.
    "missing-debian-watch-file-standard": "the lintian of sid reports the older standard",
    "newer-standards-version": "the lintian of sid reports the older version",
    "recommended-field": "the field Priority, which the lintian of sid calls redundant",
    "silent-on-rules-requiring-root": "the field Rules-Requires-Root, which the lintian of sid calls redundant",
    # Experimental tags, which the lintian of sid does not have.
    "application-in-library-section": "the command checks the library; a separate package would contain one file",
    "library-package-name-for-application": "same reason as application-in-library-section",
}
DISTS = "usr/lib/python3/dist-packages"
DEFAULT = (3, 11)  # Debian 12's only supported Python
#: Another supported Python. Debian's build tools find it by its name. Before 3.11, they would need the package tomli.
SECOND = next((path for path in PYTHONS if version(path)[:2] > DEFAULT), "")
AS_SUPPORTED = """
cat > newer/bin/python{minor} <<'END'
#!/bin/sh
PYTHONPATH=$PYTHONPATH:/usr/lib/python3/dist-packages exec {path} "$@"
END
chmod 755 newer/bin/python{minor}
export DEBPYTHON3_SUPPORTED=3.11,{minor}
"""


def debian_12_commands():
    """Return the page's commands for Debian 12. They install newer build tools first. Add the second Python to them."""
    (text,) = re.findall(r"^```sh\n(# Debian 12\n.*?)^```", (ROOT / "docs" / "packaging.md").read_text(), re.M | re.S)
    if not SECOND:
        return text
    tools, build = text.split("export PYTHONPATH=")
    minor = "{}.{}".format(*version(SECOND))
    return tools + AS_SUPPORTED.format(path=SECOND, minor=minor) + "export PYTHONPATH=" + build


@pytest.fixture(scope="session")
def packages(source, tmp_path_factory):
    """A clone. It contains the built packages, in deb/, and the unpacked files of each package."""
    needs_debian_12()
    needs_package("build", "meson-python")
    tool("git", "a clone")
    for name in ("dpkg-buildpackage", "dh", "dh_python3", "fakeroot", "lintian", "py3versions"):
        tool(name, "builds a Debian package")
    clone = tmp_path_factory.mktemp("debian") / "clone"
    assert run("git", "clone", "-q", source, clone).returncode == 0
    # The `python` in this PATH has the build requirements. The page's commands then set PATH themselves.
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path_factory.mktemp("home"))}  # pip writes into it
    out = run("bash", "-euo", "pipefail", "-c", debian_12_commands(), cwd=clone, env=env, timeout=900)
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
    (triplet,) = {name.split("/")[2] for name in names[1] if name.startswith("usr/lib/")}
    assert development_files(f"usr/lib/{triplet}") <= names[1]
    # Multi-Arch: same. The folder of the architecture has every file that differs between architectures.
    assert {f"usr/lib/{triplet}/libreplace.a", f"usr/lib/{triplet}/libreplace/build_report.json"} <= names[1]
    assert not [name for name in names[1] if not name.startswith(("usr/lib/", "usr/include/", "usr/share/doc/"))]
    assert not [name for name in names[0] if re.search(r"\.(a|h|pc|cmake)$|build_report", name)], (
        "libreplace-dev has these files"
    )
    assert not names[0] & names[1]
    (deb,) = (packages / "deb").glob("python3-replace_*.deb")
    depends = run("dpkg-deb", "-f", deb, "Depends").stdout
    assert re.search(r"\bpython3-cffi\b", depends)
    assert re.search(r"\blibc6\b", depends)


def test_debian_package_has_one_module_for_each_supported_python(packages):
    folder = packages / "python3-replace" / DISTS / "replace"
    versions = {"311", "".join(map(str, version(SECOND)[:2]))} if SECOND else {"311"}
    modules = {re.findall(r"^_native\.cpython-(\d+)-.*\.so$", path.name)[0] for path in folder.glob("*.so")}
    assert modules == versions


def test_objects_do_not_contain_the_build_folder(packages):
    """dpkg's own -ffile-prefix-map, in CFLAGS, maps only the source folder. The build folders are inside it."""
    (tree,) = (path for path in (packages / "deb").glob("libreplace-*") if path.is_dir())
    unstripped = [*tree.glob(".pybuild/*/build/replace/_native*.so"), *tree.glob("debian/c/replace/libreplace.a")]
    assert len(unstripped) == (3 if SECOND else 2)
    for path in unstripped:
        assert not re.search(rb"\.pybuild|\.mesonpy|debian/c", path.read_bytes()), path


def test_autopkgtest_commands_pass_on_unpacked_packages(packages):
    """Run each command of debian/tests/control on the unpacked packages."""
    text = (ROOT / "docs" / "examples" / "debian" / "tests" / "control").read_text()
    (command,) = re.findall(r"^Test-Command: (.*)$", text, re.M)
    assert re.findall(r"^Tests: (.*)$", text, re.M) == ["c-program"]
    newer, python = packages / "deb" / "newer", packages / "python3-replace"
    env = {
        "PATH": f"{newer}/bin:{python}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{python / DISTS}:{newer}",
        "DEBPYTHON3_SUPPORTED": "3.11,{}.{}".format(*version(SECOND)) if SECOND else "3.11",
    }
    out = run("bash", "-ec", command, env=env, cwd="/")
    assert out.returncode == (0 if os.geteuid() == 0 else 2), out.stdout + out.stderr
    if os.geteuid() == 0:
        assert out.stdout.count(" 0 contradicted") == (3 if SECOND else 2), "for each Python, and by the command"
    (pc,) = (packages / "libreplace-dev").glob("usr/lib/*/pkgconfig")
    env = {"PKG_CONFIG_PATH": str(pc), "PKG_CONFIG_SYSROOT_DIR": str(packages / "libreplace-dev")}
    out = run(ROOT / "docs" / "examples" / "debian" / "tests" / "c-program", env=env)
    assert (out.returncode, out.stdout) == (0, "syscall\n"), out.stderr


def test_debian_rules_clean_restores_the_source_tree(packages):
    """dpkg-source finds no difference from the original source after `debian/rules clean`."""
    (built,) = (path for path in (packages / "deb").glob("libreplace-*") if path.is_dir())
    tree = packages / "again" / built.name
    shutil.copytree(built, tree, symlinks=True)
    for archive in (packages / "deb").glob("*.orig.tar.gz"):
        shutil.copy(archive, packages / "again")
    path = f"{packages}/deb/newer/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {"PATH": path, "PYTHONPATH": f"{packages}/deb/newer", "HOME": "/nonexistent"}
    out = run("dpkg-buildpackage", "-S", "-us", "-uc", "-d", cwd=tree, env=env)
    assert out.returncode == 0, (out.stdout + out.stderr)[-2000:]
    assert "local changes" not in out.stdout + out.stderr


@pytest.mark.parametrize("options", ["", "nocheck terse"])
def test_nocheck_does_not_build_the_tests(options):
    """make prints the command of the step and does not run it."""
    tool("make", "reads debian/rules")
    tool("dpkg-buildpackage", "debian/rules includes a file of it")
    rules = ROOT / "docs" / "examples" / "debian" / "rules"
    out = run("make", "-n", "-f", rules, "override_dh_auto_configure", env={"DEB_BUILD_OPTIONS": options})
    assert out.returncode == 0, out.stderr
    assert ("-Dtests=false" in out.stdout) == bool(options), out.stdout


def test_debian_copyright_file_matches_the_license():
    text = (ROOT / "docs" / "examples" / "debian" / "copyright").read_text()
    licence = (ROOT / "LICENSE").read_text()
    plain = " ".join(
        line.strip() for line in text.split("License: Expat\n", 2)[2].replace("\n .\n", "\n\n").splitlines()
    )
    assert " ".join(plain.split()) == " ".join(licence[licence.index("Permission") :].split())
