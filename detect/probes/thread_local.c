/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_thread_local: does C11's _Thread_local work?
 * Yes: each thread can store the state of its own identity.
 */
static _Thread_local int mine;

int main(int argc, char **argv)
{
	(void)argv;
	mine = argc;
	return mine == argc ? 0 : 1;
}
