# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
make CFLAGS="$(pkg-config --cflags libreplace) -include libreplace/replace_override.h" LDLIBS="$(pkg-config --libs libreplace)"
./server
