# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Folders of sys.path that users cannot read. protect_os() warns of them; `libreplace verify --as USER` names them."""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
from support.builds import run
from support.children import needs_root, needs_root_or_user

import replace
from replace._closed_folders import closed_at, way_to


@pytest.fixture
def place():
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name).resolve()


def closed_folder(place, how):
    """Return a folder that users cannot read, and the folder on its path that closes it."""
    entry = place / "above" / "entry"
    entry.mkdir(parents=True)
    if how == "link":
        (place / "link").symlink_to(entry)
        entry.parent.chmod(0o700)
        return place / "link", entry.parent
    closing, mode = {"above": (entry.parent, 0o700), "own": (entry, 0o711), "search": (entry, 0o744)}[how]
    closing.chmod(mode)
    return entry, closing


HOW = ["above", "own", "search", "link"]


# ---- protect_os()

WARN = """
import sys, warnings, replace
replace.preload()
sys.path[:] = {path!r}
replace.protect_os()
replace.protect_os(); print(replace.getresuid())
"""


def warnings_of_protect_os(path, *options):
    out = run(sys.executable, *options, "-c", WARN.format(path=list(map(str, path))), cwd="/")
    assert out.returncode == (1 if options else 0), out.stderr
    assert options or out.stdout == "(0, 0, 0)\n", "protect_os() does not change the ids of the caller"
    return out.stderr


@pytest.mark.per_thread
@pytest.mark.parametrize("how", HOW)
def test_protect_os_warns_once_about_a_closed_folder(place, how):
    entry, closing = closed_folder(place, how)
    text = warnings_of_protect_os([place, "relative", entry, "/nowhere"])
    assert text.startswith(f"<string>:5: RuntimeWarning: users cannot read {closing}; imports under an identity"), text
    assert text.count("RuntimeWarning") == 1
    if how == "own":
        assert "RuntimeWarning: users cannot read" in warnings_of_protect_os([entry], "-W", "error::RuntimeWarning")


def test_protect_os_is_silent_if_every_folder_is_readable(place):
    assert warnings_of_protect_os([place]) == ""


def test_folder_readable_by_one_group_counts_as_closed(place):
    """The check asks the kernel, as a user without groups; it does not interpret modes or ACLs."""
    if replace.SCOPE == "thread":
        (place / "entry").mkdir()
        os.chown(place / "entry", 0, 80011)
        (place / "entry").chmod(0o750)
        assert f"cannot read {place}/entry;" in warnings_of_protect_os([place / "entry"])


def test_protect_os_is_silent_without_the_right_to_switch(place):
    entry, _ = closed_folder(place, "above")
    entry.parent.chmod(0o700)
    script = "import os, replace, sys\nreplace.preload('warnings')\n"
    script += (
        f"os.setresuid(80001, 80001, 80001); sys.path[:] = ['/', {str(entry)!r}]; replace.protect_os(); print('on')"
    )
    out = run(sys.executable, "-c", script, cwd="/")
    assert (out.stdout, out.stderr) == ("on\n", "")


# ---- libreplace verify --as USER


def verify(*arguments, path="", code=""):
    """Run the command with this folder first in sys.path."""
    words = (
        ["-c", f"import sys; from replace.__main__ import main; {code}; sys.exit(main())"]
        if code
        else ["-m", "replace"]
    )
    return run(sys.executable, *words, "verify", *arguments, cwd="/", env={"PYTHONPATH": str(path)})


@pytest.mark.parametrize("how", HOW)
def test_verify_as_names_the_entry_and_the_closing_folder(place, how):
    entry, closing = closed_folder(place, how)
    out = verify("--as", "nobody", path=entry)
    assert out.returncode == 1, out.stdout + out.stderr
    (line,) = [line for line in out.stdout.splitlines() if f"user nobody can read {entry} " in line]
    assert line.startswith("FAIL sys.path[")
    end = f"(cannot read {entry})" if closing == entry else f"(cannot read {entry}: cannot enter the folder {closing})"
    assert line.endswith(end), line
    assert "replace.preload()" in out.stdout.splitlines()[-1]


def test_verify_as_uses_the_groups_of_the_user(place):
    """In the database, daemon has the group daemon (1). The child gets that group."""
    (place / "entry").mkdir()
    os.chown(place / "entry", 0, replace.Identity.from_user("daemon").gid)
    (place / "entry").chmod(0o750)
    for user, word in (("daemon", "ok"), (str(replace.Identity.from_user("daemon").uid), "ok"), ("nobody", "FAIL")):
        lines = verify("--as", user, path=place / "entry").stdout.splitlines()
        assert [line.split()[0] for line in lines if f"can read {place}/entry" in line] == [word]


def test_verify_as_root_finds_nothing_closed(place):
    out = verify("--as", "root", path=closed_folder(place, "above")[0])
    assert out.returncode == 0, out.stdout
    assert "user root can read Python's files" in out.stdout
    for name in (
        "interpreter",
        "standard library",
        *(["lib-dynload"] if any(entry.endswith("lib-dynload") for entry in sys.path) else []),  # PyPy has none
        "this package",
        "files of this package",
        "sys.path[",
    ):
        assert f"ok   {name}" in out.stdout


def test_verify_as_reports_closed_folders_in_json_and_tap(place):
    entry, closing = closed_folder(place, "above")
    document = json.loads(verify("--as", "nobody", "--json", path=entry).stdout)
    (check,) = [check for check in document["checks"] if str(entry) in check["claim"]]
    assert (document["exit_status"], document["user"], check["status"]) == (1, "nobody", "contradicted")
    assert check["detail"] == f"cannot read {entry}: cannot enter the folder {closing}"
    tap = verify("--as", "nobody", "--tap", path=entry).stdout
    assert tap.startswith("TAP version 14\n1..")
    assert f'message: "cannot read {entry}: cannot enter the folder {closing}"' in tap


@pytest.mark.parametrize("user", ["no-such-user", "4000000001", "99999999999999", "9" * 5000, "-1", "", "²"], ids=len)
def test_verify_as_an_unknown_user_exits_with_2(user):
    out = verify(f"--as={user}")
    assert (out.returncode, out.stdout) == (2, "")
    assert out.stderr == f"libreplace verify: there is no user {user!r}; give a name or a uid\n"


def test_verify_as_without_root_exits_with_2():
    code = "import os, replace; from replace._cli import verify; document = replace.report(); replace.preload()"
    # the user may be unable to read the installed report
    code += "; verify.report = main.__globals__['report'] = lambda: document; sys.path[0] = '/'"
    needs_root_or_user()
    if os.geteuid() == 0:
        code += "; os.setgroups([]); os.setresuid(80001, 80001, 80001)"
    out = verify("--as", "root", code=code)
    assert out.returncode == 2, out.stdout + out.stderr
    assert "needs root" in out.stdout
    assert "some checks could not run" in out.stdout


def test_verify_as_calls_a_relative_entry_dangerous():
    for entry, words in (("", "an empty entry means"), ("lib", "'lib' is below")):
        out = verify("--as", "root", code=f"sys.path[0] = {entry!r}")
        assert out.returncode == 1
        assert f"FAIL sys.path[0]              the entry is absolute (DANGEROUS: {words} the working" in out.stdout


def test_way_to_follows_symbolic_links(place):
    (place / "target").mkdir()
    (place / "link").symlink_to("target")
    way = way_to(str(place / "link"))
    assert (way[0], way[-1]) == ("/", str(place / "target"))
    assert str(place / "link") in way
    assert closed_at(str(place / "link"), way) == ""
