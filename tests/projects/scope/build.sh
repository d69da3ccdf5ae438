# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
cc -c needs_threads.c $(pkg-config --cflags libreplace)
