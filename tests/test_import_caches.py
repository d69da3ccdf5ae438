# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""An import under an identity puts nothing into the import caches that would hide files from the server.

Each test uses real folders that are closed to the user, in a new Python process.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from support.builds import run
from support.children import needs_root

from replace import _import_caches

pytestmark = pytest.mark.per_thread

START = """
import importlib, os, sys, threading
import replace
from importlib import metadata

place = {place!r}
alice = replace.Identity(80001, 80011)

def as_alice(function, *arguments):
    "Call the function under the identity; return its result or the name of its exception."
    try:
        with replace.impersonate(alice):
            return function(*arguments)
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture
def place():
    """A folder that users can read. Tests make closed folders in it."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def python(place, script):
    """Run the script in a new Python process; return the words that it prints."""
    out = run(sys.executable, "-c", START.format(place=str(place)) + script, cwd="/")
    assert out.returncode == 0, out.stderr
    return out.stdout.split()


def write(folder, **files):
    """Make a folder with modules; the keywords are the names and texts of the modules."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


#: Ways to close a folder of sys.path: the modes of its parent and of the folder.
CLOSED = {"parent closed": (0o700, 0o755), "folder closed": (0o755, 0o700), "listing closed": (0o755, 0o711)}


@pytest.fixture(params=CLOSED)
def closed(request, place):
    folder = write(place / "above" / "closed", late="", later="", latest="")
    above, own = CLOSED[request.param]
    folder.chmod(own)
    folder.parent.chmod(above)
    return folder


@pytest.mark.parametrize("before", ["", "import latest; importlib.invalidate_caches()"], ids=["not cached", "cached"])
def test_server_imports_a_module_after_the_user_failed(place, closed, before):
    script = f"sys.path.append({str(closed)!r}); {before}\n"
    script += "print(as_alice(importlib.import_module, 'late'))\nimport late; print(late.__name__)\n"
    script += "print(as_alice(importlib.import_module, 'later'))\nimport later; print(later.__name__)"
    assert python(place, script) == ["ModuleNotFoundError", "late", "ModuleNotFoundError", "later"]


def test_import_by_the_user_does_not_cache_closed_folders(place, closed):
    write(place / "open", other="import os; euid = os.geteuid()")
    script = f"sys.path[:] = [{str(closed)!r}, {str(place / 'open')!r}] + sys.path\n"
    script += "print(as_alice(importlib.import_module, 'other').euid)\nimport late; print(late.__name__)"
    assert python(place, script) == ["80001", "late"]


def test_server_imports_while_a_switched_thread_fails(place, closed):
    script = f"""
sys.path.append({str(closed)!r})
turns, answers = [threading.Semaphore(0) for _ in range(2)], []
def work():
    with replace.impersonate(alice):
        for name in ("late", "later"):
            turns[0].acquire()
            try: importlib.import_module(name)
            except ImportError as error: answers.append(type(error).__name__)
            turns[1].release()
        turns[0].acquire()
thread = threading.Thread(target=work, daemon=True)  # a failed test must not wait for this thread
thread.start()
for name in ("late", "later"):
    turns[0].release(); turns[1].acquire()
    answers.append(importlib.import_module(name).__name__)
importlib.import_module("latest")
turns[0].release()
thread.join()
print(*answers)
"""
    assert python(place, script) == ["ModuleNotFoundError", "late", "ModuleNotFoundError", "later"]


def test_server_finds_a_codec_after_the_user_failed(place):
    codecs = write(place / "codecs", x_late="from encodings.latin_1 import *", x_fail="")
    codecs.chmod(0o700)
    script = f"""
import encodings, encodings.latin_1
encodings.__path__.append({str(codecs)!r})
print(as_alice("a".encode, "x_late"))
print("a".encode("x_late").decode())
for again in range(2):
    try: "a".encode("x_fail")
    except LookupError: print("unknown", encodings._cache["x_fail"])
