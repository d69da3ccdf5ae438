/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What is refused before anything changes, and what is noticed afterwards: entries without a way
 * back, bad groups, little room; ids and groups that somebody changes inside; forked children.
 * tests/programs/mutants.py asked for most of it. Each case runs in a forked child; as root, where
 * one call changes one thread.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "cases.h"
#include "raw_capabilities.h"

static const gid_t groups_of_the_namespace[] = {1002};
static const struct libreplace_identity mapped_user = {1001, 1001, 1, groups_of_the_namespace};

/* Enter and leave as a thread that starts with these ids; the step at which it is refused, or NONE.
 */
static int attempt(uid_t r, uid_t e, uid_t s, int level)
{
	entry held;
	uid_t now[3];

	MUST(libreplace_setresuid(r, e, s) == 0);
	if (libreplace_enter(fresh(&held), &alice, level) != 0) {
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
		return held.guard.step;
	}
	MUST(geteuid() == ALICE && libreplace_leave(&held.guard) == 0);
	MUST(libreplace_getresuid(&now[0], &now[1], &now[2]) == 0);
	MUST(now[0] == r && now[1] == e && now[2] == s && !libreplace_tainted());
	return LIBREPLACE_STEP_NONE;
}

static void root_by_the_effective_id_alone(void)
{
	MUST(attempt(80100, 0, 80100, LIBREPLACE_LEVEL_EFFECTIVE) == LIBREPLACE_STEP_PRIVILEGE);
}

static void root_whose_real_id_would_be_lost(void)
{
	MUST(attempt(80100, 0, 0, LIBREPLACE_LEVEL_SHIELDED) == LIBREPLACE_STEP_PRIVILEGE);
}

static void root_whose_real_id_stays(void)
{
	MUST(attempt(80100, 0, 0, LIBREPLACE_LEVEL_EFFECTIVE) == LIBREPLACE_STEP_NONE);
}

static void root_whose_saved_id_is_another(void)
{
	MUST(attempt(0, 0, 80100, LIBREPLACE_LEVEL_EFFECTIVE) == LIBREPLACE_STEP_NONE);
	MUST(attempt(0, 0, 80100, LIBREPLACE_LEVEL_REAL) == LIBREPLACE_STEP_PRIVILEGE);
}

