/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Choice points. A program that makes every decision with choose() is run again and again, and each
 * run takes the next combination of choices: depth-first, or at random. A run must be
 * deterministic: with the same choices, it reaches the same choice points.
 */
#ifndef EXPLORER_CHOICES_H
#define EXPLORER_CHOICES_H

#include <stdint.h>

enum { MOST_CHOICES = 400, CHOICES_TEXT = 6 * MOST_CHOICES };

/**
 * struct choices - the choices of the present run
 * @chosen:	the number that each choice point got
 * @limits:	how many numbers each choice point had
 * @names:	what each choice point is about, for people
 * @size:	how many choice points the run has reached
 * @given:	how many choices are given: the run repeats them
 * @random:	0: further choices are 0; else the state of the random numbers that they get
 * @changed:	the given choices may belong to another run: a number that is too large becomes 0
 */
struct choices {
	uint16_t chosen[MOST_CHOICES], limits[MOST_CHOICES];
	const char *names[MOST_CHOICES];
	int size, given;
	uint64_t random;
	int changed;
};

/* Choose a number below @limit. @name says what is chosen. */
int choose(struct choices *choices, int limit, const char *name);
/* The same, but random choices are mostly 0: for what goes wrong only now and then. */
int choose_rarely(struct choices *choices, int limit, const char *name);

/* Prepare the next run, depth-first. Return: 0 if all combinations have been tried. */
int next_choices(struct choices *choices);
/* Prepare the next run with random choices. */
void random_choices(struct choices *choices);
/* Prepare a run that repeats the first @size choices. */
void repeat_choices(struct choices *choices, int size);

/* Write the choices of the run, or of the run that is prepared, as text: "0.2.1", without zeros at
 * the end. @text has CHOICES_TEXT bytes. */
void print_choices(const struct choices *choices, char *text);
/* Prepare a run with the choices in a text. Return: 0, or -1 if it is no list of choices. */
int parse_choices(struct choices *choices, const char *text);

#endif
