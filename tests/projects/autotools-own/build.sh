# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
autoreconf --install
./configure
make
./program
./server
