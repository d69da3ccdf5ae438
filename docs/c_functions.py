# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The Sphinx directive `c-functions`: the uniform calls as C functions, from the table in detect/calls.py.

The build generates their header from the same table, so this page needs no built header and no second copy.
"""

import calls
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

KINDS = {"r": "real ", "e": "effective ", "s": "saved ", "fs": "file system ", "": ""}
OTHERS = {
    "size": "number of ids in ``list``",
    "list": "the group IDs",
    "user": "name of the user",
    "group": "one more group ID, normally the user's primary group",
}
STORED = {"size": "number of ids that fit into ``list``", "list": "where to store the group IDs"}


def parameter(call, name):
    """The meaning of a parameter, derived from its name."""
    if name in OTHERS:
        return OTHERS[name] if call.kind == "setter" else STORED[name]
    text = f"{KINDS[name.removesuffix(call.unit)]}{'user' if call.unit == 'uid' else 'group'} ID"
    if call.kind == "getter":
        return f"where to store the {text}"
    return text if name in call.refuse else f"{text}; -1 leaves it unchanged"


class CFunctions(Directive):
    """Each call with its parameters, its result, its errors and their sources."""

    def run(self):
        lines = []
        for call in calls.CALLS:
            lines += [f".. c:function:: {call.prototype}", "", f"   {call.doc}", ""]
            lines += [f"   :param {name}: {parameter(call, name)}" for _, name in call.params]
            lines += [f"   :return: {call.result}, or -1 with errno set", "", f"   Source: {call.source}.", ""]
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source="detect/calls.py"), 0, node)
        return node.children


def setup(app):
    app.add_directive("c-functions", CFunctions)
    return {"parallel_read_safe": True}
