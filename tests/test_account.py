# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Account: lookups, refused database entries, and the cache that docs/identities.md shows.

For unusual databases, nss_wrapper shows other files to a child process.
"""

import pickle
import pwd
import re
import sys
import threading
import time

import pytest
from support.builds import ROOT, needs_package, run
from support.children import HANG, IS_PYPY
from support.servers import with_users

from replace import Account, Identity

ROOT_LINE = "root:x:0:0::/root:/bin/sh"
ALICE_LINE = "alice:x:80001:80011:Alice A.,room 1:/home/alice:/bin/zsh"


def test_account_is_immutable_hashable_and_picklable():
    account = Account("alice", 80001, 80011, (80011, 80021), "/home/alice", "/bin/sh", "Alice")
    assert account.identity == Identity(80001, 80011, (80011, 80021))
    assert pickle.loads(pickle.dumps(account)) == account
    assert eval(repr(account)) == account
    assert len({account, account._replace(), account._replace(uid=1)}) == 2
    for name in ("uid", "identity", "other"):
        with pytest.raises(AttributeError):
            setattr(account, name, 0)


def test_lookup_agrees_with_pwd_and_identity():
    for user in ("root", "daemon", 1):
        account = Account.lookup(user)
        entry = pwd.getpwuid(account.uid)
        assert (account.name, account.gid) == (entry.pw_name, entry.pw_gid)
        assert (account.home, account.shell, account.gecos) == (entry.pw_dir, entry.pw_shell, entry.pw_gecos)
        assert account == Account.lookup(account.name) == Account.lookup(account.uid)
        assert account.identity == Identity.from_user(user)


@pytest.mark.parametrize("look_up", [Account.lookup, Identity.from_user], ids=["Account", "Identity"])
@pytest.mark.parametrize(
    ("user", "exception", "words"),
    [
        ("no-such-user", KeyError, "no user has the name 'no-such-user'"),
        (4294900001, KeyError, "no user has the uid 4294900001"),
        ("", ValueError, "is not a user name"),
        ("root\0", ValueError, "is not a user name"),
        ("al\udcffce", ValueError, "is not a user name"),
        ("0", ValueError, "pass the int 0"),
        ("1000", ValueError, "pass the int 1000"),
        (-1, OverflowError, "uid -1 is not in"),
        (2**32 - 1, OverflowError, "uid 4294967295 is not in"),
        (True, TypeError, "uid should be integer, not bool"),
        (0.0, TypeError, "not float"),
        (b"root", TypeError, "not bytes"),
        (bytearray(b"root"), TypeError, "not bytearray"),
        (None, TypeError, "not NoneType"),
        (["root"], TypeError, "not list"),
    ],
    ids=repr,
)
def test_unknown_or_invalid_user_raises(look_up, user, exception, words):
    with pytest.raises(exception, match=words) as caught:
        look_up(user)
    assert type(caught.value) is exception


#: Prints the account or the error for each user of a list.
PRINT_LOOKUPS = """
from replace import Account
for user in {}:
    try: print(Account.lookup(user))
    except Exception as error: print(type(error).__name__, error)
