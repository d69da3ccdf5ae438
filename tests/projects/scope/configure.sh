# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
if test "$(pkg-config --variable=scope libreplace)" != thread; then
	echo "configure: this program needs a libreplace whose calls change one thread" >&2
	exit 1
fi
