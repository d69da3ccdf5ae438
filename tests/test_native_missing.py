# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""_native_missing.py: if the C part cannot be imported, the ImportError says why, and what you can do."""

import os
import shutil
import sys
import sysconfig

import pytest
from support.builds import ROOT, copy_source, run

import replace
from replace import _native

INSTALLED = os.path.dirname(replace.__file__)
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def fails(*words, path, cwd="/", options=("-S",)):
    """Run Python, which must fail; return the last line of the error, and all of it. -S leaves site-packages out."""
    out = run(sys.executable, *options, *words, env={"PYTHONPATH": str(path)}, cwd=cwd)
    assert out.returncode == 1, out.stdout + out.stderr
    return out.stderr.splitlines()[-1], out.stderr


def copy_package(folder, *, source=False):
    """Copy the package without its compiled file, as in a broken installation or in the source folder."""
    return copy_source(ROOT / "replace", folder, "_native.*.so", *([] if source else ["native"]))


@pytest.mark.parametrize("words", [("-c", "import replace"), ("-m", "replace"), ("-c", "import replace._identity")])
def test_import_in_the_source_folder_says_how_to_install(tmp_path, words):
    copy_package(tmp_path / "replace", source=True)
    last, whole = fails(*words, path="", cwd=tmp_path)
    assert last.startswith(
        f"ImportError: {tmp_path / 'replace'} is the source folder of replace, and its C part is not"
    )
    assert f"pip install {tmp_path}`, and run Python in another folder" in last
    assert "No module named 'replace._native'" in whole, "the error also shows its cause"


def test_import_in_the_source_folder_names_the_hidden_installation(tmp_path):
    copy_package(tmp_path / "replace", source=True)
    last, _ = fails("-c", "import replace", path=os.path.dirname(INSTALLED), cwd=tmp_path)
    assert f"replace is also installed in {INSTALLED}, which comes later in sys.path" in last
    assert f"run Python in another folder, or remove {tmp_path} from sys.path" in last


def test_import_of_a_vendored_source_names_the_vendored_package(tmp_path):
    (tmp_path / "host").mkdir()
    copy_package(tmp_path / "host" / "vendored", source=True)
    last, _ = fails("-c", "import host.vendored", path=tmp_path)
    assert "the source folder of host.vendored" in last
    assert "build and install the project that contains host.vendored first" in last


def test_installation_without_its_compiled_file_is_incomplete(tmp_path):
    folder = copy_package(tmp_path / "replace")
    last, _ = fails("-c", "import replace", path=tmp_path)
    assert f"the installation of replace in {folder} is incomplete" in last
    assert "install libreplace again with this Python" in last
    assert "source folder" not in last


def test_compiled_file_for_another_python_is_named(tmp_path):
    folder = copy_package(tmp_path / "replace")
    (folder / "_native.cpython-36m-sparc-linux-gnu.so").touch()
    last, _ = fails("-c", "import replace", path=tmp_path)
    assert "was built for another Python (_native.cpython-36m-sparc-linux-gnu.so; this one is" in last
    assert "install libreplace again with this Python" in last


def test_compiled_file_that_cannot_be_loaded_is_named(tmp_path):
    folder = copy_package(tmp_path / "replace")
    (folder / f"_native{SUFFIX}").write_bytes(b"no ELF file")
    last, whole = fails("-c", "import replace", path=tmp_path)
    assert f"the C part of replace cannot be loaded from {folder / f'_native{SUFFIX}'}: " in last
    assert whole.count("ImportError: ") == 2, "the error shows its cause and the explanation"


def test_import_error_keeps_the_name_of_the_module(tmp_path):
    copy_package(tmp_path / "replace")
    code = "try:\n    import replace\nexcept ImportError as e:\n    raise SystemExit(f'{e.name} {type(e.__cause__)}')"
    last, _ = fails("-c", code, path=tmp_path)
    assert last == "replace._native <class 'ModuleNotFoundError'>"


def test_compiled_file_of_another_version_is_reported(tmp_path):
    """The C part lacks a function that the Python part imports."""
    folder = copy_package(tmp_path / "replace")
    shutil.copy(_native.__file__, folder)
    init = folder / "__init__.py"
    init.write_text(init.read_text().replace("        SCOPE,\n", "        SCOPE,\n        a_new_call,\n"))
    last, _ = fails("-c", "import replace", path=tmp_path)
    assert "cannot import name 'a_new_call'" in last
    assert "install libreplace again with this Python" in last
