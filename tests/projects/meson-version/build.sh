# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
python3 -m venv .venv
.venv/bin/pip install -q "meson>=1.3.2" ninja
export PATH="$PWD/.venv/bin:$PATH"
