# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""help(), dir() and inspect.signature() of the public API, its docstrings, and the metadata of acting_as objects."""

import ast
import copy
import functools
import inspect
import pickle
import pydoc
import re
import sys

import pytest
from calls import CALLS
from support.builds import ROOT, run
from support.children import IS_PYPY

import replace

ALICE = replace.Identity(80001, 80011, [80021])
CALLABLES = [
    name for name in replace.__all__ if callable(getattr(replace, name)) and name not in ("Level", "OnFailure")
]


def public_callables():
    """Yield (name, object) for each public function, class and method."""
    for name in CALLABLES:
        thing = getattr(replace, name)
        yield name, thing
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and inspect.isroutine(value):
                    yield f"{name}.{member}", getattr(thing, member)


PUBLIC = dict(public_callables())
#: All of them except the classes that only the package instantiates.
WITH_PARAMETERS = [
    name for name, thing in PUBLIC.items() if not (isinstance(thing, type) and issubclass(thing, Exception | tuple))
]


def test_dir_lists_every_public_name_and_no_other():
    assert dir(replace) == sorted(replace.__all__)


def test_dir_lists_names_that_are_not_loaded_yet():
    out = run(
        sys.executable, "-c", "import sys, replace; print(*dir(replace)); print('typing' in sys.modules)", cwd="/"
    )
    names, loaded = out.stdout.splitlines()
    assert {"IdentityExecutor", "Account", "Guard", "Level", "OnFailure", "ffi", "lib"} <= set(names.split()), (
        out.stderr
    )
    assert loaded == "False"


def test_help_begins_with_impersonate_and_names_everything():
    text = pydoc.plain(pydoc.render_doc(replace))
    description = text[text.index("DESCRIPTION") : text.index("PACKAGE CONTENTS")]
    assert re.findall(r"^ {8}(\w+) ", description, re.M)[0] == "impersonate"
    calls = {call.name for call in CALLS}
    assert not [name for name in set(replace.__all__) - calls if not re.search(rf"\b{name}\b", description)]
    assert not [name for name in replace.__all__ if not re.search(rf"^    (class |async )?{name}\b", text, re.M)]


def test_help_of_the_types_of_options_explains_each_value():
    for kind in (replace.Level, replace.OnFailure):
        text = pydoc.plain(pydoc.render_doc(kind))
        assert all(f'``"{value}"``' in text for value in kind.__args__)


