/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The command line of explore, counter and kernel_rules.
 */
#ifndef EXPLORER_OPTIONS_H
#define EXPLORER_OPTIONS_H

/**
 * struct option - an option that a program knows
 * @name:	such as "--seed"; NULL ends a list of options
 * @number:	where to store its number, which is at least 0; or NULL
 * @text:	where to store its text; or NULL
 * @flag:	where to store 1, if it has neither a number nor a text
 */
struct option {
	const char *name;
	double *number;
	const char **text;
	int *flag;
};

/* Read the options, which are the first arguments. --help prints the usage and ends the program.
 * Return: how many arguments that were; the name of the program is one. */
int read_options(int count, char **arguments, const struct option *known, void (*help)(void));

/* End the program with status 2, because this word of the command line is wrong. */
void refuse(const char *why, const char *word);

#endif