static void bad_groups(void)
{
	static const gid_t unsorted[] = {80021, 80011}, twice[] = {80011, 80011};
	struct libreplace_identity who = {ALICE, STAFF, 2, unsorted};
	entry held;

	MUST(libreplace_enter(fresh(&held), &who, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
	who.groups = twice;
	MUST(libreplace_enter(fresh(&held), &who, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
	are(0, 0, 0, 0, 0, 0);
}

static void the_groups_are_right_already(void)
{
	entry held;

	MUST(libreplace_setgroups(2, groups_of_alice) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(held.guard.changes == 2);
	are(0, ALICE, 0, ALICE, STAFF, 2);
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.changes == 4);
}

/* Leave after something was changed inside: it must be noticed, and everything is as before. */
static void noticed(entry *held)
{
	gid_t fs;

	MUST(libreplace_leave(&held->guard) == -1 && errno == EPERM);
	MUST(held->guard.step == LIBREPLACE_STEP_FOUND && !libreplace_tainted());
	MUST(held->guard.state == LIBREPLACE_STATE_LEFT && libreplace_getfsgid(&fs) == 0 &&
	     fs == 0);
	are(0, 0, 0, 0, 0, 0);
}

/* Each changes something of a thread that acts as alice; the saved ids are the server's, so it can.
 */
static void effective_uid(void)
{
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
}

static void real_uid(void)
{
	MUST(libreplace_setresuid(ALICE, -1, -1) == 0);
}

static void effective_gid(void)
{
	MUST(libreplace_setresgid(-1, 0, -1) == 0);
}

static void saved_gid(void)
{
	MUST(libreplace_setresgid(-1, -1, STAFF) == 0);
}

static void as_root(int result)
{
	MUST(result == 0 && libreplace_setresuid(-1, ALICE, -1) == 0);
}

static void groups(void)
{
	static const gid_t others[] = {80012, 80021};

	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	as_root(libreplace_setgroups(2, others));
}

static void fs_uid(void)
{
	MUST(libreplace_setfsuid(0) == 0);
}

static void fs_gid(void)
{
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	as_root(libreplace_setfsgid(80012));
}

static void fs_uid_of_root(void)
{
	MUST(libreplace_setfsuid(ALICE) == 0);
}

static void changed_inside(void)
{
	static const struct libreplace_identity of_roots_group = {ALICE, 0, 2, groups_of_alice};
	static const struct libreplace_identity root_of_staff = {0, STAFF, 2, groups_of_alice};
	static const struct {
		void (*change)(void);
		const struct libreplace_identity *who;
		int level;
	} cases[] = {
	    {effective_uid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {real_uid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {effective_gid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {saved_gid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {groups, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {fs_uid, &alice, LIBREPLACE_LEVEL_FILESYSTEM},
	    {fs_gid, &of_roots_group, LIBREPLACE_LEVEL_EFFECTIVE},
	    {fs_uid_of_root, &root_of_staff, LIBREPLACE_LEVEL_EFFECTIVE},
	};
	entry held;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, cases[i].who, cases[i].level) == 0);
		MUST(libreplace_check(&held.guard) == 0);
		cases[i].change();
		noticed(&held);
	}
}

static void in_a_child(void (*body)(entry *), entry *held)
{
	int status = 1;
	pid_t child = fork();

	if (child == 0) {
		body(held);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void is_for_good(entry *held)
{
	unsigned sets[6] = {0};
	entry inner;

	MUST(capabilities(SYS_capget, sets) == 0 && sets[1] == 0 && sets[4] == 0);
	MUST(libreplace_check(&held->guard) == -1 && held->guard.step == LIBREPLACE_STEP_FORKED);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(inner.guard.state == LIBREPLACE_STATE_FOR_GOOD &&
	     inner.guard.step == LIBREPLACE_STEP_FORKED);
	MUST(geteuid() == ALICE);
}

static void handler(int number)
{
	(void)number;
}

static void default_actions(entry *held)
{
	struct sigaction found;

	(void)held;
	MUST(sigaction(SIGTERM, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGRTMIN + 2, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGHUP, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGUSR1, NULL, &found) == 0 && found.sa_handler == SIG_IGN);
}

static void kept_handler(entry *held)
{
	struct sigaction found;

	(void)held;
	MUST(sigaction(SIGTERM, NULL, &found) == 0 && found.sa_handler == handler);
}

static void handlers_in_a_forked_child(void)
{
	entry held;

	MUST(signal(SIGTERM, handler) != SIG_ERR && signal(SIGRTMIN + 2, handler) != SIG_ERR);
	MUST(signal(SIGHUP, handler) != SIG_ERR && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	in_a_child(kept_handler, &held);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == 0);
	in_a_child(default_actions, &held);
	MUST(libreplace_leave(&held.guard) == 0);
	kept_handler(&held);
}

static void forked_under_an_identity(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	in_a_child(is_for_good, &held);
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	in_a_child(is_for_good, &held);
	MUST(libreplace_leave(&held.guard) == 0);
}

static void enters(entry *held)
{
	MUST(libreplace_enter(fresh(held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_active() == 1 && libreplace_leave(&held->guard) == 0);
}

static void forked_during_a_drop(void)
{
	entry held;

	MUST(libreplace_drop_begin() == 0);
	in_a_child(enters, &held);
	libreplace_drop_end();
}

static void *leave_elsewhere(void *guard)
{
	MUST(libreplace_leave(guard) == -1 && libreplace_tainted());
	return NULL;
}

static void *leave_again_elsewhere(void *guard)
{
	MUST(libreplace_leave(guard) == 0 && !libreplace_tainted()); /* said once already */
	return NULL;
}

static void left_by_its_own_thread_after_others_tried(void)
{
	void *(*others[])(void *) = {leave_elsewhere, leave_again_elsewhere};
	pthread_t thread;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	for (int i = 0; i < 2; i++) {
		MUST(pthread_create(&thread, NULL, others[i], &held.guard) == 0);
		MUST(pthread_join(thread, NULL) == 0);
		MUST(held.guard.state == LIBREPLACE_STATE_TAINTED && !libreplace_tainted());
	}
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.step == LIBREPLACE_STEP_NONE);
	MUST(held.guard.state == LIBREPLACE_STATE_LEFT && libreplace_depth() == 0);
	are(0, 0, 0, 0, 0, 0);
}

/* Enter, and lose every way back. */
static void enter_for_ever(entry *held, int flags)
{
	unsigned none[6] = {0};

	fresh(held)->flags = flags;
	MUST(libreplace_enter(&held->guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	MUST(capabilities(SYS_capset, none) == 0);
}

static void aborts_if_it_cannot_be_restored(void)
{
	entry held;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		enter_for_ever(&held, LIBREPLACE_ABORT_UNLESS_RESTORED);
		libreplace_leave(&held.guard);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	MUST(WTERMSIG(status) == SIGABRT);
}

static void tainted_if_it_cannot_be_restored(void)
{
	entry held, inner;

	enter_for_ever(&held, 0);
	MUST(libreplace_leave(&held.guard) == -1 && libreplace_tainted());
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED);
	MUST(libreplace_leave(&held.guard) == 0); /* once is enough */
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOTRECOVERABLE && inner.guard.step == LIBREPLACE_STEP_REFUSED);
}

static void all_capabilities_are_dropped(void)
{
	unsigned sets[6] = {0};

	MUST(become_server_without_root() == 0 && libreplace_drop_capabilities() == 0);
	MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == 0 && sets[1] == 0 && sets[2] == 0);
}

/* As the root of a user namespace that maps the uids below @size and the gids below 60000 to
 * themselves. Nothing is tried where such namespaces are forbidden. */
static void in_a_namespace(const char *size, void (*body)(void))
{
	int ready[2], mapped[2], status = 0;
	char byte = 0, path[64];
	pid_t child;

	MUST(pipe(ready) == 0 && pipe(mapped) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		if (unshare(CLONE_NEWUSER) != 0) {
			printf("# no user namespaces here\n");
			exit(0);
		}
		MUST(write(ready[1], &byte, 1) == 1 && read(mapped[0], &byte, 1) == 1);
		MUST(libreplace_setgroups(0, NULL) == 0 && libreplace_setresgid(0, 0, 0) == 0);
		MUST(libreplace_setresuid(0, 0, 0) == 0);
		body();
		exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1) {
		const char *const maps[][2] = {{"uid_map", size}, {"gid_map", "60000"}};

		for (int i = 0; i < 2; i++) {
			FILE *map;

			snprintf(path, sizeof path, "/proc/%d/%s", (int)child, maps[i][0]);
			MUST((map = fopen(path, "w")) != NULL);
			MUST(fprintf(map, "0 0 %s", maps[i][1]) > 0 && fclose(map) == 0);
		}
	}
	MUST(write(mapped[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
}

/* The real uid of user @uid at level shielded. */
static uid_t shield_of(uid_t uid)
{
	struct libreplace_identity who = mapped_user;
	uid_t r, e, s;
	entry held;

	who.uid = uid;
	MUST(libreplace_enter(fresh(&held), &who, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && e == uid && s == 0);
	MUST(getegid() == 1001 && getgroups(0, NULL) == 1);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	are(0, 0, 0, 0, 0, 0);
	return r;
}

/* The step at which user @uid is refused at level shielded; nothing is left behind. */
static int refused_shield(uid_t uid, int error, int state)
{
	struct libreplace_identity who = mapped_user;
	entry held;

	who.uid = uid;
	MUST(libreplace_enter(fresh(&held), &who, LIBREPLACE_LEVEL_SHIELDED) == -1);
	MUST(errno == error && held.guard.error == error && held.guard.state == state);
	are(0, 0, 0, 0, 0, 0);
	MUST(libreplace_depth() == 0 && libreplace_active() == 0 && !libreplace_tainted());
	return held.guard.step;
}

static void where_all_is_mapped(void)
{
	MUST(shield_of(1001) == LIBREPLACE_SHIELD_UID);
	MUST(shield_of(70000) == LIBREPLACE_SHIELD_UID);
}

static void where_65536_are_mapped(void)
{
	MUST(shield_of(1001) == 65535);
	MUST(refused_shield(65535, EOVERFLOW, LIBREPLACE_STATE_IDLE) == LIBREPLACE_STEP_REFUSED);
	MUST(refused_shield(70000, EINVAL, LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_UID);
	MUST(shield_of(1001) == 65535);
}

static void where_65535_are_mapped(void)
{
	entry held;

	MUST(refused_shield(1001, EOVERFLOW, LIBREPLACE_STATE_IDLE) == LIBREPLACE_STEP_REFUSED);
	MUST(libreplace_enter(fresh(&held), &mapped_user, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(geteuid() == 1001 && libreplace_leave(&held.guard) == 0);
}

static void a_namespace_without_the_id_that_nobody_has(void)
{
	in_a_namespace("4294967295", where_all_is_mapped);
	in_a_namespace("65536", where_65536_are_mapped);
	in_a_namespace("65535", where_65535_are_mapped);
}

int main(void)
{
	int failed = 0;

	if (geteuid() != 0)
		return 77;
	RUN(root_by_the_effective_id_alone);
	RUN(root_whose_real_id_would_be_lost);
	RUN(root_whose_real_id_stays);
	RUN(root_whose_saved_id_is_another);
	RUN(bad_groups);
	RUN(the_groups_are_right_already);
	RUN(changed_inside);
	RUN(forked_under_an_identity);
	RUN(handlers_in_a_forked_child);
	RUN(forked_during_a_drop);
	RUN(left_by_its_own_thread_after_others_tried);
	RUN(aborts_if_it_cannot_be_restored);
	RUN(tainted_if_it_cannot_be_restored);
	RUN(all_capabilities_are_dropped);
	RUN(a_namespace_without_the_id_that_nobody_has);
	return failed != 0;
}
