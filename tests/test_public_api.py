# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The public API equals the list in public_api.txt, and no public object names a private module.

After an intended change: python tests/test_public_api.py > tests/public_api.txt
"""

import difflib
import inspect
import pickle
import pickletools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builds import run
from support.children import IS_PYPY

import replace
import replace.aio
import replace.wsgi

LIST = Path(__file__).with_name("public_api.txt")
ALICE = replace.Identity(80001, 80011, [80021])
#: Types that public functions return and that have no public name.
RETURNED = {
    "impersonated() -> Impersonated": type(replace.impersonated(ALICE, [], allow_process=True)),
}
SPECIAL = ("__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__")


def signature(thing: Any) -> str:
    written_in_c = not hasattr(thing, "__code__") and not isinstance(thing, type)
    if written_in_c and thing.__text_signature__ is None:
        return "(...)"
    return str(inspect.signature(thing, follow_wrapped=False))


def members(kind: type) -> Iterator[str]:
    """Yield a line for each member that a class itself defines."""
    for name, value in sorted(vars(kind).items()):
        bare = getattr(value, "__func__", value)
        if name.startswith("_") and name not in SPECIAL:
            continue
        if isinstance(value, property):
            yield f"    property {name}{signature(value.fget)}"
        elif callable(bare):
            yield f"    {'' if bare is value else type(value).__name__ + ' '}{name}{signature(bare)}"
        else:
            yield f"    {name}: {'attribute' if inspect.isdatadescriptor(value) else type(value).__name__}"


def public_api() -> str:
    """Return the public API as text."""
    lines = []
    things = {name: getattr(replace, name) for name in sorted([*replace.__all__, "__version__"])}
    for module in (replace.wsgi, replace.aio):
        prefix = module.__name__.removeprefix("replace.")
        things |= {f"{prefix}.{name}": getattr(module, name) for name in module.__all__}
    for name, thing in things.items():
        if isinstance(thing, type):
            bases = ", ".join(base.__qualname__ for base in thing.__bases__)
            lines += [f"class {name}({bases}){signature(thing)}", *members(thing)]
        elif inspect.isroutine(thing):
            lines.append(f"{'async ' if inspect.iscoroutinefunction(thing) else ''}{name}{signature(thing)}")
        else:
            lines.append(f"{name}: {type(thing).__name__}")
    for title, kind in RETURNED.items():
        lines += [title, *members(kind)]
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(IS_PYPY, reason="needs CPython's inspect: PyPy's shows types in C in another way")
def test_public_api_equals_the_list():
    wanted, found = LIST.read_text().splitlines(), public_api().splitlines()
    changes = "\n".join(difflib.unified_diff(wanted, found, "the list", "the package", n=0, lineterm=""))
    assert not changes, f"{changes}\nIf this change is intended: python tests/test_public_api.py > tests/public_api.txt"


@pytest.mark.parametrize("name", replace.__all__)
def test_public_name_belongs_to_the_package_itself(name):
    thing = getattr(replace, name)
    assert getattr(thing, "__module__", "replace") == ("typing" if name in ("Level", "OnFailure") else "replace")
    assert not any(kind.__module__.startswith("replace._") for kind in getattr(thing, "__mro__", ()))


def pickled() -> Iterator[Any]:
    """Yield each public function and class, and a picklable object of each public type."""
    yield from (getattr(replace, name) for name in replace.__all__ if name not in ("ffi", "lib"))
    yield ALICE
    yield replace.acting_as(ALICE, len, level="real", allow_process=True)
    yield replace.impersonated(ALICE, [1, 2], allow_process=True)
    yield replace.IdentityRefused("no", ALICE, 1)
    yield from (kind(1, ALICE, "verifying", "tainted") for kind in error_kinds(replace.IdentityError))
    if sys.platform == "linux":
        yield from (threads := replace.thread_credentials())
        yield replace.ThreadsDiffer("they differ", tuple(threads))


def error_kinds(kind: type) -> list[type]:
    return [kind, *(further for below in kind.__subclasses__() for further in error_kinds(below))]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_names_no_private_module(protocol):
    for thing in pickled():
        data = pickle.dumps(thing, protocol)
        names = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
        assert not [name for name in names if "replace._" in name], thing
        assert type(pickle.loads(data)) is type(thing)


def test_guard_cannot_be_pickled():
    """A guard belongs to this process. Send the result of acting_as() to other processes."""
    guard = replace.impersonate(ALICE, allow_process=True)
    if IS_PYPY:
        with pytest.raises(TypeError, match="cannot create 'Guard' instances"):
            pickle.loads(pickle.dumps(guard))
    else:
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(guard)


def test_guarded_os_call_is_pickled_by_its_name():
    script = (
        "import os, pickle, replace; plain = pickle.dumps(os.setuid); replace.protect_os()\n"
        "print(pickle.dumps(os.setuid) == plain, pickle.loads(plain) is os.setuid)"
    )
    out = run(sys.executable, "-c", script, cwd="/")
    assert out.stdout.split() == ["True", "True"], out.stderr


if __name__ == "__main__":
    print(public_api(), end="")
