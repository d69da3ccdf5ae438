# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Sphinx directives that show the calls: `c-functions` as C functions, `call-table` as Python functions.

Both read the table in detect/calls.py. The build generates the header and the docstrings from the same table, so these
pages need no second copy.
"""

import calls
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

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
    text = call.id_name(name)
    if call.kind == "getter":
        return f"where to store the {text}"
    return text if name in call.refuse else f"{text}; -1 leaves it unchanged"


class FromTable(Directive):
    """Shows the lines that a subclass makes from the table."""

    def run(self):
        node = nodes.container()
        self.state.nested_parse(StringList(self.lines(), source="detect/calls.py"), 0, node)
        return node.children


class CFunctions(FromTable):
    """Each call with its parameters, its result, its errors and their sources, in reStructuredText."""

    def lines(self):
        lines = []
        for call in calls.CALLS:
            lines += [f".. c:function:: {call.prototype}", "", f"   {call.doc}", ""]
            lines += [f"   :param {name}: {parameter(call, name)}" for _, name in call.params]
            lines += [f"   :return: {call.result}, or -1 with errno set", "", f"   Source: {call.source}.", ""]
        return lines


class CallTable(FromTable):
    """The docstring of each Python function, in Markdown."""

    def lines(self):
        return ["```{eval-rst}", *(f".. autofunction:: replace.{call.name}" for call in calls.CALLS), "```"]


def setup(app):
    app.add_directive("c-functions", CFunctions)
    app.add_directive("call-table", CallTable)
    return {"parallel_read_safe": True}
