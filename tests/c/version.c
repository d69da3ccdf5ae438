/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The headers and the library of one build have one version: as text, as a number, and for #if.
 */
#include <stdio.h>
#include <string.h>
#include <libreplace/replace.h>

#if LIBREPLACE_VERSION_NUMBER >= 1000000 /* 100.0.0 */
#error "this is not the version of libreplace"
#endif

int main(void)
{
	const char *version = libreplace_build_info("version");
	int major = 0, minor = 0, patch = 0, number;

	sscanf(version, "%d.%d.%d", &major, &minor, &patch);
	number = major * 10000 + minor * 100 + patch;
	printf("%s is %d\n", version, libreplace_version());
	return strcmp(version, LIBREPLACE_VERSION) != 0 || libreplace_version() != number ||
	       LIBREPLACE_VERSION_NUMBER != number;
}
