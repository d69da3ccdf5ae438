# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Programs frozen by PyInstaller and cx_Freeze: everything of docs/packaging.md's section "Frozen programs" works.

Each program runs in a folder of its own, without the environment in which it was made. It tells which files it has
loaded.
"""

import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, run, tool
from support.children import needs_root

import replace

PAGE = (ROOT / "docs" / "packaging.md").read_text()
SECTION = PAGE.split("## Frozen programs")[1].split("\n## ")[0]
CX_FREEZE = ["cx_Freeze", "build_exe", "--script", "program.py", "--target-dir", "dist/program"]
ONE_FILE = "PyInstaller, one file"
#: How the program is frozen -> the command.
FORMS = {
    "PyInstaller, a folder": ["PyInstaller", "program.py"],
    ONE_FILE: ["PyInstaller", "--onefile", "program.py"],
    "cx_Freeze, a folder": CX_FREEZE,
    "cx_Freeze, a zip file": [*CX_FREEZE, "--zip-include-packages", "replace"],
}

PROGRAM = '''
import asyncio, json, os, subprocess, sys, warnings
import replace

def late():
    """Use cffi's module for the first time under an identity."""
    try:
        return replace.ffi.string(replace.lib.LIBREPLACE_BACKEND).decode()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def write(name):
    with open(os.path.join(sys.argv[1], name), "x"):
        return os.geteuid()

def output(*words, **options):
    process = replace.popen_as(alice, words, stdout=subprocess.PIPE, **options)
    return process.communicate()[0].decode()

def paths():
    """The files of the loaded modules, and all mapped files."""
    found = {getattr(module, "__file__", None) for module in sys.modules.values()} - {None}
    with open("/proc/self/maps") as maps:
        found.update(line.split(None, 5)[5].strip() for line in maps if "/" in line)
    return sorted(path for path in found if path.startswith("/"))

