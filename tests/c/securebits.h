/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The securebits and their locks, each the bit to its left. Source: linux/securebits.h, which
 * musl-gcc lacks.
 */
#ifndef SECUREBITS_H
#define SECUREBITS_H

enum {
	NOROOT = 1 << 0,
	NO_SETUID_FIXUP = 1 << 2,
	KEEP_CAPS = 1 << 4,
	NO_CAP_AMBIENT_RAISE = 1 << 6,
	SECUREBITS = NOROOT | NO_SETUID_FIXUP | KEEP_CAPS | NO_CAP_AMBIENT_RAISE,
	LOCKS = SECUREBITS << 1
};

#endif
