# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Bad input raises the right exception and does not change the thread's ids."""

import array
import errno

import pytest
from support.children import in_child, needs_root

import replace

IDS = {  # setter of ids -> number of arguments
    "setuid": 1,
    "setgid": 1,
    "seteuid": 1,
    "setegid": 1,
    "setfsuid": 1,
    "setfsgid": 1,
    "setreuid": 2,
    "setregid": 2,
    "setresuid": 3,
    "setresgid": 3,
}
ONE = [name for name, count in IDS.items() if count == 1]
MANY = [name for name, count in IDS.items() if count > 1]
KIND = {name: name[-3:] for name in IDS}


def current_ids():
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def attempt(name, *arguments):
    """Call a setter in a child; return (exception type, text, errno, whether nothing changed)."""

    def body():
        before = current_ids()
        try:
            getattr(replace, name)(*arguments)
        except Exception as error:
            return type(error), str(error), getattr(error, "errno", None), current_ids() == before
        return None, "", None, current_ids() == before

    return in_child(body)


class Index:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"Index({self.value})"

    def __index__(self):
        return self.value


class IntOnly:
    def __int__(self):
        return 7


BAD = [
    (-2, OverflowError, "is less than minimum"),
    (-(2**64), OverflowError, "is less than minimum"),
    (2**32 - 1, OverflowError, "is greater than maximum"),
    (2**32, OverflowError, "is greater than maximum"),
    (2**64, OverflowError, "is greater than maximum"),
    (None, TypeError, "should be integer, not NoneType"),
    (1.0, TypeError, "should be integer, not float"),
    ("1", TypeError, "should be integer, not str"),
    (b"1", TypeError, "should be integer, not bytes"),
    ([1], TypeError, "should be integer, not list"),
    (IntOnly(), TypeError, "should be integer, not IntOnly"),
]


@pytest.mark.parametrize(("value", "exception", "text"), BAD, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("name", IDS)
def test_bad_id_is_refused_at_every_position(name, value, exception, text):
    for place in range(IDS[name]):
        arguments = [-1] * IDS[name]
        arguments[place] = value
        kind, message, _, unchanged = attempt(name, *arguments)
        assert kind is exception
        assert message == f"{KIND[name]} {text}"
        assert unchanged


@pytest.mark.parametrize("name", ONE)
def test_minus_one_is_einval_for_a_setter_of_one_id(name):
    kind, _, number, unchanged = attempt(name, -1)
    assert issubclass(kind, OSError)
    assert number == errno.EINVAL
    assert unchanged


@pytest.mark.parametrize("name", MANY)
def test_minus_one_leaves_the_ids_unchanged(name):
    assert attempt(name, *[-1] * IDS[name]) == (None, "", None, True)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("count", [-1, 1])
def test_wrong_number_of_arguments_raises_type_error(name, count):
    kind, _, _, unchanged = attempt(name, *[0] * (IDS[name] + count))
    assert kind is TypeError
    assert unchanged


@pytest.mark.parametrize(
    "value",
    [
        2**31,
        2**31 - 1,
        2**32 - 2,
        65536,
        True,
        Index(80001),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", IDS)
def test_good_id_is_set_without_truncation(name, value):
    needs_root()
    number = int(value.__index__())

    def body():
        getattr(replace, name)(*[value] * IDS[name])
        if "fs" in name:
            return [replace.getfsuid() if KIND[name] == "uid" else replace.getfsgid()]
        ids = replace.getresuid() if KIND[name] == "uid" else replace.getresgid()
        return [ids[1]] if name.startswith("sete") else list(ids)

    assert set(in_child(body)) == {number}


def raising():
    yield 1
    raise KeyError("from the generator")


class Raises(list):
    def __iter__(self):
        yield 0
        raise KeyError("from the sequence")


@pytest.mark.parametrize(
    ("groups", "exception", "text"),
    [
        (None, TypeError, "setgroups argument must be a sequence"),
        (5, TypeError, "setgroups argument must be a sequence"),
        ({1, 2}, TypeError, "setgroups argument must be a sequence"),
        ({1: 2}, TypeError, "setgroups argument must be a sequence"),
        ((g for g in (1, 2)), TypeError, "setgroups argument must be a sequence"),
        (raising(), TypeError, "setgroups argument must be a sequence"),
        (Raises([1, 2]), KeyError, "'from the sequence'"),
        ("12", TypeError, "gid should be integer, not str"),
        ([1, 2, None], TypeError, "gid should be integer, not NoneType"),
        ([1, 2, "3"], TypeError, "gid should be integer, not str"),
        ([1, 2, 1.0], TypeError, "gid should be integer, not float"),
        ([1, 2, -2], OverflowError, "gid is less than minimum"),
        ([1, 2, 2**32 - 1], OverflowError, "gid is greater than maximum"),
        ([1, 2, 2**64], OverflowError, "gid is greater than maximum"),
        ([0] * 65537, ValueError, "too many groups"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_bad_groups_are_refused(groups, exception, text):
    kind, message, _, unchanged = attempt("setgroups", groups)
    assert kind is exception
    assert message == text
    assert unchanged


def test_group_minus_one_is_refused_by_the_kernel():
    needs_root()
    kind, _, number, unchanged = attempt("setgroups", [1, -1])
    assert issubclass(kind, OSError)
    assert number == errno.EINVAL
    assert unchanged


@pytest.mark.parametrize(
    "groups",
    [
        [],
        (),
        [0],
        (7,),
        list(range(65536)),
        range(3),
        b"ab",
        bytearray(b"a"),
        array.array("I", [3, 1]),
        [True, Index(5)],
    ],
    ids=lambda g: str(g)[:20],
)
def test_good_groups_are_set(groups):
    needs_root()

    def body():
        replace.setgroups(groups)
        return replace.getgroups()

    assert in_child(body) == sorted(int(g.__index__()) for g in groups)


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ((5, 0), TypeError),
        ((None, 0), TypeError),
        (("ro\0ot", 0), ValueError),
        (("root", "0"), TypeError),
        (("root", 2**32), OverflowError),
        (("root", 2**32 - 1), OverflowError),
        (("root",), TypeError),
    ],
)
def test_bad_arguments_of_initgroups_are_refused(arguments, exception):
    kind, _, _, unchanged = attempt("initgroups", *arguments)
    assert kind is exception
    assert unchanged


def test_initgroups_with_gid_minus_one_fails_with_einval():
    kind, _, number, unchanged = attempt("initgroups", "root", -1)
    assert (kind, number, unchanged) == (OSError, errno.EINVAL, True)
