/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tries every call in every state with every argument, each in its own child process, and prints
 * the result and the new ids. transitions.py compares them with the model in kernels.py. It is a C
 * program because it also runs where there is no Python. Needs root and Linux.
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

static const unsigned ids[] = {0, 80001, 80002, (unsigned)-1};

struct outcome {
	int error;
	unsigned r, e, s, fs;
};

static struct outcome *shared;
static int of_libc;

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

/* Bring the calling thread into a state. */
static int reach(int gid, int privileged, const unsigned *state)
{
	if (prctl(PR_SET_KEEPCAPS, 1) != 0)
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
	default:
		errno = ENOSYS; /* libc's setfsuid() reports no errors to compare */
		return -1;
	}
}

static void child(int gid, int privileged, const unsigned *state, int call, const unsigned *args)
{
	struct outcome *out = shared;
	uid_t r, e, s, fs;
	gid_t rg, eg, sg, fsg;

	if (reach(gid, privileged, state) != 0)
		_exit(1);
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
	_exit(0);
}

static const char *const calls[] = {"set", "sete", "setre", "setres", "setfs"};

/* Whether a call has this name, such as "setresuid". NULL stands for all calls. */
static int is_wanted(const char *asked, int call, int gid)
{
	size_t length = strlen(calls[call]);

	return asked == NULL || (strncmp(asked, calls[call], length) == 0 &&
	                         strcmp(asked + length, gid ? "gid" : "uid") == 0);
}

static char name(unsigned id)
{
	for (int i = 0; i < 4; i++)
		if (ids[i] == id)
			return "012-"[i];
	return '?';
}

static void transition(int gid, int privileged, const unsigned *state, int call,
                       const unsigned *args)
{
	struct outcome *out = shared;
	int status = 1;
	pid_t pid;

	out->error = NOT_CALLED;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(gid, privileged, state, call, args);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		out->error = NOT_CALLED;
	printf("%s %d %c %c %c %s %c %c %c %d %c %c %c %c\n", gid ? "gid" : "uid", privileged,
	       name(state[0]), name(state[1]), name(state[2]), calls[call], name(args[0]),
	       name(args[1]), name(args[2]), out->error, name(out->r), name(out->e), name(out->s),
	       name(out->fs));
}

int main(int argc, char **argv)
{
	static const int counts[] = {4, 4, 16, 64, 4};

	of_libc = argc > 1 && strcmp(argv[1], "libc") == 0;
	shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (geteuid() != 0 || shared == MAP_FAILED) {
		fputs("needs root\n", stderr);
		return 77;
	}
	for (int kind = 0; kind < 4; kind++) /* uid, gid; privileged or not */
		for (int state = 0; state < 27; state++)
			for (int call = 0; call < (of_libc ? 4 : 5); call++)
				for (int arg = 0; arg < counts[call]; arg++) {
					unsigned from[3] = {ids[state / 9], ids[state / 3 % 3],
					                    ids[state % 3]};
					unsigned args[3] = {ids[arg % 4], ids[arg / 4 % 4],
					                    ids[arg / 16]};

					if (is_wanted(argc > 2 ? argv[2] : NULL, call, kind / 2))
						transition(kind / 2, kind % 2, from, call, args);
				}
	return 0;
}
