/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The functions of libc that replace/core/ calls, for the program explore: they make their calls on
 * the model kernel, and at each call something may go wrong. process.c has those that have nothing
 * to do with credentials. The functions of a program take precedence over those of a shared libc,
 * so the compiled files of core/ need no change.
 *
 * To add a system call, write its rule in kernel.c and its line in calls.c. If a function of core/
 * calls another function of libc, define that function here or in process.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "explore.h"

struct run *the_run;

/* ---- What may happen at a call */

/* The core distinguishes EINVAL from other errors. */
static const int errors[] = {EPERM, EINVAL};
enum { ERRORS = sizeof errors / sizeof *errors };

/* Another thread calls libc, and libc makes the same call in this thread. glibc aborts the process
 * if a call does not succeed in all threads, so a call that fails changes nothing. RAISE is what a
 * signal handler of this thread may do. */
void stray_call(struct run *run)
{
	enum { NOTHING, BECOME_ROOT, BECOME_B, GROUP_OF_ROOT, NO_GROUPS, FS_ROOT, RAISE, STRAYS };
	struct thread *thread = &run->thread;
	const struct credentials *is = &thread->is;
	unsigned before = thread->changes;
	int unread = 0;

	if (run->strays_left == 0)
		return;
	switch (choose_rarely(&run->choices, STRAYS, "stray call")) {
	case NOTHING:
		return;
	case BECOME_ROOT:
		kernel_setresuid(thread, NO_ID, ROOT, NO_ID);
		unread = UNREAD_UIDS | UNREAD_FSUID;
		break;
	case BECOME_B:
		kernel_setresuid(thread, B, B, NO_ID);
		unread = UNREAD_UIDS | UNREAD_FSUID;
		break;
	case GROUP_OF_ROOT:
		kernel_setresgid(thread, NO_ID, ROOT, NO_ID);
		unread = UNREAD_GIDS | UNREAD_FSGID;
		break;
	case NO_GROUPS:
		kernel_setgroups(thread, 0, NULL);
		unread = UNREAD_GROUPS;
		break;
	case FS_ROOT:
		kernel_setfsuid(thread, ROOT);
		unread = UNREAD_FSUID;
		break;
	case RAISE:
		kernel_capset(thread, is->permitted, is->permitted, is->inheritable);
		unread = UNREAD_CAPABILITIES;
		break;
	}
	run->strays_left--;
	if (thread->changes == before)
		return;
	run->strays++;
	run->unread |= unread;
	if (run->trace)
		print_credentials(stderr, "  stray call", &thread->is);
}

/* What outcome() returns: make the call, report success without making it, or an errno. */
enum { MADE = 0, IGNORED = -1 };

/* @changes: whether the call changes credentials, so that it makes a difference to ignore it */
static int outcome(const char *call, int changes)
{
	struct run *run = the_run;
	int lies = changes && run->lies_left > 0, which;

	perhaps_fork(run);
	stray_call(run);
	if (run->failures_left == 0 && !lies)
		return MADE;
	which =
	    choose_rarely(&run->choices, 1 + lies + (run->failures_left > 0 ? ERRORS : 0), call);
	if (which == 0)
		return MADE;
	run->faults++;
	if (lies && which == 1) {
		run->lies_left--;
		return IGNORED;
	}
	run->failures_left--;
	return errors[which - 1 - lies];
}

/* Return from a function of libc. @result: what the kernel returns; a negative number is an errno.
 */
static long finish(long result)
{
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}

