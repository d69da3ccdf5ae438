# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonated(): the thread holds the identity only inside each next() and close()."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import ALICE, BOB, ROOT_IDS, as_root, ids

import replace
from replace import impersonated


class Body:
    """A response body as in WSGI: lazy, with close()."""

    def __init__(self):
        self.seen, self.left = [], 3

    def __iter__(self):
        self.seen.append(("iter", os.geteuid()))
        return self

    def __next__(self):
        self.seen.append(("next", os.geteuid()))
        self.left -= 1
        if not self.left:
            raise StopIteration
        return self.left

    def close(self):
        self.seen.append(("close", os.geteuid()))


def test_impersonated_holds_the_identity_only_inside_next_and_close():
    def body():
        source = Body()
        items = impersonated(ALICE, source)
        for item in items:
            assert item in (1, 2)
            assert os.geteuid() == 0
        items.close()
        items.close()
        assert source.seen == [("iter", 80001), *[("next", 80001)] * 3, ("close", 80001)]

    as_root(body)


def test_impersonated_iterators_can_interleave_and_change_threads():
    def lazily(note):
        try:
            while True:
                yield os.geteuid()
        finally:
            note.append(os.geteuid())

    def body():
        first, second = [], []
        alice, bob = impersonated(ALICE, lazily(first)), impersonated(BOB, lazily(second))
        assert [next(alice), next(bob), next(alice), next(bob)] == [80001, 80002] * 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(next, alice).result() == 80001
            pool.submit(alice.close).result()
        assert first == [80001]
        del bob  # deleting the iterator closes the generator as the user
        assert second == [80002]
        assert next(alice, "closed") == "closed"
        assert ids() == ROOT_IDS

    as_root(body)


def test_impersonated_checks_its_arguments_at_once():
    with pytest.raises((replace.IdentityRefused, TypeError)):
        impersonated("alice", [])


def test_impersonated_deleted_in_asyncio_is_closed_as_the_user():
    def body():
        seen, closed = [], threading.Event()

        def items():
            try:
                yield 1
                yield 2
            finally:
                seen.append(os.geteuid())
                closed.set()

        async def main():
            iterator = impersonated(ALICE, items())
            assert await asyncio.to_thread(next, iterator) == 1
            del iterator
            assert await asyncio.to_thread(closed.wait, 10)

        asyncio.run(main())
        return seen

    assert as_root(body) in ([ALICE.uid], None)
