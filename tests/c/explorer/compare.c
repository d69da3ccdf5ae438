/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * compare.h explains the functions. This program's functions take precedence over those of a shared
 * libc, which are found with dlsym(3). Source: proc_pid_status(5).
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include "../cases.h"
#include "compare.h"

static _Thread_local struct comparison *compared;

/* No call of core/ has more arguments. */
enum { WORDS = 5 };

/* libc's syscall() */
static long real_syscall(long number, const long word[WORDS])
{
	static long (*function)(long, ...);

	if (function == NULL)
		*(void **)&function = dlsym(RTLD_NEXT, "syscall");
	return function(number, word[0], word[1], word[2], word[3], word[4]);
}

/* ---- The credentials of the real thread */

static const char *value_of(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	MUST(line != NULL);
	return line + strlen(name);
}

static void read_ids(const char *text, uint32_t *ids[4])
{
	char *next = (char *)text;

	for (int i = 0; i < 4; i++)
		*ids[i] = (uint32_t)strtoul(next, &next, 10);
}

static int read_groups(const char *text, uint32_t *groups)
{
	char *next = (char *)text;
	int size = 0;

	for (;;) {
		next += strspn(next, " \t");
		if (*next == '\n')
			return size;
		MUST(size < MOST_GROUPS);
		groups[size++] = (uint32_t)strtoul(next, &next, 10);
	}
}

static uint64_t read_set(const char *text, const char *name)
{
	return strtoull(value_of(text, name), NULL, 16);
}

static void read_credentials(const struct comparison *one, struct credentials *is)
{
	static const long get_securebits[WORDS] = {PR_GET_SECUREBITS};
	uint32_t *uids[] = {&is->ruid, &is->euid, &is->suid, &is->fsuid};
	uint32_t *gids[] = {&is->rgid, &is->egid, &is->sgid, &is->fsgid};
	char text[16384];
	ssize_t length = pread(one->status, text, sizeof text - 1, 0);

	MUST(length > 0 && (size_t)length < sizeof text - 1);
	text[length] = '\0';
	memset(is, 0, sizeof *is);
	read_ids(value_of(text, "\nUid:"), uids);
	read_ids(value_of(text, "\nGid:"), gids);
	is->size = read_groups(value_of(text, "\nGroups:"), is->groups);
	is->inheritable = read_set(text, "\nCapInh:");
	is->permitted = read_set(text, "\nCapPrm:");
	is->effective = read_set(text, "\nCapEff:");
	is->bounding = read_set(text, "\nCapBnd:");
	is->ambient = read_set(text, "\nCapAmb:");
	is->securebits = (int)real_syscall(SYS_prctl, get_securebits);
}

void start_to_compare(struct comparison *comparison)
{
	compared = comparison;
	if (comparison != NULL)
		read_credentials(comparison, &comparison->thread.is);
}

/* ---- Reports */

static void print_call(const struct call *call, const long *word, long result)
{
	printf("  %s(", call->name);
	for (int i = 0; i < call->words; i++)
		printf("%s%ld", i == 0 ? "" : ", ", word[i]);
	printf(") = %ld\n", result);
}

void complain(struct comparison *comparison, const char *what)
{
	comparison->failed = 1;
	printf("not ok: %s\n", what);
	print_credentials(stdout, "  the thread", &comparison->thread.is);
}

static void count(struct outcomes *counts, long result)
{
	if (result >= 0)
		counts->succeeded++;
	else if (result == -EPERM)
		counts->eperm++;
	else if (result == -EINVAL)
		counts->einval++;
	else
		counts->other++;
}

/* ---- One call */

/* Where a getter has stored something, and how many numbers. */
struct output {
	uint32_t *at;
	size_t size;
};

/* Return: how many outputs the call has. @result: what the kernel has returned */
static int find_outputs(const struct call *call, const long *word, long result,
                        struct output outputs[3])
{
	if (result < 0)
		return 0;
	if (call->number == GETRESUID || call->number == GETRESGID) {
		for (int i = 0; i < 3; i++)
			outputs[i] = (struct output){(uint32_t *)word[i], 1};
		return 3;
	}
	outputs[0].at = (uint32_t *)word[1];
	outputs[0].size = call->number == SYS_capget ? 6 : (size_t)result;
	return call->number == SYS_capget || (call->number == GETGROUPS && word[0] > 0);
}

/* Make the call on the model, which stores its results where the kernel has stored them. Return:
 * whether they are the same. */
static int make_again(struct thread *thread, const struct call *call, const long *word, long result,
                      long *expected)
{
	uint32_t found[3][MOST_GROUPS];
	struct output outputs[3];
	int count = find_outputs(call, word, result, outputs), is_same = 1;

	for (int i = 0; i < count; i++) {
		memcpy(found[i], outputs[i].at, outputs[i].size * sizeof(uint32_t));
		memset(outputs[i].at, 0xa5, outputs[i].size * sizeof(uint32_t));
	}
	*expected = call->make(thread, word);
	for (int i = 0; i < count; i++)
		if (memcmp(found[i], outputs[i].at, outputs[i].size * sizeof(uint32_t)) != 0)
			is_same = 0;
	return is_same;
}

static int is_filtered(const struct comparison *one, long number, const long *word)
{
	return one->filter != NULL && one->filter->number == number &&
	       (number != SYS_prctl || word[0] == PR_CAP_AMBIENT);
}

/* Why the model is wrong, or NULL. @result: what the kernel has returned. */
static const char *difference(struct comparison *one, const struct call *call, const long *word,
                              long result, struct credentials *now)
{
	long expected = 0;
	int is_same = 1;

	if (is_filtered(one, call->number, word))
		expected = -one->filter->error;
	else
		is_same = make_again(&one->thread, call, word, result, &expected);
	read_credentials(one, now);
	if ((uint32_t)result != (uint32_t)expected) { /* fs ids are above 2^31, too */
		printf("  the model returns %ld\n", expected);
		return "the kernel and the model return something else";
	}
	if (!is_same)
		return "the kernel and the model show something else";
	if (memcmp(now, &one->thread.is, sizeof *now) != 0)
		return "the kernel and the model have other credentials";
	return NULL;
}

static long compare_call(struct comparison *one, const struct call *call, const long word[WORDS])
{
	struct credentials before = one->thread.is, now;
	long result = real_syscall(call->number, word);
	int error = errno;
	const char *what;

	if (result == -1)
		result = -error;
	what = difference(one, call, word, result, &now);
	count(&one->outcomes[call - model_calls], result);
	if (what != NULL || one->verbose)
		print_call(call, word, result);
	if (what != NULL) {
		complain(one, what);
		print_credentials(stdout, "  before the call", &before);
		print_credentials(stdout, "  in the kernel", &now);
	}
	errno = error;
	return result < 0 && result > -4096 ? -1 : result;
}

/* ---- The functions of libc. Some arguments may be missing; they are then arbitrary. */

long syscall(long number, ...)
{
	const struct call *call = find_call(number);
	long word[WORDS];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < WORDS; i++)
		word[i] = va_arg(list, long);
	va_end(list);
	if (compared == NULL || compared->failed || call == NULL)
		return real_syscall(number, word);
	return compare_call(compared, call, word);
}

int prctl(int option, ...)
{
	unsigned long word[4];
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		word[i] = va_arg(list, unsigned long);
	va_end(list);
	return (int)syscall(SYS_prctl, (long)option, word[0], word[1], word[2], word[3]);
}
