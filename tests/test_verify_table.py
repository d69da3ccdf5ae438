# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""verify_table.h, the table of libreplace-verify: it has the rows of each platform, and is valid C."""

import json
import re

import generate
import pytest
from golden import GOLDEN, write_headers
from support.builds import ROOT, run, tool
from verdict import decide

PLATFORMS = sorted(path.parent.name for path in GOLDEN.glob("*/answers.json"))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_table_has_each_setter_and_each_missing_call(platform, tmp_path):
    answers = json.loads((GOLDEN / platform / "answers.json").read_text())
    text = generate.PACKAGE["verify_table.h"](answers)
    calls = decide(answers).calls
    rows = re.findall(r'^\t\{"(\w+)", try_\1, (\d), ', text, re.M)
    wanted = [c for c in calls if c.call.kind == "setter" or c.backend == "none"]
    assert rows == [(c.call.name, str(int(c.backend != "none"))) for c in wanted]
    assert '"setresuid", try_setresuid' in text
    write_headers(GOLDEN / platform, tmp_path)
    (tmp_path / "table.c").write_text(
        '#include "verify.h"\n#define VERIFY_CALLS\n' + text + "const void *used = calls;\n"
    )
    options = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    folders = [f"-I{folder}" for folder in (tmp_path, ROOT / "replace" / "verify")]
    out = run(tool("cc", "checks the table"), *options, *folders, tmp_path / "table.c")
    assert out.returncode == 0, out.stderr
