# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Runs CPython's own tests of ThreadPoolExecutor with an IdentityExecutor instead.

usage: python tests/programs/stdlib_executor.py   (as root; the interpreter must have CPython's tests)

Every test of ThreadPoolExecutor runs.  For tests that start another interpreter, this file's adapter is put before
their code.  The adapter also has the private attributes that the tests read (_threads, _max_workers, _broken), and the
default names.  test_stdlib_executor.py runs this program on each CPython.
"""

import itertools
import sys
import time
import unittest
from concurrent import futures

import replace

WHO = replace.Identity(80001, 80011, [80021])
_numbers = itertools.count()


class ThreadPoolExecutor(futures.Executor):
    """An IdentityExecutor for one user, with the interface of ThreadPoolExecutor."""

    def __init__(self, max_workers=None, thread_name_prefix="", *args, **kwargs):
        prefix = thread_name_prefix or f"ThreadPoolExecutor-{next(_numbers)}"
        self._executor = replace.IdentityExecutor(max_workers, prefix, *args, **kwargs)
        self._max_workers = self._executor._pool.size

    def submit(self, function, /, *args, **kwargs):
        return self._executor.submit(WHO, function, *args, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    @property
    def _broken(self):
        return self._executor._pool.broken

    @property
    def _threads(self):
        workers = list(self._executor._pool.workers)
        while any(worker.thread is None or worker.thread.ident is None for worker in workers):  # not started yet
            time.sleep(0.001)
        return [worker.thread for worker in workers]


def main():
    from test.support import script_helper

    real = script_helper.assert_python_ok
    prelude = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}; import stdlib_executor\n"

    def assert_python_ok(option, code, *args, **kwargs):
        assert option == "-c"
        return real(option, prelude + code, *args, **kwargs)

    script_helper.assert_python_ok = assert_python_ok
    names = ["test_init", "test_shutdown", "test_thread_pool", "test_wait", "test_as_completed"]
    try:
        import test.test_concurrent_futures.test_thread_pool  # noqa: F401

        names = [f"test.test_concurrent_futures.{name}" for name in names]
    except ImportError:  # before CPython 3.12 the tests were one file
        names = ["test.test_concurrent_futures"]
    suite = unittest.TestSuite()
    for name in names:
        __import__(name)
        for thing in vars(sys.modules[name]).values():
            case = isinstance(thing, type) and issubclass(thing, unittest.TestCase) and thing.__module__ == name
            if case and getattr(thing, "executor_type", None) is ThreadPoolExecutor:
                suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(thing))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    print("RAN", result.testsRun - len(result.skipped))
    return 0 if result.wasSuccessful() else 1


futures.ThreadPoolExecutor = ThreadPoolExecutor
if __name__ == "__main__":
    sys.modules["stdlib_executor"] = sys.modules["__main__"]
    sys.exit(main())