"""
    assert python(place, script) == ["LookupError", "a", "unknown", "None", "unknown", "None"]


@pytest.mark.parametrize("first", ["", "import space\n"], ids=["made by the user", "made by the server"])
def test_server_finds_the_closed_folders_of_a_namespace_package(place, first):
    write(place / "open" / "space", one="")
    write(place / "closed" / "space", two="")
    (place / "closed").chmod(0o700)
    script = f"sys.path[:0] = [{str(place / 'open')!r}, {str(place / 'closed')!r}]\n{first}"
    script += "sys.path.append('/nowhere')\nprint(as_alice(importlib.import_module, 'space.one').__name__)\n"
    script += "print(as_alice(importlib.import_module, 'space.two'))\nimport space.two; print(space.two.__name__)"
    assert python(place, script) == ["space.one", "ModuleNotFoundError", "space.two"]


def test_server_imports_a_whole_package_after_a_partial_import_failed(place):
    """Python keeps the submodules of a package that failed. A second import would not set them as attributes."""
    write(place / "half", __init__="from .a import x\nfrom . import closed", a="x = []", closed="")
    (place / "half" / "closed.py").chmod(0o600)
    script = f"""
sys.path.append({str(place)!r})
print(as_alice(importlib.import_module, "half"), "half" in sys.modules)
import half
print(half.a.x is half.x, half.closed.__name__, sys.modules["half.a"] is half.a)
"""
    assert python(place, script) == ["PermissionError", "False", "True", "half.closed", "True"]


def test_server_finds_a_distribution_after_the_user_failed(place):
    """importlib.metadata caches listings of folders."""
    information = place / "closed" / "late-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    information.parent.chmod(0o711)
    script = f"sys.path[:] = [{str(information.parent)!r}]\n"
    script += "print(as_alice(metadata.version, 'late'))\nprint(metadata.version('late'))"
    # the first call of metadata.version() imports modules
    script = "metadata.version('libreplace')\n" + script
    assert python(place, script) == ["PackageNotFoundError", "1.0"]


def test_import_under_an_identity_runs_with_the_ids_of_the_user(place):
    """If sys.path has an empty entry, the user may have written the module in the working directory."""
    write(place, evil="import os; print(os.geteuid(), os.getresuid()[1])")
    script = f"os.chdir({str(place)!r}); sys.path[:] = ['', *sys.path]\n"
    assert python(place, script + "as_alice(importlib.import_module, 'evil')") == ["80001", "80001"]


def test_import_cache_works_as_usual_without_an_identity():
    """Without an identity, each cache works like a dict."""
    cache = _import_caches.forgetful(_import_caches.forgetful({"a": 1}))  # nested, as with a second copy of the package
    cache["b"] = 2
    assert cache.setdefault("b", 3) == cache.get("b") == cache["b"] == 2
    assert ("a" in cache, dict(cache)) == (True, {"a": 1, "b": 2})


def test_import_cache_is_empty_and_unchanged_under_an_identity(place):
    script = """
from replace._import_caches import forgetful
cache = forgetful(forgetful({"a": 1}))
def use():
    cache["b"] = 2
    assert cache.setdefault("c", 3) == 3 and cache.get("a", 4) == 4 and "a" not in cache
    cache["a"]
print(as_alice(use), cache)
"""
    assert python(place, script) == ["KeyError", "{'a':", "1}"]


def test_second_import_of_the_package_adds_no_second_hook():
    script = """
import sys, replace
def hooks(): return [f for f in sys.meta_path if f.__module__ == "replace._import_caches"]
kind = type(sys.path_importer_cache)
for name in [name for name in sys.modules if name.split(".")[0] == "replace" and "_native" not in name]:
    del sys.modules[name]
import replace
print(len(hooks()), sys.meta_path.index(hooks()[0]), type(sys.path_importer_cache) is kind)
"""
    out = run(sys.executable, "-c", script, cwd="/")
    assert out.stdout.split() == ["1", "0", "True"], out.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_process_pool_can_import(place, method):
    write(place, late="def answer(): return 42", pool=POOL)
    out = run(sys.executable, place / "pool.py", method, cwd="/")
    assert (out.stdout, out.returncode) == ("42\n", 0), out.stderr


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import replace

def answer():
    import late
    return late.answer()

if __name__ == "__main__":
    with replace.impersonate(replace.Identity(80001, 80011)):
        pass
    with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as pool:
        print(pool.submit(answer).result())
"""
