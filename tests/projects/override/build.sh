# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
make CC="cc $(pkg-config --cflags libreplace) -include libreplace/replace_override.h" LDLIBS="-lm $(pkg-config --libs libreplace)"
./server
