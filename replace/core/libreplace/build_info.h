/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tells a running program what was built. The build report, the variables of the .pc file and the
 * variables of the Meson dependency say the same. To decide at compile time, use
 * LIBREPLACE_VERSION_NUMBER of version.h, and LIBREPLACE_THREAD_SCOPE and LIBREPLACE_BACKEND of
 * calls.h. The build writes build_info.c from its answers.
 */
#ifndef LIBREPLACE_BUILD_INFO_H
#define LIBREPLACE_BUILD_INFO_H

#include <libreplace/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * libreplace_version() - the version of the library that the program runs with
 *
 * LIBREPLACE_VERSION_NUMBER is the version of the headers that the program was compiled with. With
 * the shared library, the two can differ. If this function returns a smaller number, the library
 * may lack functions and fixes that the headers promise.
 *
 * Return: the version as a number, in the form of LIBREPLACE_VERSION_NUMBER. As text, the same
 * version is libreplace_build_info("version").
 */
int libreplace_version(void);

/**
 * libreplace_build_info() - one fact about the build, or all facts
 * @name:	"version", "backend" (syscall or libc), "scope" (thread or process), "system" or
 *		"libc"; NULL for all facts, each as a line name=value
 *
 * Return: a constant string; NULL for an unknown name. Later versions may add names.
 */
const char *libreplace_build_info(const char *name);

#ifdef __cplusplus
}
#endif
#endif
