/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * options.h explains the functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"

void refuse(const char *why, const char *word)
{
	fprintf(stderr, "%s: %s; see --help\n", why, word);
	exit(2);
}

static double read_number(const char *name, const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= 0 && number < 1e15))
		refuse("a number is needed", name);
	return number;
}

static const struct option *find_option(const struct option *known, const char *name)
{
	while (known->name != NULL && strcmp(known->name, name) != 0)
		known++;
	if (known->name == NULL)
		refuse("unknown option", name);
	return known;
}

int read_options(int count, char **arguments, const struct option *known, void (*help)(void))
{
	int i;

	for (i = 1; i < count && arguments[i][0] == '-'; i++) {
		const struct option *one;

		if (strcmp(arguments[i], "--help") == 0) {
			help();
			exit(0);
		}
		one = find_option(known, arguments[i]);
		if (one->flag != NULL) {
			*one->flag = 1;
			continue;
		}
		if (++i == count)
			refuse("a value is needed", one->name);
		if (one->text != NULL)
			*one->text = arguments[i];
		else
			*one->number = read_number(one->name, arguments[i]);
	}
	return i;
}
