# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cc -o program main.c $(pkg-config --cflags --libs libreplace)
./program
