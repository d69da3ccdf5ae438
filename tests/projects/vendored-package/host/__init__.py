# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A package with a vendored copy of replace."""

from ._vendor import replace


def who(uid, call):
    with replace.impersonate(replace.Identity(uid, 80011)):
        inside = replace.getresuid()[1]
        call()
    return inside, replace.getresuid()[1]
