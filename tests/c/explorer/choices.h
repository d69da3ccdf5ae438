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

enum { MOST_CHOICES = 400 };

/**
 * struct choices - the choices of the present run
 * @chosen:	the number that each choice point got
 * @limits:	how many numbers each choice point had
 * @names:	what each choice point is about, for people
 * @size:	how many choice points the run has reached
 * @given:	how many choices are given: the run repeats them
 * @random:	0: further choices are 0; else the state of the random numbers that they get
 */
struct choices {
	uint16_t chosen[MOST_CHOICES], limits[MOST_CHOICES];
	const char *names[MOST_CHOICES];
	int size, given;
	uint64_t random;
};

/* Choose a number below @limit. @name says what is chosen. */
int choose(struct choices *choices, int limit, const char *name);

/* Prepare the next run, depth-first. Return: 0 if all combinations have been tried. */
int next_choices(struct choices *choices);

/* Write the choices as text: "0.2.1"; read them again. Return: 0, or -1 if the text is wrong. */
void print_choices(const struct choices *choices, char *text, int size);
int parse_choices(struct choices *choices, const char *text);

#endif
