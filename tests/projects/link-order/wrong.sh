# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cc $(pkg-config --libs libreplace) -o program program.o
