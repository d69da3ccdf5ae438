# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
python -m pip wheel --no-deps --wheel-dir dist .
