# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
git clone -q https://example.org/libreplace.git
python3 libreplace/detect/amalgamate.py linux-glibc-x86_64 third_party
cc -Ithird_party -o program main.c third_party/libreplace.c -pthread
./program
