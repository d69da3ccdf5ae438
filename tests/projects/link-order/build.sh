# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cc $(pkg-config --cflags libreplace) -c program.c
cc -o program program.o $(pkg-config --libs libreplace)
./program
