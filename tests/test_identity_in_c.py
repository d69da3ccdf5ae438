# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""libreplace_identity_from_user(), called through replace.lib, agrees with Identity.from_user().

nss_wrapper shows other user and group databases to a child process. tests/c/identity.c looks up this machine's users.
"""

import random

import pytest
from support.servers import with_users

from replace import ffi, lib

ALICE = "alice:x:80001:80011:Alice:/home/alice:/bin/sh"
MANY = [f"g{number}:x:{100000 + number}:alice" for number in range(65535)]

#: Looks each user up with this much room. Prints its ids and groups or the error, and the size.
LOOK_UP = """
import errno
from replace import ffi, lib
for name, room in {}:
    user, groups = ffi.new("struct libreplace_identity *"), ffi.new("gid_t[]", room)
    if lib.libreplace_identity_from_user(user, name.encode(), groups, room) == 0:
        assert user.groups == groups
        found = list(user.groups[0 : user.size])
        print(user.uid, user.gid, found if len(found) < 9 else len(found), found == sorted(set(found)))
    else:
        print(errno.errorcode[ffi.errno], user.size)
"""


def look_up(tmp_path, passwd, group, users):
    return with_users(tmp_path, passwd, group, LOOK_UP.format(users)).splitlines()


def test_user_has_the_groups_of_the_database(tmp_path):
    groups = ["team:x:80300:bob,alice", "alice:x:80011:", "again:x:80300:alice", "other:x:80301:bob", "low:x:5:alice"]
    assert look_up(tmp_path, [ALICE], groups, [("alice", 64), ("bob", 64)]) == [
        "80001 80011 [5, 80011, 80300] True",
        "ENOENT 0",
    ]


def test_second_attempt_has_enough_room(tmp_path):
    groups = [f"g{number}:x:{number}:alice" for number in (4, 3, 2, 1)]
    short = look_up(tmp_path, [ALICE], groups, [("alice", room) for room in range(5)])
    sizes = [int(line.removeprefix("ERANGE ")) for line in short]
    assert all(5 <= size < 64 for size in sizes), "the whole number of groups"
    for size in sizes:
        assert look_up(tmp_path, [ALICE], groups, [("alice", size)]) == ["80001 80011 [1, 2, 3, 4, 80011] True"]


def test_longest_list_and_a_long_entry_are_found(tmp_path):
    long = ALICE.replace("Alice", "A" * 50000)
    assert look_up(tmp_path, [long], MANY, [("alice", 65536), ("alice", 65535)]) == [
        "80001 80011 65536 True",
        "ERANGE 65536",
    ]


@pytest.mark.parametrize(
    ("entry", "groups"),
    [
        ("alice:x:4294967295:5::/:/x", []),
        ("alice:x:900:4294967295::/:/x", []),
        ("alice:x:900:900::/:/x", ["wrong:x:4294967295:alice"]),
    ],
    ids=["uid", "gid", "group"],
)
def test_minus_one_in_the_database_is_einval(tmp_path, entry, groups):
    """To the kernel, -1 would mean "unchanged"."""
    assert look_up(tmp_path, [entry, "bob:x:7:8::/:/x"], groups, [("alice", 64), ("bob", 64)]) == [
        "EINVAL 0",
        "7 8 [8] True",
    ]


def test_sorted_groups_are_those_that_enter_accepts():
    chosen = random.Random(15)
    for size in range(200):
        given = [chosen.choice((0, 2**32 - 1, chosen.randrange(50), chosen.randrange(2**32))) for _ in range(size)]
        groups = ffi.new("gid_t[]", given)
        left = lib.libreplace_sort_groups(groups, size)
        assert list(groups[0:left]) == sorted(set(given))
