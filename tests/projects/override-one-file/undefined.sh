# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
find . -name '*.o' -exec nm -uA {} + | grep -E ' [Uw] (set(e|re|res|fs)?[ug]id|(set|init)groups|syscall)$'