def signature(name):
    if IS_PYPY and name == "Guard":
        pytest.skip("needs inspect to read the signature of a type in C; PyPy's cannot")
    return inspect.signature(PUBLIC[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_callable_has_a_signature(name):
    assert signature(name)


def test_signature_of_acting_as_has_the_options_of_impersonate():
    def options(function):
        found = inspect.signature(function).parameters.values()
        return {(p.name, p.default) for p in found if p.kind is p.KEYWORD_ONLY}

    expected = options(replace.impersonate) - {("across_yield", False)}
    assert len(expected) == 4
    for function in (replace.acting_as, replace.impersonated):
        assert options(function) == expected
    names = {name for name, _ in options(replace.run_as)}  # its level may be that of the pool
    assert names == {name for name, _ in expected} | {"executor", "abandon_on_cancel"}


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_docstring_lists_the_parameters_and_the_result(name):
    thing = PUBLIC[name]
    text = inspect.getdoc(thing)
    assert text.splitlines()[0].endswith("."), "the first line is a sentence"
    parameters = [p for p in signature(name).parameters if p != "self"]
    if name in ("ThreadCredentials", "Resolve"):
        parameters = []  # their attributes are documented
    for parameter in parameters:
        assert re.search(rf"^Args:\n(?:    .*\n|\n)*?    {parameter}: ", text, re.M), parameter
    returned = signature(name).return_annotation
    if not isinstance(thing, type) and returned not in ("None", inspect.Signature.empty):
        assert "Returns:" in text
    if name in ("Guard.check", "open_beneath") or name.startswith("get"):
        assert "Returns:" in text


@pytest.mark.parametrize("name", ["Identity", "Account", "ThreadCredentials", "Resolve"])
def test_docstring_describes_every_attribute(name):
    kind = getattr(replace, name)
    attributes = [n for n, value in vars(kind).items() if n[0] != "_" and not callable(getattr(kind, n))]
    for attribute in attributes:
        value = vars(kind)[attribute]
        described = (
            value.__doc__
            if isinstance(value, property)
            else re.search(rf"^    {attribute}: ", inspect.getdoc(kind), re.M)
        )
        assert described, attribute


def test_native_stub_has_the_docstrings_of_the_extension():
    stub = ast.parse((ROOT / "replace" / "_native.pyi").read_text())
    found = {
        node.name: ast.get_docstring(node) for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    (guard,) = (node for node in stub.body if getattr(node, "name", "") == "Guard")
    for name in [call.name for call in CALLS] + ["open_beneath", "Guard"]:
        assert found[name] == inspect.getdoc(getattr(replace, name)), name
    for node in guard.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert ast.get_docstring(node) == inspect.getdoc(getattr(replace.Guard, node.name)), node.name


# ---- Objects that acting_as() returns


def documented(one, two=0):
    """The docstring."""


def acting(function, **options):
    return replace.acting_as(ALICE, function, allow_process=True, **options)


def test_acting_as_has_the_metadata_of_its_function():
    call = acting(documented)
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(call, name) == getattr(documented, name)
    assert call.__wrapped__ is documented
    assert inspect.signature(call) == inspect.signature(documented)


class Adder:
    """Adds."""

    def __call__(self, one):
        return one + 1


@pytest.mark.parametrize("function", [functools.partial(documented, 1), Adder(), len, str.upper, [].append])
def test_acting_as_adds_no_metadata_that_its_callable_lacks(function):
    call = acting(function)
    for name in ("__name__", "__qualname__", "__doc__"):
        assert getattr(call, name, None) == getattr(function, name, None)
    assert call.__module__ == getattr(function, "__module__", "replace")


@pytest.mark.parametrize("function", [documented, functools.partial(documented, 1), Adder(), len])
def test_pickled_acting_as_has_the_same_metadata(function):
    call = acting(function, level="real")
    copy = pickle.loads(pickle.dumps(call))
    assert getattr(copy, "__name__", None) == getattr(call, "__name__", None)
    assert (copy.__doc__, copy.identity, type(copy)) == (call.__doc__, ALICE, replace.acting_as)


def test_repr_of_acting_as_shows_identity_function_and_options():
    text = repr(replace.acting_as(ALICE, len, level="real", allow_process=True))
    assert text == f"acting_as({ALICE!r}, <built-in function len>, level='real', allow_process=True)"


class Box:
    """Has methods."""

    def __init__(self, size=1):
        self.size = size

    def method(self, one):
        """A method."""

    @classmethod
    def of_class(cls, one):
        """A class method."""


@pytest.mark.parametrize(
    "function",
    [documented, Box, Box.method, Box().method, Box.of_class, acting(documented)],
    ids=lambda f: f.__qualname__,
)
def test_help_and_signature_of_acting_as_show_the_callable(function):
    call = acting(function)
    assert inspect.signature(call) == inspect.signature(function)
    shown = pydoc.plain(pydoc.render_doc(call))
    assert f"{function.__name__}{inspect.signature(function)}" in shown
    assert function.__doc__ in shown
    assert "As for :func:`impersonate`" not in shown


@pytest.mark.parametrize("function", [functools.partial(documented, 1), Adder()])
def test_help_and_signature_of_acting_as_without_a_name(function):
    call = acting(function)
    assert inspect.signature(call) == inspect.signature(function)
    assert "acting_as(Identity(uid=80001" in pydoc.plain(pydoc.render_doc(call))


def test_acting_as_can_be_wrapped_and_copied():
    call = acting(documented, level="real")
    wrapper = functools.wraps(call)(lambda *args: call(*args))
    assert (wrapper.__name__, wrapper.__doc__, wrapper.__wrapped__) == ("documented", "The docstring.", call)
    assert inspect.signature(wrapper) == inspect.signature(documented)
    assert wrapper.__annotations__ == {}
    for twin in (copy.copy(call), copy.deepcopy(call)):
        assert (repr(twin), twin.__name__, inspect.signature(twin)) == (
            repr(call),
            "documented",
            inspect.signature(documented),
        )


def test_acting_as_can_be_an_annotation_with_types_at_run_time():
    kind = replace.acting_as[[int], str]
    assert (kind.__origin__, kind.__args__) == (replace.acting_as, ([int], str))
    assert type(kind(ALICE, chr, allow_process=True)) is replace.acting_as
    assert replace.acting_as.__mro__ == (replace.acting_as, object)


# ---- Executors


@pytest.mark.per_thread
def test_repr_of_an_executor_and_of_a_bound_one():
    with replace.IdentityExecutor(3, "prefix", level="real") as pool:
        shown = "<replace.IdentityExecutor prefix max_workers=3 level=real>"
        assert repr(pool) == shown
        assert repr(pool.bound(ALICE)) == f"<tasks as {ALICE!r} in {shown}>"
    assert repr(pool) == "<replace.IdentityExecutor prefix max_workers=3 level=real, shut down>"


def test_repr_of_an_executor_without_a_pool():
    pool = replace.IdentityExecutor.__new__(replace.IdentityExecutor)  # as if __init__() had raised
    assert repr(pool).startswith("<replace.IdentityExecutor object at ")


# ---- Guard


def test_guard_cannot_be_constructed_directly():
    with pytest.raises(TypeError, match="cannot create"):
        replace.Guard()
    assert isinstance(replace.impersonate(ALICE, allow_process=True), replace.Guard)
    assert repr(replace.Guard) == "<class 'replace.Guard'>"
