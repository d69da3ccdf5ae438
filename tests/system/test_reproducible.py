# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Two builds of one commit with the same SOURCE_DATE_EPOCH are equal byte for byte, for any user and folder.

All builds use -g, because debug information could contain the folders.
"""

import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from support.builds import ROOT, VERSION, needs_package, run, tool
from support.children import needs_root
from test_build import meson

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000", "CFLAGS": "-g"}
NOBODY = 65534
#: Runs a command as the user nobody. It may read closed folders, because the interpreter may be in root's home.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search"]  # fmt: skip


def packages(source, folder, words=(), umask="022", owner=None):
    """Run python -m build in a new clone. Return the wheel and the sdist."""
    tool("git", "a clone")
    needs_package("build", "meson-python")
    assert run("git", "clone", "-q", source, folder / "clone").returncode == 0
    (folder / "tmp").mkdir()
    if owner:
        assert run("chown", "-R", f"{owner}:{owner}", folder).returncode == 0
    build = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "--outdir", "dist", "clone"]
    # meson-python uses the first meson and ninja in PATH, so the folder of this Python comes first.
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {**EPOCH, "HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp"), "PATH": path}
    out = run(*words, "sh", "-c", f'umask {umask}; exec "$@"', "sh", *build, env=env, cwd=folder)
    assert out.returncode == 0, out.stdout + out.stderr
    found = sorted((folder / "dist").iterdir())
    assert [path.name.endswith(end) for path, end in zip(found, (".whl", ".tar.gz"), strict=True)] == [True, True]
    assert {path.stat().st_uid for path in found} == {os.geteuid() if owner is None else owner}
    return found


@pytest.fixture
def shared():
    """A folder that every user can reach. git uses access(2), which ignores capabilities."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def first(source, tmp_path_factory):
    """The wheel and the sdist of the first build."""
    tool("git", "a clone")
    return packages(source, tmp_path_factory.mktemp("first"))


def assert_equal(first, second):
    """Check that the files are equal. If not, the assertion shows the member that differs."""
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        if one.read_bytes() != other.read_bytes():
            assert members(one) == members(other)
            pytest.fail(f"{one.name}: equal members, packed differently")


def members(path):
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return [
                (i.filename, oct(i.external_attr >> 16), i.date_time, hash(archive.read(i))) for i in archive.infolist()
            ]
    with tarfile.open(path) as archive:
        return [(i.name, oct(i.mode), i.mtime, i.uid, i.uname, i.size) for i in archive.getmembers()]


def test_build_in_another_folder_gives_equal_packages(source, first, tmp_path):
    (tmp_path / "a" / "deeper one").mkdir(parents=True)
    assert_equal(first, packages(source, tmp_path / "a" / "deeper one"))


