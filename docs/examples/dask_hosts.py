# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run tasks as users on a Dask cluster of several machines, and compare the users of all machines.

usage: python dask_hosts.py SCHEDULER USER...   (as root; Dask's configuration has the names of the certificates)

The program prints what differs and then ends with status 1. A server imports as_account() from this file, and so do its
workers. docs/dask.md explains the file.
"""

import socket
import sys

from distributed import Client

import replace


def difference(account):
    """Say how this machine's user database differs from the account. Return None if it does not."""
    try:
        here = replace.Account.lookup(account.name).identity
    except (KeyError, ValueError) as error:  # no such user, or a wrong entry
        here = error.args[0]
    if here == account.identity:
        return None
    return f"{account.name} on {socket.gethostname()}: {here}; expected: {account.identity}"


def as_account(account, function, *args):
    """Run function(*args) as the user of this account, on a machine that has the same user."""
    if found := difference(account):
        raise PermissionError(found)
    return replace.acting_as(account.identity, function)(*args)


def differences(client, accounts):
    """Return what differs on each worker: {address: [text, ...]}."""
    return client.run(lambda: [found for found in map(difference, accounts) if found])


def main():
    """Compare this machine's users with those of all workers."""
    if len(sys.argv) < 3:
        raise SystemExit("usage: python dask_hosts.py SCHEDULER USER...")
    accounts = [replace.Account.lookup(name) for name in sys.argv[2:]]
    with Client(sys.argv[1]) as client:
        found = differences(client, accounts)
    for worker, texts in found.items():
        print(f"{worker}: {'; '.join(texts) or 'the same users'}")
    if not found or any(found.values()):
        raise SystemExit("the users are not the same on all workers" if found else "there is no worker")


if __name__ == "__main__":
    main()
