# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""pyright accepts right uses of the package, finds wrong ones, and knows the type of every public name."""

import pytest
from support.builds import needs_package
from support.checkers import compare, pyright, pyright_errors

needs_package("pyright")


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_pyright_finds_exactly_the_wrong_uses(tmp_path, version):
    compare(pyright_errors(tmp_path, version), 1)


def test_pyright_knows_the_type_of_every_public_name(tmp_path):
    out = pyright(tmp_path, "--verifytypes", "replace")
    assert "Type completeness score: 100%" in out, out
