# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace verify`: output formats, exit status, and unusual environments."""

import argparse
import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO

from support.builds import in_namespaces, run, tool
from support.children import in_child, install_filter, needs_root, needs_root_or_user, needs_terminal, wait_until

import replace
from replace._cli import checks
from replace._cli import verify as command


def verify(*arguments, prefix=(), env=None):
    return run(*prefix, sys.executable, "-m", "replace", "verify", *arguments, cwd="/", env=env)


def run_verify(form):
    """Run the command in this process; form: text, json, tap or explain."""
    forms = {name: name == form for name in ("json", "tap", "explain")}
    return command.run(argparse.Namespace(user=None, **forms))


def test_verify_by_root_proves_everything_and_keeps_the_ids():
    needs_root()
    before = (replace.getresuid(), replace.getresgid(), replace.getgroups())
    out = verify()
    assert out.returncode == 0, out.stdout
    assert re.search(r"^\d+ proved, 0 contradicted, 0 not run", out.stdout, re.M)
    for call in replace.report()["verdict"]["calls"]:
        row = rf"^{call['name']} +{call['backend']} +{call['symbol']} +{call['scope']} +proved$"
        assert re.search(row, out.stdout, re.M), row
    claim = "does not change other threads" if replace.SCOPE == "thread" else "changes the whole process"
    assert claim in out.stdout
    assert (replace.getresuid(), replace.getresgid(), replace.getgroups()) == before


def test_verify_json_lists_every_check():
    needs_root()
    document = json.loads(verify("--json").stdout)
    assert document["exit_status"] == 0
    assert document["counts"]["proved"] == len(document["checks"]) > 15
    assert document["scope"] == replace.SCOPE


def test_verify_tap_numbers_every_check():
    needs_root()
    lines = verify("--tap").stdout.splitlines()
    assert lines[0] == "TAP version 14"
    count = int(lines[1].removeprefix("1.."))
    assert [line.split(" - ")[0] for line in lines[2:]] == [f"ok {n}" for n in range(1, count + 1)]


def test_verify_without_root_names_the_checks_that_need_root():
    needs_root_or_user()
    if os.geteuid() == 0:
        document = replace.report()  # the user may be unable to read the installed report

        def as_user():
            command.report = lambda: document
            replace.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            text = StringIO()
            with redirect_stdout(text):
                status = run_verify("text")
            return status, text.getvalue()

        status, text = in_child(as_user)
    else:
        out = verify()
        status, text = out.returncode, out.stdout
    assert status == 2
    assert "needs root" in text
    assert re.search(r"^5 proved, 0 contradicted", text, re.M)


def test_verify_explains_the_limits_of_a_user_namespace():
    out = verify("--explain", prefix=in_namespaces("-Ur"))
    assert out.returncode == 2, out.stdout + out.stderr
    assert "EINVAL: setresuid" in out.stdout
    assert "this user namespace does not map the id" in out.stdout
    assert "this user namespace maps too few ids for user, group, other, high" in out.stdout
    assert "map more ids into this user namespace" in out.stdout


def test_verify_without_openat2_contradicts_nothing():
    needs_root()

    def body():
        install_filter("openat2", errno.ENOSYS)
        text = StringIO()
        with redirect_stdout(text):
            status = run_verify("text")
        return status, text.getvalue()

    status, text = in_child(body)
    assert status == 0
    assert re.search(
        r"^ok +open_beneath .*ENOSYS: the kernel, a seccomp filter or the build's headers lack openat2", text, re.M
    )


def test_verify_names_fakeroot():
    out = verify("--explain", prefix=(tool("fakeroot", "fakes root"),))
    assert out.returncode == 2
    assert "needs real root: fakeroot replaces libc's calls" in out.stdout
    assert "0 contradicted" in out.stdout


def test_verify_shows_its_progress_on_a_terminal():
    needs_terminal()
    master, terminal = pty.openpty()
    words = [sys.executable, "-m", "replace", "verify"]
    with subprocess.Popen(words, stdout=terminal, stdin=subprocess.DEVNULL, cwd="/") as child:
        os.close(terminal)
        text = b""
        try:
            with suppress(OSError):  # EIO: nobody has the terminal open any more
                while data := os.read(master, 4096):
                    text += data
        finally:
            child.kill()
            os.close(master)
    assert b"\r[1/" in text
    assert b"verdict ...\x1b[K" in text
    assert b"\\u" not in text


def test_verify_leaves_no_folder_after_a_signal(tmp_path):
    tmp_path.chmod(0o777)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        command = [sys.executable, "-m", "replace", "verify"]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        child = subprocess.Popen(command, **streams, env={**os.environ, "TMPDIR": str(tmp_path)}, cwd="/")
        try:
            wait_until(lambda: list(tmp_path.iterdir()), "the folder")
            child.send_signal(number)
            assert child.wait(60) == -number
        finally:
            child.kill()
            child.wait()
        assert list(tmp_path.iterdir()) == []


def test_verify_works_if_sigchld_is_ignored():
    ignored = run(tool("env", "ignores signals"), "--ignore-signal", sys.executable, "-m", "replace", "verify", cwd="/")
    assert "cannot start a process" not in ignored.stdout
    assert ignored.returncode == verify().returncode


def test_verify_exits_with_1_on_a_contradiction(monkeypatch, capsys):
    def lies(machine):
        raise AssertionError("another result")

    def dies(machine):
        os._exit(7)

    plan = [
        checks.Check("lies", "claim", lies),
        checks.Check("dies", "claim", dies),
        checks.Check("holds", "claim", lambda machine: None),
    ]
    monkeypatch.setattr(checks, "all_checks", lambda document: plan)
    assert run_verify("text") == 1
    text = capsys.readouterr().out
    assert "FAIL lies" in text
    assert "another result" in text
    assert "the child ended with status 7" in text
    assert "1 proved, 2 contradicted" in text
    assert "do not use this build" in text


def test_verify_exits_with_2_if_nothing_can_run(monkeypatch, capsys):
    monkeypatch.setattr(checks, "all_checks", lambda document: [])
    assert run_verify("json") == 2
    assert json.loads(capsys.readouterr().out)["exit_status"] == 2
