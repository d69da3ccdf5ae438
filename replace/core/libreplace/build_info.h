/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What was built, for a program that must know or tell it while it runs: the facts of
 * the build report, of the .pc file's variables and of the Meson dependency's. Where the
 * compiler shall know, LIBREPLACE_THREAD_SCOPE and LIBREPLACE_BACKEND say it (calls.h).
 * The build writes the other half, build_info.c, from its answers.
 */
#ifndef LIBREPLACE_BUILD_INFO_H
#define LIBREPLACE_BUILD_INFO_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * libreplace_build_info() - one fact about the build, or all
 * @name: "version", "backend" (syscall, libc), "scope" (thread, process), "system" or
 *	"libc"; NULL for all of them, a line name=value each
 *
 * Return: a constant string; NULL for a name that is not known. Names are only added.
 */
const char *libreplace_build_info(const char *name);

#ifdef __cplusplus
}
#endif
#endif
