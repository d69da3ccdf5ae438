# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cmake -S . -B build
cmake --build build
build/server