"""


def lookups(tmp_path, passwd, group, users):
    return with_users(tmp_path, [ROOT_LINE, *passwd], ["root:x:0:", *group], PRINT_LOOKUPS.format(users)).splitlines()


def test_lookup_returns_every_field_of_the_database(tmp_path):
    groups = ["team:x:80300:bob,alice", "alice:x:80011:", "again:x:80300:alice", "other:x:80301:bob"]
    (text,) = lookups(tmp_path, [ALICE_LINE], groups, ["alice"])
    wanted = Account("alice", 80001, 80011, (80011, 80300), "/home/alice", "/bin/zsh", "Alice A.,room 1")
    assert eval(text) == wanted


def test_lookup_accepts_empty_fields_and_a_shared_uid(tmp_path):
    lines = lookups(tmp_path, ["toor:x:0:0:::", ALICE_LINE], ["wheel:x:10:toor"], ["toor", "root", 0])
    toor, root, zero = map(eval, lines)
    assert toor == Account("toor", 0, 0, (0, 10), "", "", "")
    assert root == zero == Account("root", 0, 0, (0,), "/root", "/bin/sh", "")


@pytest.mark.parametrize(
    ("entry", "groups", "words"),
    [
        ("eve:x:4294967295:5::/:/x", [], "uid -1 is not in 0..4294967294"),
        ("eve:x:900:4294967295::/:/x", [], "gid -1 is not in 0..4294967294"),
        ("eve:x:900:900::/:/x", ["wrong:x:4294967295:eve"], "group -1 is not in 0..4294967294"),
        (
            "eve:x:900:900::/:/x",
            [f"g{number}:x:{100000 + number}:eve" for number in range(65536)],
            "too many groups: 65537; the kernel accepts at most 65536",
        ),
    ],
    ids=["uid", "gid", "group", "65537 groups"],
)
def test_invalid_database_entry_raises_value_error(tmp_path, entry, groups, words):
    users = ["eve", ALICE_LINE.split(":")[0]]
    first, second = lookups(tmp_path, [entry, ALICE_LINE], groups, users)
    if IS_PYPY and len(groups) > 64:
        assert re.match(r"\w+Error \[Errno \d+\] ", first), "PyPy's os.getgrouplist() finds at most 64 groups"
    else:
        words = words.replace(" -1 ", " 4294967295 ") if IS_PYPY else words
        assert first == f"ValueError the database has a wrong entry for user 'eve': {words}"
    assert second.startswith("Account(name='alice'"), "a wrong entry does not affect other users"


def test_lookup_finds_all_65536_groups(tmp_path):
    if IS_PYPY:
        pytest.skip("needs an os.getgrouplist() that finds more than 64 groups, not PyPy's")
    groups = [f"g{number}:x:{100000 + number}:eve" for number in range(65535)]
    code = "from replace import Account; print(len(Account.lookup('eve').identity.groups))"
    assert with_users(tmp_path, ["eve:x:900:900::/:/x"], groups, code) == "65536\n"


def test_numeric_user_name_is_not_taken_for_a_uid(tmp_path):
    """The user is still found by its own uid."""
    lines = lookups(tmp_path, ["80001:x:80002:80002::/:/x", ALICE_LINE], [], ["80001", 80001, 80002])
    assert lines[0].startswith("ValueError '80001' is a number in a str")
    assert [eval(line).name for line in lines[1:]] == ["alice", "80001"]


def test_next_lookup_sees_changed_groups(tmp_path):
    """Account.lookup() caches nothing."""
    code = (
        "import os, sys; from replace import Account\n"
        "print(Account.lookup('alice').groups)\n"
        "with open(os.environ['NSS_WRAPPER_GROUP'] + '.new', 'w') as file: file.write('team:x:80300:alice\\n')\n"
        "os.utime(file.name, (9, 9))\n"  # nss_wrapper compares times in seconds
        "os.rename(file.name, os.environ['NSS_WRAPPER_GROUP'])\n"
        "print(Account.lookup('alice').groups)\n"
    )
    text = with_users(tmp_path, [ALICE_LINE], ["alice:x:80011:"], code)
    assert text.splitlines() == ["(80011,)", "(80011, 80300)"]


def test_account_module_is_loaded_on_first_use():
    code = (
        "import sys, replace; print('replace._account' in sys.modules, 'pwd' in sys.modules)\n"
        "print(replace.Account.__module__, 'replace._account' in sys.modules)"
    )
    assert run(sys.executable, "-S", "-c", code, cwd="/", env={"PYTHONPATH": site()}).stdout.split() == [
        *("False", "False"),
        *("replace", "True"),
    ]


def site():
    import replace

    return str(replace.__path__[0]).rpartition("/")[0]


# ---- The cache that docs/identities.md shows


def documented_cache():
    """Return the function account_of() of docs/identities.md."""
    needs_package("cachetools")
    page = (ROOT / "docs" / "identities.md").read_text()
    (program,) = re.findall(r"```python\n(import threading\n\nimport cachetools.*?)```", page, re.S)
    names = {}
    exec(program, names)
    return names["account_of"]


def test_documented_cache_looks_up_each_name_once_until_it_expires(monkeypatch):
    account_of, getpwnam = documented_cache(), pwd.getpwnam
    account_of.cache.clear()
    asked, lock, all_here = [], threading.Lock(), threading.Event()
    about_to_ask = []

    def slow(name):
        with lock:
            asked.append(name)
        assert all_here.wait(HANG)
        return getpwnam(name)

    def ask(name):
        with lock:
            about_to_ask.append(name)
            if len(about_to_ask) == 16:
                all_here.set()
        found.append(account_of(name))

    monkeypatch.setattr(pwd, "getpwnam", slow)
    found = []
    threads = [threading.Thread(target=ask, args=(name,)) for name in ("daemon", "root") * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == ["daemon", "root"], "each name is looked up once, and the names do not wait for each other"
    assert len(found) == 16
    assert set(found) == {Account.lookup("daemon"), Account.lookup("root")}
    asked.clear()
    account_of("daemon")
    assert asked == []
    account_of.cache.expire(time.monotonic() + 61)
    account_of("daemon")
    assert asked == ["daemon"], "an expired entry is looked up again"


def test_documented_cache_does_not_keep_failures():
    account_of = documented_cache()
    for _ in range(2):
        with pytest.raises(KeyError, match="no user has the name 'no-such-user'"):
            account_of("no-such-user")
