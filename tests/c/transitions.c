/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tries every call in every state with every argument, and prints the result and the new ids. A
 * child process tries the calls of one state. transitions.py compares the output with the model in
 * kernels.py. This is a C program because it also runs where there is no Python. Needs root and
 * Linux.
 *
 * usage: transitions ours|libc [CALL]
 *
 * Prints one line for each transition, of all calls or of one, such as setresuid:
 * kind privileged r e s call a b c errno r e s fs
 * The ids 0, 80001, 80002 and -1 are printed as 0, 1, 2 and - (unset).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <grp.h>
#include <libreplace/replace.h>
#include "raw_capabilities.h"
#include "root.h"

static const unsigned ids[] = {0, 80001, 80002, (unsigned)-1};

struct outcome {
	int error;
	unsigned r, e, s, fs;
};

static int of_libc;
static const char *wanted; /* the only call to try, such as "setresuid", or NULL */

#define NOT_CALLED 9999 /* the child did not reach the call */

/* Give the calling thread the capability for this kind of ids, or take it away. */
static int set_privilege(int gid, int privileged)
{
	unsigned sets[6] = {0};

	if (capabilities(SYS_capget, sets) != 0)
		return -1;
	sets[0] = privileged ? sets[1] : sets[1] & ~(1U << (gid ? OF_SETGID : OF_SETUID));
	return capabilities(SYS_capset, sets);
}

/* Bring the calling thread into a state. It keeps its permitted capabilities, so that it can reach
 * another state afterwards. */
static int reach(int gid, int privileged, const unsigned *state)
{
	if (prctl(PR_SET_KEEPCAPS, 1) != 0 || set_privilege(gid, 1) != 0)
		return -1;
	if ((gid ? setresgid(state[0], state[1], state[2])
	         : setresuid(state[0], state[1], state[2])) != 0)
		return -1;
	return set_privilege(gid, privileged);
}

static int ours(int gid, int call, const unsigned *a)
{
	switch (call + 5 * gid) {
	case 0:
		return libreplace_setuid(a[0]);
	case 1:
		return libreplace_seteuid(a[0]);
	case 2:
		return libreplace_setreuid(a[0], a[1]);
	case 3:
		return libreplace_setresuid(a[0], a[1], a[2]);
	case 4:
		return libreplace_setfsuid(a[0]);
	case 5:
		return libreplace_setgid(a[0]);
	case 6:
		return libreplace_setegid(a[0]);
	case 7:
		return libreplace_setregid(a[0], a[1]);
	case 8:
		return libreplace_setresgid(a[0], a[1], a[2]);
	default:
		return libreplace_setfsgid(a[0]);
	}
}

static int libcs(int gid, int call, const unsigned *a)
{
	switch (call + 5 * gid) {
	case 0:
		return setuid(a[0]);
	case 1:
		return seteuid(a[0]);
	case 2:
		return setreuid(a[0], a[1]);
	case 3:
		return setresuid(a[0], a[1], a[2]);
	case 5:
		return setgid(a[0]);
	case 6:
		return setegid(a[0]);
	case 7:
		return setregid(a[0], a[1]);
	case 8:
		return setresgid(a[0], a[1], a[2]);
	default: /* is_wanted() excludes it */
		errno = ENOSYS;
		return -1;
	}
}

/* Make one call in a state. */
static void make(struct outcome *out, int gid, int call, const unsigned *args)
{
	uid_t r, e, s, fs;
	gid_t rg, eg, sg, fsg;

	errno = 0;
	out->error = (of_libc ? libcs : ours)(gid, call, args) == 0 ? 0 : errno;
	if (gid) {
		getresgid(&rg, &eg, &sg);
		fsg = (gid_t)setfsgid((gid_t)-1);
		out->r = rg, out->e = eg, out->s = sg, out->fs = fsg;
	} else {
		getresuid(&r, &e, &s);
		fs = (uid_t)setfsuid((uid_t)-1);
		out->r = r, out->e = e, out->s = s, out->fs = fs;
	}
}

static const char *const calls[] = {"set", "sete", "setre", "setres", "setfs"};

/* libc's setfsuid() and setfsgid() report no errors to compare. */
static int is_wanted(int call, int gid)
{
	size_t length = strlen(calls[call]);

	if (of_libc && call == 4)
		return 0;
	return wanted == NULL || (strncmp(wanted, calls[call], length) == 0 &&
	                          strcmp(wanted + length, gid ? "gid" : "uid") == 0);
}

/* The calls of one state, each with all arguments, in the order of their numbers. */
enum { TRANSITIONS = 4 + 4 + 16 + 64 + 4 };

/* Split a number. Return: the call. Store its arguments. */
static int split(int number, unsigned *args)
{
	static const int counts[] = {4, 4, 16, 64, 4};
	int call = 0;

	for (; number >= counts[call]; call++)
		number -= counts[call];
	args[0] = ids[number % 4];
	args[1] = ids[number / 4 % 4];
	args[2] = ids[number / 16];
	return call;
}

static char name(unsigned id)
{
	for (int i = 0; i < 4; i++)
		if (ids[i] == id)
			return "012-"[i];
	return '?';
}

static void child(struct outcome *out, int gid, int privileged, const unsigned *state)
{
	unsigned args[3];

	for (int i = 0; i < TRANSITIONS; i++) {
		int call = split(i, args);

		if (!is_wanted(call, gid))
			continue;
		if (reach(gid, privileged, state) != 0)
			_exit(1);
		make(&out[i], gid, call, args);
	}
	_exit(0);
}

/* Try every call in one state. @out is shared with the child. */
static void try_state(struct outcome *out, int gid, int privileged, const unsigned *state)
{
	unsigned args[3];
	pid_t pid;

	for (int i = 0; i < TRANSITIONS; i++)
		out[i].error = NOT_CALLED;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(out, gid, privileged, state);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	for (int i = 0; i < TRANSITIONS; i++) {
		int call = split(i, args);

		if (is_wanted(call, gid))
			printf("%s %d %c %c %c %s %c %c %c %d %c %c %c %c\n", gid ? "gid" : "uid",
			       privileged, name(state[0]), name(state[1]), name(state[2]),
			       calls[call], name(args[0]), name(args[1]), name(args[2]),
			       out[i].error, name(out[i].r), name(out[i].e), name(out[i].s),
			       name(out[i].fs));
	}
}

int main(int argc, char **argv)
{
	struct outcome *shared = mmap(NULL, TRANSITIONS * sizeof *shared, PROT_READ | PROT_WRITE,
	                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	of_libc = argc > 1 && strcmp(argv[1], "libc") == 0;
	wanted = argc > 2 ? argv[2] : NULL;
	needs_root();
	if (shared == MAP_FAILED)
		skip("needs ", "memory");
	for (int kind = 0; kind < 4; kind++) /* uid, gid; privileged or not */
		for (int state = 0; state < 27; state++)
			try_state(
			    shared, kind / 2, kind % 2,
			    (const unsigned[]){ids[state / 9], ids[state / 3 % 3], ids[state % 3]});
	return 0;
}
