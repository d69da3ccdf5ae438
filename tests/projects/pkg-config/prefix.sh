# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
export PKG_CONFIG_PATH="$PREFIX/lib/pkgconfig"
cc -o program main.c $(pkg-config --cflags --libs libreplace) -Wl,-rpath,$(pkg-config --variable=libdir libreplace)
./program
