/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Interrupts libreplace_enter() and libreplace_leave() between any two instructions: with the trap
 * flag, the processor raises SIGTRAP after each instruction, and the handler forks, or calls the
 * library. Each child must be the user of an entry for good, or a usual child if the fork came
 * before the entry began or after it ended. The parent must not notice anything. x86_64 only.
 * test_forks.py runs it. usage: steps [N]: interrupt after each Nth instruction only
 */
#include <sched.h>
#include <signal.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <ucontext.h>
#include "cases.h"
#include "filter.h"
#include "looks.h"

enum { TRAP_FLAG = 0x100, ADMINS = 80031 };

static const struct libreplace_identity admin = {0, ADMINS, 1, (const gid_t[]){ADMINS}};

/* What the handler does: the child returns from it, or ends in it; or no fork, but calls of the
 * library. */
static enum { CHILD_RETURNS, CHILD_ENDS, CALLS } action;
static long every = 1, steps;
static entry outer, inner, in_handler;
static const struct libreplace_identity *wanted[2]; /* who a child may be for good */
static struct look server;                          /* what the thread is before it enters */
static enum { PARENT, USUAL, FOR_GOOD } role;
static const struct libreplace_identity *became;
static char secret[64]; /* a file that only a hidden group may read */

/* In a child: find out what it is. */
static void find_role(void)
{
	role = FOR_GOOD;
	for (int i = 0; i < 2 && became == NULL; i++)
		if (wanted[i] != NULL && is_only(wanted[i]))
			became = wanted[i];
	if (became != NULL) {
		must_be_for_good(became);
		MUST(secret[0] == 0 || (open(secret, O_RDONLY) == -1 && errno == EACCES));
		return;
	}
	MUST(looks_like(&server) && libreplace_depth() == 0 && libreplace_active() == 0);
	role = USUAL;
}

/* Call everything. Nothing may be entered or left in the middle of another call. */
static void call_library(void)
{
	unsigned depth = libreplace_depth();

	if (libreplace_enter(fresh(&in_handler), &bob, LIBREPLACE_LEVEL_REAL) == 0) {
		MUST(libreplace_check(&in_handler.guard) == 0);
		MUST(libreplace_leave(&in_handler.guard) == 0);
	} else {
		MUST(errno == EBUSY || in_handler.guard.step == LIBREPLACE_STEP_RETURN);
	}
	MUST(libreplace_check(&inner.guard) == 0 || errno == EBUSY || errno == ESRCH);
	if (depth == 1) /* if not, the outer entry is not the innermost one */
		MUST(libreplace_check(&outer.guard) == 0 || errno == EBUSY || errno == ESRCH);
	MUST(libreplace_depth() == depth && !libreplace_tainted());
}

static void fork_here(ucontext_t *context)
{
	int status = 0;
	pid_t child = fork();

	MUST(child >= 0);
	if (child > 0) {
		MUST(waitpid(child, &status, 0) == child);
		if (status != 0)
			fprintf(stderr, "step %ld: status %x\n", steps, (unsigned)status);
		MUST(status == 0);
		return;
	}
	alarm(HANG);
	context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	find_role();
	if (action == CHILD_ENDS)
		_exit(0);
}

static void stepped(int number, siginfo_t *info, void *context)
{
	int before = errno;

	(void)number;
	(void)info;
	if (++steps % every == 0) {
		if (action == CALLS)
			call_library();
		else
			fork_here(context);
	}
	errno = before;
}

