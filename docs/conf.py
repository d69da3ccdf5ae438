# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The settings of Sphinx: `pip install '.[docs]' && sphinx-build -W docs build/docs`.

The reference comes from docstrings and detect/calls.py, and the version from meson.build, so no text is written twice.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "detect"), str(ROOT / "docs")]

project = "libreplace"
author = "the libreplace authors"
project_copyright = "2026, the libreplace authors"
version = release = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "linuxdoc.rstKernelDoc", "c_functions"]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"libreplace {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
myst_heading_anchors = 3
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Docstrings here are plain text with names in backticks, as `help()` shows them.
default_role = "any"


class CallTable(Directive):
    """The uniform calls, as the table has them."""

    def run(self):
        import calls

        lines = []
        for call in calls.CALLS:
            lines += [f"``{call.prototype}``", f"   {call.doc}", "", f"   *Source:* {call.source}", ""]
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source="detect/calls.py"), 0, node)
        return [node]


def plain(app, what, name, obj, options, lines):
    """A docstring is text for people, not markup: indented parts stay as they are."""
    text = "\n".join(lines)
    lines[:] = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", text).replace("*", r"\*").split("\n")


def setup(app):
    app.add_directive("call-table", CallTable)
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True}
