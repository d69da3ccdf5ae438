# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Identity: what one is made of, and what is refused."""

import os
import pickle

import pytest
from support.children import ALICE, BOB

from replace import Identity

# ---- Identity


def test_identity_is_sorted_hashable_immutable_and_pastes():
    assert ALICE.groups == (80011, 80021)
    assert Identity(80001, 80011, (80011, 80021, 80021)) == ALICE
    assert len({ALICE, Identity(80001, 80011, [80011, 80021]), BOB}) == 2
    assert eval(repr(ALICE)) == ALICE
    assert pickle.loads(pickle.dumps(ALICE)) == ALICE
    assert ALICE != (80001, 80011, (80011, 80021))
    for name in ("uid", "gid", "groups", "other"):
        with pytest.raises(AttributeError):
            setattr(ALICE, name, 0)
    with pytest.raises(AttributeError):
        del ALICE.uid


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ((-1, 0), OverflowError),
        ((0, -1), OverflowError),
        ((0, 0, [-1]), OverflowError),
        ((2**32 - 1, 0), OverflowError),
        ((True, 0), TypeError),
        ((1.0, 0), TypeError),
        (("1", 0), TypeError),
        ((1, 1, "12"), TypeError),
        ((1, 1, 5), TypeError),
        ((1, 1, range(65537)), ValueError),
    ],
)
def test_bad_identity(arguments, exception):
    with pytest.raises(exception):
        Identity(*arguments)


def test_from_user_and_current():
    daemon = Identity.from_user("daemon")
    assert daemon == Identity.from_user(daemon.uid)
    assert daemon.groups == tuple(sorted(set(os.getgrouplist("daemon", daemon.gid))))
    with pytest.raises(KeyError):
        Identity.from_user("no-such-user")
    assert Identity.current().uid == os.geteuid()


# ---- impersonate