static void step(int on)
{
	if (role != PARENT)
		return;
	if (on)
		__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
	else
		__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

/* In a child: the interrupted function has returned. */
static void end_child(entry *held, int result)
{
	if (role == PARENT)
		return;
	if (role == USUAL) {
		MUST(libreplace_active() == (libreplace_depth() != 0));
		MUST(libreplace_leave(&held->guard) == 0 && looks_like(&server));
		MUST(libreplace_depth() == 0 && libreplace_active() == 0);
		_exit(0);
	}
	/* if the fork came last, nothing is left to notice it: the child is of the outer entry */
	if (result != 0 && (became != wanted[0] || held->guard.step == LIBREPLACE_STEP_FORKED)) {
		MUST(held->guard.step == LIBREPLACE_STEP_FORKED && held->guard.error == EPERM);
		MUST(held->guard.state == LIBREPLACE_STATE_FOR_GOOD);
	}
	must_be_for_good(became);
	MUST(libreplace_check(&held->guard) == -1);
	(void)libreplace_leave(&held->guard);
	(void)libreplace_leave(&outer.guard);
	must_be_for_good(became);
	_exit(0);
}

/* Enter and leave, step by step. @error: the errno that entering must give */
static void enter_and_leave(const struct libreplace_identity *user, int level, int error)
{
	struct sigaction trap = {.sa_sigaction = stepped, .sa_flags = SA_SIGINFO};
	int result;

	fresh(&inner)->flags = LIBREPLACE_ALLOW_ROOT;
	MUST(sigaction(SIGTRAP, &trap, NULL) == 0);
	wanted[1] = user;
	server = look();
	alarm(HANG);
	step(1);
	result = libreplace_enter(&inner.guard, user, level);
	step(0);
	end_child(&inner, result);
	if (error != 0) {
		MUST(result == -1 && inner.guard.error == error && looks_like(&server));
	} else {
		MUST(result == 0 && inner.guard.state == LIBREPLACE_STATE_ENTERED);
		MUST(libreplace_check(&inner.guard) == 0);
		step(1);
		result = libreplace_leave(&inner.guard);
		step(0);
		end_child(&inner, result);
		MUST(result == 0 && inner.guard.state == LIBREPLACE_STATE_LEFT &&
		     looks_like(&server));
	}
	MUST(!libreplace_tainted() && libreplace_active() == libreplace_depth());
	printf("# %ld instructions\n", steps);
}

static void shielded(void)
{
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, 0);
}

static void effective(void)
{
	enter_and_leave(&alice, LIBREPLACE_LEVEL_EFFECTIVE, 0);
}

static void real(void)
{
	enter_and_leave(&alice, LIBREPLACE_LEVEL_REAL, 0);
}

static void filesystem(void)
{
	enter_and_leave(&alice, LIBREPLACE_LEVEL_FILESYSTEM, 0);
}

static void without_root(void)
{
	MUST(become_server_without_root() == 0);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, 0);
}

static void filesystem_without_root(void)
{
	MUST(become_server_without_root() == 0);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_FILESYSTEM, 0);
}

static void as_root(void)
{
	enter_and_leave(&admin, LIBREPLACE_LEVEL_SHIELDED, 0);
}

static void nested(void)
{
	MUST(libreplace_enter(fresh(&outer), &bob, LIBREPLACE_LEVEL_SHIELDED) == 0);
	wanted[0] = &bob;
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, 0);
	MUST(libreplace_leave(&outer.guard) == 0);
}

static void nested_without_root(void)
{
	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&outer), &bob, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	wanted[0] = &bob;
	enter_and_leave(&alice, LIBREPLACE_LEVEL_EFFECTIVE, 0);
	MUST(libreplace_leave(&outer.guard) == 0);
}

static void root_inside_a_user(void)
{
	MUST(libreplace_enter(fresh(&outer), &bob, LIBREPLACE_LEVEL_SHIELDED) == 0);
	wanted[0] = &bob;
	enter_and_leave(&admin, LIBREPLACE_LEVEL_SHIELDED, 0);
	MUST(libreplace_leave(&outer.guard) == 0);
}

static void user_inside_root(void)
{
	fresh(&outer)->flags = LIBREPLACE_ALLOW_ROOT;
	MUST(libreplace_enter(&outer.guard, &admin, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	wanted[0] = &admin;
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, 0);
	MUST(libreplace_leave(&outer.guard) == 0);
}

/* The library clears and restores the capabilities. */
static void with_inheritable_capabilities(void)
{
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */

	MUST(make_inheritable(sets) == 0);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_FILESYSTEM, 0);
}