static void show_call(const char *name, const long *word, int words, int what, long result)
{
	struct run *run = the_run;
	char text[80];
	int size = snprintf(text, sizeof text, "  %s(", name);

	if (!run->trace)
		return;
	for (int i = 0; i < words; i++)
		size += snprintf(text + size, sizeof text - (size_t)size, i == 0 ? "%ld" : ", %ld",
		                 (long)(int)word[i]);
	fprintf(stderr, "%s)", text);
	if (what == IGNORED)
		fprintf(stderr, " does nothing and returns 0\n");
	else if (result < 0 && result >= -4095)
		fprintf(stderr, "%s: %s\n", what == MADE ? "" : " is made to fail",
		        strerror((int)-result));
	else
		fprintf(stderr, " = %ld\n", result);
	if (run->thread.changes != run->shown)
		print_credentials(stderr, "    now", &run->thread.is);
	run->shown = run->thread.changes;
}

/* ---- System calls */

/* Whether the call changes credentials, unless it fails. */
static int is_change(long number, const long *word)
{
	switch (number) {
	case SETFSUID:
	case SETFSGID:
		return (uint32_t)word[0] != NO_ID;
	case SYS_prctl:
		return word[0] == PR_CAP_AMBIENT && word[1] != PR_CAP_AMBIENT_IS_SET;
	default:
		return number == SETRESUID || number == SETRESGID || number == SETGROUPS ||
		       number == SYS_capset;
	}
}

/* What the call reads; see struct run. */
static int what_it_reads(long number, const long *word)
{
	switch (number) {
	case GETRESUID:
		return UNREAD_UIDS;
	case GETRESGID:
		return UNREAD_GIDS;
	case GETGROUPS:
		return UNREAD_GROUPS;
	case SYS_capget:
		return UNREAD_CAPABILITIES;
	case SETFSUID:
		return (uint32_t)word[0] == NO_ID ? UNREAD_FSUID : 0;
	case SETFSGID:
		return (uint32_t)word[0] == NO_ID ? UNREAD_FSGID : 0;
	default:
		return 0;
	}
}

/* Whether all arguments are numbers, not pointers. */
static int has_numbers(long number)
{
	return number == SETRESUID || number == SETRESGID || number == SETFSUID ||
	       number == SETFSGID || number == SYS_prctl;
}

/* Make one of the calls of calls.c on the model. */
static long make_call(const struct call *call, const long *word)
{
	struct run *run = the_run;
	int what = outcome(call->name, is_change(call->number, word));
	long result = what == MADE ? call->make(&run->thread, word) : what == IGNORED ? 0 : -what;

	if (what == MADE)
		run->unread &= ~what_it_reads(call->number, word);
	show_call(call->name, word, has_numbers(call->number) ? call->words : 0, what, result);
	return finish(result);
}

long syscall(long number, ...)
{
	const struct call *call = find_call(number);
	long word[MOST_WORDS];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < MOST_WORDS; i++)
		word[i] = va_arg(list, long);
	va_end(list);
	if (call != NULL)
		return make_call(call, word);
	switch (number) {
	case SYS_gettid:
		return the_run->id;
	case SYS_tgkill:
		return finish(word[1] == the_run->id ? 0 : -ESRCH);
	case SYS_close:
		return 0;
	default:
		fprintf(stderr, "explore: calls.c does not have system call %ld\n", number);
		exit(2);
	}
}

int prctl(int option, ...)
{
	long word[MOST_WORDS] = {option};
	va_list list;

	va_start(list, option);
	word[1] = va_arg(list, long);
	word[2] = va_arg(list, long);
	va_end(list);
	if (the_run == NULL) /* when the library is loaded, it asks what the kernel knows */
		return 0;
	return (int)make_call(find_call(SYS_prctl), word);
}

int other_call(const char *name, long result)
{
	int what = outcome(name, 0);

	if (what != MADE)
		result = -what;
	show_call(name, NULL, 0, what, result);
	return (int)finish(result);
}

/* ---- The effective ids */

uid_t geteuid(void)
{
	uint32_t ids[3];

	kernel_getresuid(&the_run->thread, ids);
	return ids[1];
}

gid_t getegid(void)
{
	uint32_t ids[3];

	kernel_getresgid(&the_run->thread, ids);
	return ids[1];
}
