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
autodoc_type_aliases = {name: f"replace.{name}" for name in ("Guard", "Level", "OnFailure")}
default_role = "any"


class CallTable(Directive):
    """The uniform calls as Python functions, in the order of detect/calls.py."""

    def run(self):
        import calls

        lines = ["```{eval-rst}", *(f".. autofunction:: replace.{call.name}" for call in calls.CALLS), "```"]
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source="detect/calls.py"), 0, node)
        return [node]


def setup(app):
    app.add_directive("call-table", CallTable)
    return {"parallel_read_safe": True}