static void with_another_real_id(void)
{
	MUST(libreplace_setresuid(80100, 0, 0) == 0);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_EFFECTIVE, 0);
}

/* Setting the user IDs of the entry fails. The ids of the child can be set. */
static void rolled_back(void)
{
	refuse_value(SETRESUID, LIBREPLACE_SHIELD_UID);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, EPERM);
	MUST(inner.guard.state == LIBREPLACE_STATE_ROLLED_BACK);
}

static void nested_and_rolled_back(void)
{
	MUST(libreplace_enter(fresh(&outer), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	wanted[0] = &bob;
	refuse_value(SETRESUID, LIBREPLACE_SHIELD_UID);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_SHIELDED, EPERM);
	MUST(libreplace_leave(&outer.guard) == 0);
}

static void refused(void)
{
	MUST(libreplace_setresuid(80100, 0, 80100) == 0);
	enter_and_leave(&alice, LIBREPLACE_LEVEL_EFFECTIVE, EPERM);
	MUST(inner.guard.step == LIBREPLACE_STEP_RETURN);
}

/* Write the maps of a process in a new user namespace. */
static void write_maps(pid_t process)
{
	const char *const names[] = {"uid_map", "gid_map"};
	char path[64];

	for (int i = 0; i < 2; i++) {
		FILE *map;

		snprintf(path, sizeof path, "/proc/%d/%s", (int)process, names[i]);
		MUST((map = fopen(path, "w")) != NULL);
		MUST(fprintf(map, "0 100000 65536") > 0 && fclose(map) == 0);
	}
}

/*
 * The thread has a group that its user namespace does not map. It is shown as 65534, which is the
 * group of the identity, so the groups look right already. The entry is refused, but a child that
 * is forked before that must not keep the hidden group.
 */
static void hidden_group(void)
{
	static const gid_t shown[] = {65534}, hidden[] = {7777};
	static const struct libreplace_identity user = {1001, 1002, 1, shown};
	int file, ready[2], mapped[2], status = 1;
	char byte = 0;
	pid_t child;

	strcpy(secret, "/tmp/libreplace-steps-XXXXXX");
	MUST((file = mkstemp(secret)) >= 0 && fchown(file, 0, hidden[0]) == 0);
	MUST(fchmod(file, 0640) == 0 && close(file) == 0);
	MUST(pipe(ready) == 0 && pipe(mapped) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		MUST(libreplace_setgroups(1, hidden) == 0);
		if (unshare(CLONE_NEWUSER) != 0) {
			printf("# no user namespaces here\n");
			exit(0);
		}
		MUST(write(ready[1], &byte, 1) == 1 && read(mapped[0], &byte, 1) == 1);
		MUST(libreplace_setresgid(0, 0, 0) == 0 && libreplace_setresuid(0, 0, 0) == 0);
		enter_and_leave(&user, LIBREPLACE_LEVEL_EFFECTIVE, EOVERFLOW);
		MUST(open(secret, O_RDONLY) >= 0); /* the parent still has it */
		exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		write_maps(child);
	MUST(write(mapped[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child);
	MUST(unlink(secret) == 0 && status == 0);
}

static int run_all(void)
{
	int failed = 0;

	RUN(shielded);
	RUN(effective);
	RUN(real);
	RUN(filesystem);
	RUN(without_root);
	RUN(filesystem_without_root);
	RUN(as_root);
	RUN(nested);
	RUN(nested_without_root);
	RUN(root_inside_a_user);
	RUN(user_inside_root);
	RUN(with_inheritable_capabilities);
	RUN(with_another_real_id);
	RUN(rolled_back);
	RUN(nested_and_rolled_back);
	RUN(refused);
	RUN(hidden_group);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	needs_root();
	needs_proc();
	if (argc > 1)
		every = strtol(argv[1], NULL, 10);
	action = CHILD_RETURNS;
	failed += run_all();
	action = CHILD_ENDS;
	failed += run_all();
	action = CALLS;
	failed += run_all();
	return failed != 0;
}