alice, facts = replace.Identity(80001, 80011), {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    replace.protect_os()
facts["warnings"] = [str(warning.message) for warning in caught]
if "preload" in sys.argv:
    replace.preload("colorsys")
with replace.impersonate(alice):
    write("block")
    facts["late"] = late()
    if "preload" in sys.argv:
        import colorsys
facts["later"] = late()
with replace.IdentityExecutor(2) as pool:
    pool.submit(alice, write, "pool").result()
async def serve():
    await replace.run_as(alice, write, "run_as")
asyncio.run(serve())
facts["ids"] = output("id", "-u")
facts["environment"] = output("env").splitlines()
ENVIRONMENT
facts["prepared"] = output("env", env=environment).splitlines()
facts["version"] = replace.__version__
facts["build"] = replace.ffi.string(replace.lib.libreplace_build_info(b"version")).decode()
facts["report"] = replace.report()
facts["account"] = replace.Account.lookup("root")[:3]
facts["paths"] = paths()
replace.drop_privileges(alice)
facts["ids of the end"] = os.getresuid()
with open(f"/proc/{os.getppid()}/status") as status:
    facts["parent"] = status.read()
print(json.dumps(facts))
'''


def freeze(words, folder):
    """Run a command that freezes a program. If something is missing on this machine, skip the test."""
    needs_package("pyinstaller", "cx_Freeze")
    tool("objdump", "reads libraries")
    out = run(*words, cwd=folder)
    if re.search("Python library not found|without a shared library", out.stderr):
        python = f"libpython{sysconfig.get_config_var('VERSION')}"
        pytest.skip(f"needs the shared library {python} (Debian: {python}; elsewhere: configure --enable-shared)")
    assert out.returncode == 0, out.stdout + out.stderr


@pytest.fixture(scope="module", params=FORMS)
def frozen(request):
    """The form, and the path of the executable in a folder that users can read."""
    needs_root()
    form = request.param
    (environment,) = re.findall(r"^environment = .*", SECTION, re.M)
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        Path(folder, "program.py").write_text(PROGRAM.replace("ENVIRONMENT", environment))
        freeze([sys.executable, "-m", *FORMS[form], "--silent" if "cx" in form else "--log-level=ERROR"], folder)
        place = Path(folder, "elsewhere")
        shutil.move(Path(folder, "dist", "program"), place)
        yield form, place if form == ONE_FILE else place / "program"


def facts(executable, *words):
    """Run the program in an empty environment. Return what it says, and the owners of the files that it makes."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o777)
        env = ["env", "-i", f"PATH={os.defpath}", f"TMPDIR={tempfile.gettempdir()}"]
        out = run(*env, executable, folder, *words, cwd="/")
        assert out.returncode == 0, out.stdout + out.stderr
        owners = {
            name: (Path(folder, name).stat().st_uid, Path(folder, name).stat().st_gid) for name in os.listdir(folder)
        }
    return json.loads(out.stdout), owners


@pytest.mark.per_thread
def test_frozen_program_acts_as_users(frozen):
    said, owners = facts(frozen[1], "preload")
    assert owners == dict.fromkeys(["block", "pool", "run_as"], (80001, 80011))
    assert said["ids"] == "80001\n"
    assert said["account"] == ["root", 0, 0]
    assert said["late"] == said["later"] == replace.report()["verdict"]["backend"]
    assert said["version"] == said["build"] == replace.__version__
    assert said["report"] == replace.report()


@pytest.mark.per_thread
def test_frozen_program_uses_no_file_of_the_environment(frozen):
    said, _ = facts(frozen[1], "preload")
    environments = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")} - {
        "/usr"
    }
    used = [path for path in said["paths"] if any(path.startswith(f"{place}/") for place in environments)]
    assert used == []
    assert any("_native" in path for path in said["paths"])


@pytest.mark.per_thread
def test_imports_under_an_identity_fail_only_in_one_file(frozen):
    """The folder into which one file unpacks itself is open only to the server. preload() is the remedy."""
    form, executable = frozen
    said, owners = facts(executable)
    backend = replace.report()["verdict"]["backend"]
    assert owners == dict.fromkeys(["block", "pool", "run_as"], (80001, 80011))
    assert said["later"] == backend, "a failed import breaks nothing for the server"
    if form == ONE_FILE:
        assert re.search(r"users cannot read \S+/_MEI\w+; imports under an identity will fail", *said["warnings"])
        assert said["late"] != backend
    else:
        assert said["warnings"] == []
        assert said["late"] == backend


def test_parent_of_one_file_keeps_root_when_the_program_drops_it(frozen):
    form, executable = frozen
    said, _ = facts(executable, "preload")
    assert said["ids of the end"] == [80001] * 3
    name = re.search("^Name:\t(.*)", said["parent"])[1]
    assert (name == executable.name) == (form == ONE_FILE)
    if form == ONE_FILE:
        assert re.search(r"^Uid:\t0\t0\t0\t0$", said["parent"], re.M)


@pytest.mark.per_thread
def test_environment_of_the_page_keeps_the_folder_of_the_program_from_children(frozen):
    form, executable = frozen
    said, _ = facts(executable, "preload")
    inherited, prepared = (
        dict(line.split("=", 1) for line in said[name] if "=" in line) for name in ("environment", "prepared")
    )
    if "PyInstaller" in form:
        assert {"LD_LIBRARY_PATH", "_PYI_ARCHIVE_FILE"} <= set(inherited) - set(prepared)
        assert ("/_MEI" in inherited["LD_LIBRARY_PATH"]) == (form == ONE_FILE)
        assert not re.search(r"/_MEI|/elsewhere", str(prepared))
    else:
        assert inherited == prepared
        assert "LD_LIBRARY_PATH" not in inherited


@pytest.mark.parametrize("command", re.findall(r"^(?:pyinstaller|cxfreeze) .*server\.py.*", SECTION, re.M))
def test_command_of_the_page_leaves_cffi_out(command, tmp_path):
    program = "import replace; replace.preload(); print(replace.__version__, flush=True); replace.ffi\n"
    (tmp_path / "server.py").write_text(program)
    freeze(command.split(), tmp_path)
    (executable,) = [*tmp_path.glob("dist/server/server"), *tmp_path.glob("build/exe*/server")]
    out = run("env", "-i", executable, cwd="/")
    assert out.stdout == f"{replace.__version__}\n", out.stderr
    assert "replace.ffi and replace.lib need the module _cffi_backend" in out.stderr
