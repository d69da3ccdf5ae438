# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The settings of Sphinx: `pip install '.[docs]' && sphinx-build -W docs build/docs`.

The reference comes from docstrings and detect/calls.py, and the version from meson.build, so no text is written twice.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "detect"), str(ROOT / "docs")]

project = "libreplace"
author = "the libreplace authors"
project_copyright = "2026, the libreplace authors"
version = release = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "linuxdoc.rstKernelDoc", "call_directives"]
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
