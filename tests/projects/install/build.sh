# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
git clone https://example.org/libreplace.git
meson setup build libreplace -Dpython=false -Dtests=false -Ddefault_library=both --prefix="$PREFIX" --libdir=lib
meson install -C build