def release_commands(first_line):
    """Return the block of CONTRIBUTING.md that begins with this line."""
    blocks = re.findall(r"^( *)```sh\n( *# .*?)^ *```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    (words,) = (text for text in (textwrap.dedent(text) for _, text in blocks) if text.startswith(f"{first_line}\n"))
    return words


def test_fresh_clone_of_the_tag_builds_the_same_packages_twice(source, tmp_path):
    """The commands of CONTRIBUTING.md tag a commit, and build it in two folders at different times.

    Later commits on the branch are not in the packages.
    """
    tool("git", "a clone")
    needs_package("build", "meson-python")
    names = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env = {**names, "PATH": path, "HOME": str(tmp_path)}
    built, ends = [], []
    clone = source
    for name in ("one", "another one"):
        assert run("git", "clone", "-q", clone, tmp_path / name / "clone").returncode == 0
        clone = tmp_path / name / "clone"
        if not built:
            out = run("sh", "-euc", release_commands("# tag"), cwd=clone, env=env)
            assert out.returncode == 0, out.stderr
            (clone / "README.md").write_text("after the tag\n")
            assert run("git", "commit", "-qam", "later", cwd=clone, env=env).returncode == 0
        out = run("sh", "-euc", release_commands("# build"), cwd=clone, env=env)
        assert out.returncode == 0, out.stdout + out.stderr
        built.append(sorted((tmp_path / name / "libreplace-release" / "dist").iterdir()))
        ends.append(time.time())
    assert ends[1] - ends[0] > 2, "the times in a wheel have two seconds"
    assert_equal(*built)
    assert [path.name.startswith(f"libreplace-{VERSION}") for path in built[0]] == [True, True]
    (commit_time,) = run("git", "log", "-1", "--format=%ct", f"v{VERSION}", cwd=clone).stdout.split()
    with tarfile.open(built[0][1]) as archive:
        assert {member.mtime for member in archive.getmembers() if member.name.endswith(".c")} == {int(commit_time)}
        text = archive.extractfile(f"libreplace-{VERSION}/README.md").read().decode()
    assert text == (source / "README.md").read_text()


def test_build_by_an_ordinary_user_gives_equal_packages(source, first, shared):
    needs_root()
    tool("setpriv", "another user")
    assert_equal(first, packages(source, shared, AS_NOBODY, owner=NOBODY))


@pytest.mark.parametrize("words", [[], AS_NOBODY], ids=["root", "an ordinary user"])
def test_build_under_fakeroot_gives_equal_packages(source, first, shared, words):
    needs_root()
    fakeroot = [tool("fakeroot", "wraps a build"), "--"]
    assert_equal(first, packages(source, shared, [*words, *fakeroot], owner=NOBODY if words else None))


def test_umask_changes_only_the_modes_of_built_files(source, first, tmp_path):
    """meson-python copies the modes of built files: build with umask 022, as Debian does. pip ignores these modes."""
    wheel, sdist = packages(source, tmp_path, umask="027")
    assert_equal(first[1:], [sdist])
    ours, theirs = members(first[0]), members(wheel)
    assert [row[:1] + row[2:] for row in ours] == [row[:1] + row[2:] for row in theirs]
    changed = {a[0] for a, b in zip(ours, theirs, strict=True) if a[1] != b[1]}
    assert changed
    assert not [name for name in changed if (source / name).exists()], "copied files must keep their modes"


def test_c_library_builds_in_different_folders_are_equal(source, tmp_path):
    """`meson install` from three copies of the source, with build folders inside and outside of the copy."""
    trees = []
    for name, build in (("one", "build"), ("two", "../far/away/build"), ("three", "../elsewhere")):
        shutil.copytree(source, tmp_path / name / "src")
        folder = tmp_path / name / "src" / build
        out = meson(
            "setup", folder, tmp_path / name / "src", "-Dtests=false", "-Dpython=false", "--prefix=/usr", env=EPOCH
        )
        assert out.returncode == 0, out.stdout + out.stderr
        out = meson("install", "-C", folder, "--destdir", tmp_path / name / "d", env=EPOCH)
        assert out.returncode == 0, out.stdout + out.stderr
        root = tmp_path / name / "d"
        trees.append({str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()})
    assert any(name.endswith("/libreplace.a") and b".debug_info" in data for name, data in trees[0].items())
    assert not any(str(tmp_path).encode() in data for data in trees[0].values())
    for tree in trees[1:]:
        assert tree.keys() == trees[0].keys()
        assert [name for name in tree if tree[name] != trees[0][name]] == []


#: The shell's folder, and the paths from it to the source and to the build folder. `link` is a link to `real`.
PLACES = {
    "a source behind a link": ("link/source", ".", "build"),
    "a build folder behind a link": ("link/build", "../source", "."),
    "both behind links": ("link", "source", "build"),
    "the real folders": ("real", "source", "build"),
    "a build folder in the source": ("real/source", ".", "build"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_installed_files_contain_no_folder_or_host_name(source, tmp_path, place, compiler):
    """This build has no SOURCE_DATE_EPOCH. A compiler writes a correct $PWD into debug information."""
    needs_root()
    tool("unshare", "changes the host name")
    tool("hostname", "changes the host name")
    folder = tmp_path / "secretfolder"
    (folder / "real").mkdir(parents=True)
    (folder / "link").symlink_to("real")
    shutil.copytree(source, folder / "real" / "source")
    (folder / "real" / "build").mkdir()
    shell_folder, source_folder, build = PLACES[place]
    command = (
        f"cd {shell_folder} && meson setup {build} {source_folder} && cd {build} && ninja && "
        f"DESTDIR={tmp_path}/installed meson install --no-rebuild"
    )
    env = {"CC": tool(compiler, "C compiler"), "CFLAGS": f"-g -I{folder}", "LDFLAGS": f"-L{folder}"}
    out = run("unshare", "--uts", "sh", "-c", f"hostname secrethost && {command}", env=env, cwd=folder)
    assert out.returncode == 0, out.stdout + out.stderr
    installed = [path for path in (tmp_path / "installed").rglob("*") if path.is_file()]
    assert len(installed) > 40
    words = [b"secretfolder", b"secrethost"]
    assert [(path.name, word) for path in installed for word in words if word in path.read_bytes()] == []


def test_installed_report_omits_run_results_only_in_reproducible_builds(source, tmp_path):
    needs_root()
    for name, env in (("kept", {}), ("left", EPOCH)):
        assert meson("setup", tmp_path / name, source, "-Dtests=false", env=env).returncode == 0
        document = json.loads((tmp_path / name / "replace" / "installed_report.json").read_text())
        found = {q["how"] for q in document["questions"] if q["kind"] == "run"}
        assert found <= ({"ran", "compiled"} if name == "kept" else {"not recorded"}), name
        assert ("results of run probes" in document["left_out"]) == (name == "left")
