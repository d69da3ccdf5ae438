# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""NumPy numbers and arrays as ids. tests/test_input.py tests Python's own types."""

import pytest
from support.builds import needs_package
from support.children import in_child, needs_root
from test_input import IDS, KIND, attempt

import replace

needs_package("numpy")
numpy = pytest.importorskip("numpy")


@pytest.mark.parametrize("name", IDS)
def test_numpy_float_is_refused(name):
    kind, message, _, unchanged = attempt(name, *[numpy.float64(1)] * IDS[name])
    assert (kind, message, unchanged) == (TypeError, f"{KIND[name]} should be integer, not float64", True)


@pytest.mark.parametrize(
    "value", [numpy.uint32(2**31 + 5), numpy.int64(80001), numpy.uint16(9)], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_numpy_integer_keeps_its_value(kind, value):
    needs_root()

    def body():
        getattr(replace, f"setres{kind}")(value, value, 0)
        return getattr(replace, f"getres{kind}")()

    assert in_child(body) == (int(value), int(value), 0)


def test_numpy_array_of_groups_is_accepted():
    needs_root()

    def body():
        replace.setgroups(numpy.array([3, 1], dtype=numpy.uint32))
        return replace.getgroups()

    assert in_child(body) == [1, 3]
