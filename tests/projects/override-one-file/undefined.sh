# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
nm -uA *.o | grep -wE 'set(e|re|res|fs)?[ug]id|(set|init)groups|syscall'
