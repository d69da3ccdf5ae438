# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Level and OnFailure: the types of impersonate()'s options, for annotations. Isolation is IdentityExecutor's.

This file is loaded on first use, because typing loads slower than the rest of this package.
"""

from typing import Literal

Level = Literal["shielded", "effective", "real", "filesystem"]
OnFailure = Literal["taint", "abort"]
Isolation = Literal["state", "thread"]

Level.__doc__ = """The type of ``level``, which says which ids of the thread change.

* ``"shielded"``, the default: The effective ids are the user's. The real user ID is an id that no user has, so the
  user cannot send signals to the server.
* ``"effective"``: The effective ids are the user's, the real user ID is the server's. A program that is started under
  the identity can become root.
* ``"real"``: The real and effective ids are the user's. The user can kill the server.
* ``"filesystem"``: Only the file system ids are the user's. Everything but file access uses the server's ids.

At each level, the supplementary groups are the user's. See :doc:`levels`.

Source: credentials(7), kill(2), execve(2).
"""
OnFailure.__doc__ = """The type of ``on_restore_failure``, which says what happens if a thread cannot restore its ids.

* ``"taint"``, the default: An exception is raised, and the thread is tainted. It refuses further identities. End it.
* ``"abort"``: The C library calls abort(3), which ends the process.
"""
