# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
./configure CPPFLAGS="$(pkg-config --cflags libreplace) -include libreplace/replace_override.h" LIBS="$(pkg-config --libs libreplace)" LDFLAGS="-Wl,-rpath,$(pkg-config --variable=libdir libreplace)"
make
./server
