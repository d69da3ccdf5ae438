# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The tests end without failure where packagers run them: as an ordinary user, in a user namespace, in a minimal root.

The fast tests run from an unpacked sdist, without network, in an environment that has only pytest and the package with
its requirements. The source is read-only. Its path and that of the temporary folder have a space and a letter that is
not ASCII. The C tests run with libc alone: without /proc, /etc and /dev.
"""

import json
import os
import re
import shlex
import shutil
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
from support.builds import needs_package, requirements, run, tool
from support.children import needs_root
from test_build import install, meson, wheel

pytestmark = pytest.mark.timeout(3600)  # two runs of the fast tests
USER = 1234
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
IN_NAMESPACE = [*AS_USER, "unshare", "-Ur"]
#: What a test may lack here. Each reason names what it needs.
REASON = re.compile(r"needs |could not import '[\w.]+'")


@pytest.fixture(scope="module")
def shared():
    """A folder that every user can reach."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


# ---- The fast tests


@pytest.fixture(scope="module")
def sdist(source, shared, tmp_path_factory):
    """The unpacked sdist. It belongs to an ordinary user, and it is read-only."""
    tool("git", "`meson dist` makes an sdist only from a clone")
    build = tmp_path_factory.mktemp("dist")
    for words in (["setup", build, source, "-Dpython=false"], ["dist", "-C", build, "--no-tests", "--formats=gztar"]):
        out = meson(*words)
        assert out.returncode == 0, out.stdout + out.stderr
    (archive,) = (build / "meson-dist").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extraction_filter = getattr(tarfile, "data_filter", None)
        file.extractall(shared / "an sdïst")
    (tree,) = (shared / "an sdïst").iterdir()
    assert run("chown", "-R", f"{USER}:{USER}", tree).returncode == 0
    assert run("chmod", "-R", "a-w", tree).returncode == 0
    return tree


@pytest.fixture(scope="module")
def small(sdist, shared, tmp_path_factory):
    """An environment with the package of this sdist, pytest, cffi, and what these require. No network is used."""
    needs_package("meson-python")
    folder = shared / "environment"
    assert run(sys.executable, "-m", "venv", "--without-pip", folder).returncode == 0
    (site,) = folder.glob("lib/python*/site-packages")
    built = tmp_path_factory.mktemp("wheel")
    shutil.copytree(sdist, built / "source")
    install(wheel(built / "source", built), site)
    for name in requirements("pytest", "cffi"):
        try:
            files = metadata.distribution(name).files
        except metadata.PackageNotFoundError:
            continue  # for another version of Python
        for file in files:
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), site / file)
    return folder / "bin" / "python"


def reachable(folder):
    """Return shell commands that show the folder to every user. It may lie below a closed one, such as root's home.

    They run in a new mount namespace. The closed folder is empty there, except for what is shown.
    """
    closed = [parent for parent in reversed(Path(folder).parents) if not parent.stat().st_mode & 1]
    if not closed:
        return []
    kept, top, folder = (shlex.quote(str(path)) for path in (tempfile.mkdtemp(), closed[0], folder))
    return [
        f"mount --bind {folder} {kept}",
        f"mount -t tmpfs -o mode=755 none {top}",
        f"mkdir -p {folder}",
        f"mount --move {kept} {folder}",
        f"rmdir {kept}",
    ]


def run_fast_tests(python, sdist, words, files=()):
    """Run the fast tests without network and with a HOME that does not exist. Return what pytest printed."""
    with tempfile.TemporaryDirectory(dir=sdist.parent, prefix="tmp ï") as place:
        os.chown(place, USER, USER)
        os.chmod(place, 0o755)  # a TMPDIR that some users cannot reach is not used
        env = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent", f"TMPDIR={place}"]
        pytest_ = [python, "-m", "pytest", "-q", "--tb=short"]
        script = "\n".join(["set -e", *reachable(sys.base_prefix), f"cd {shlex.quote(str(sdist))}", 'exec "$@"'])
        namespace = [tool("unshare", "no network"), "--mount", "--net", "sh", "-c", script, "sh"]
        out = run(*namespace, *words, *env, *pytest_, *files, timeout=1700)
    assert out.returncode == 0, out.stdout[-6000:] + out.stderr
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)", out.stdout, re.M)
    assert skipped
    assert [reason for reason in skipped if not REASON.match(reason)] == []
    return out.stdout


def test_fast_tests_pass_for_an_ordinary_user_with_only_pytest(small, sdist):
    tool("setpriv", "becomes a user")
    text = run_fast_tests(small, sdist, AS_USER)
    assert "needs root: real ids are switched" in text
    for package in ("gevent", "jsonschema", "markdown-it-py", "meson", "mypy", "trio"):
        assert package in text


