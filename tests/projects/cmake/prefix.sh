# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cmake -S . -B build -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON
cmake --build build
cmake --install build --prefix installed
installed/bin/program
