# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cmake -S . -B build -Dlibreplace_ROOT="$(libreplace config --includedir)/.."
cmake --build build
build/program