def test_fast_tests_pass_for_uid_0_of_a_user_namespace(small, sdist):
    """Only the files run whose tests ask who is root. The others ran above."""
    tool("setpriv", "becomes a user")
    if run(*IN_NAMESPACE, "true").returncode:
        pytest.skip("needs user namespaces for ordinary users")
    files = [path for path in sorted(sdist.glob("tests/test_*.py")) if "support.children import" in path.read_text()]
    text = run_fast_tests(small, sdist, IN_NAMESPACE, [path for path in files if path.stem != "test_start"])
    assert "needs root: here, uid 0 cannot switch to every id" in text


def test_fast_tests_pass_for_root_in_a_chroot(small, sdist, shared):
    """Its folder is not a mount point, so nobody can make private mounts there. The kernel refuses user namespaces.

    Only files run whose tests make them.
    """
    root = shared / "chroot"
    root.mkdir()
    lines = ["set -e"]
    for name in os.listdir("/"):
        place = root / name
        if os.path.islink(f"/{name}"):
            place.symlink_to(os.readlink(f"/{name}"))
        elif os.path.isdir(f"/{name}"):
            place.mkdir()
            lines.append(f"mount --rbind /{shlex.quote(name)} {place}")
    lines.append(f'exec chroot {root} env -C {shlex.quote(str(sdist))} "$@"')
    files = [f"tests/test_{name}.py" for name in ("private_fs", "proc", "threads")]
    text = run_fast_tests(small, sdist, ["sh", "-c", "\n".join(lines), "sh"], files)
    assert "needs a root folder that is a mount point" in text
    assert "needs `unshare -m`" in text


# ---- The C tests


@pytest.fixture(scope="module")
def minimal_root(faults, shared):
    """A root folder with the C tests and the libraries that they need. Nobody can make files in its /tmp."""
    build, root = faults.parent.parent.parent, shared / "root"
    shutil.copytree(build / "tests", root / "tests", ignore=shutil.ignore_patterns("*.p"))
    (root / "replace").mkdir()
    shutil.copy(build / "replace/libreplace.so.0", root / "replace")
    (root / "tmp").mkdir(mode=0o555)
    programs = [build / "tests/c/unload", build / "tests/c/explorer/explore"]
    lines = "".join(run(tool("ldd", "the libraries of the tests"), program).stdout for program in programs)
    libgcc = run("cc", "-print-file-name=libgcc_s.so.1").stdout.strip()  # glibc loads it for pthread_cancel()
    lines += f"\tlibgcc_s.so.1 => {os.path.realpath(libgcc)} (0x0)\n"
    found = {"/usr/bin/env", *re.findall(r"(/[\w./+-]+) \(0x", lines)}
    for name in {name for name in found if not name.startswith(f"{build}/")}:
        target = root / name[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    return root


def c_tests(faults):
    """Return the name and the command of each C test. Paths start in the build folder."""
    build = faults.parent.parent.parent
    tests = json.loads((build / "meson-info" / "intro-tests.json").read_text())
    for test in tests:
        yield test["name"], [word.removeprefix(f"{build}/") for word in test["cmd"]]


@pytest.mark.parametrize(
    ("words", "chroot", "passes"),
    [
        ([], True, {"conformance", "identity", "edges", "forks", "explore"}),
        (AS_USER, True, {"conformance", "identity", "guard", "drop_privileges"}),
        (AS_USER, False, {"conformance", "identity", "guard", "drop_privileges"}),
        (IN_NAMESPACE, False, {"conformance", "identity", "guard", "drop_privileges"}),
    ],
    ids=["minimal root", "ordinary user in a minimal root", "ordinary user", "uid 0 of a user namespace"],
)
def test_each_c_test_passes_or_says_what_it_needs(faults, minimal_root, words, chroot, passes):
    tool("setpriv", "becomes a user")
    if words == IN_NAMESPACE and run(*words, "true").returncode:
        pytest.skip("needs user namespaces for ordinary users")
    passed = set()
    for name, (program, *arguments) in c_tests(faults):
        if "explorer" in program and (words or not chroot):
            continue  # it has a kernel of its own and takes seconds, so once is enough
        # Without /proc, the loader cannot find $ORIGIN.
        path = "" if chroot else minimal_root
        command = ["env", f"LD_LIBRARY_PATH={path}/tests/c:{path}/replace", f"./{program}", *arguments]
        if chroot:
            ids = [f"--userspec={USER}:{USER}"] if words else []
            out = run("chroot", *ids, minimal_root, "/usr/bin/env", *command[1:])
        else:
            out = run(*words, *command, cwd=minimal_root)
        text = out.stdout + out.stderr
        assert out.returncode in (0, 77), (name, text)
        if out.returncode == 0:
            passed.add(name)
        else:
            assert re.search("^(# skipped: needs|skip: needs) ", text, re.M), (name, text)
    assert passed >= passes
