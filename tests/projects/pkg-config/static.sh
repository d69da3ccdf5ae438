# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cc -static -o program main.c $(pkg-config --static --cflags --libs libreplace)
./program
