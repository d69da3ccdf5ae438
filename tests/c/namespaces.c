/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Entries in user namespaces. The kernel shows an id that a namespace does not map as the overflow
 * id, 65534, so equal numbers may be different groups. Each case runs in a forked child, as root.
 * A case does nothing where user namespaces are forbidden. Source: user_namespaces(7).
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "in_namespace.h"

/* HIDDEN is a user and a group outside of the namespaces. They show it as OVERFLOW. */
enum { HIDDEN = 7777, OVERFLOW = 65534 };

/* The usual map of a container, one that ends before 65534, and three that map every id. */
#define USUAL "0 100000 65536"
#define SHORT "0 100000 65534"
#define ALL "0 0 4294967295"
#define ALL_IN_TWO "0 0 65536\n65536 65536 4294901759"

static const gid_t the_overflow_group[] = {OVERFLOW}, of_user[] = {1002};
static const struct libreplace_identity nobody = {OVERFLOW, OVERFLOW, 1, the_overflow_group};
static const struct libreplace_identity user = {1001, 1001, 1, of_user};

static void nothing(void)
{
}

/* Run @body in a user namespace with these maps. */
static void run_in_namespace(const char *uids, const char *gids, const char *setgroups,
                             void (*body)(void))
{
	const struct maps maps = {uids, gids, setgroups};

	in_namespace(&maps, nothing, body);
}

/* Become the namespace's root. The groups stay. */
static void be_root(void)
{
	MUST(libreplace_setresgid(0, 0, 0) == 0 && libreplace_setresuid(0, 0, 0) == 0);
}

/* ---- the id of level shielded */

/* Return the real user ID of user @uid at level shielded. */
static uid_t shield_of(uid_t uid)
{
	struct libreplace_identity other = user;
	uid_t r, e, s;
	entry held;

	other.uid = uid;
	MUST(libreplace_enter(fresh(&held), &other, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && e == uid && s == 0);
	MUST(getegid() == 1001 && getgroups(0, NULL) == 1);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
	return r;
}

/* Return the step at which entering @who at @level fails. The thread must be unchanged. */
static int failing_step(const struct libreplace_identity *who, int level, int error, int state)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), who, level) == -1);
	MUST(errno == error && held.guard.error == error && held.guard.state == state);
	expect_ids(0, 0, 0, 0, 0, 0);
	MUST(libreplace_depth() == 0 && libreplace_active() == 0 && !libreplace_tainted());
	return held.guard.step;
}

static int refused_shield(uid_t uid, int error, int state)
{
	struct libreplace_identity other = user;

	other.uid = uid;
	return failing_step(&other, LIBREPLACE_LEVEL_SHIELDED, error, state);
}

static void with_all_ids_mapped(void)
{
	be_root();
	MUST(shield_of(1001) == LIBREPLACE_SHIELD_UID);
	MUST(shield_of(70000) == LIBREPLACE_SHIELD_UID);
	MUST(shield_of(LIBREPLACE_SHIELD_UID) == 65535);
	MUST(shield_of(65535) == LIBREPLACE_SHIELD_UID);
}

static void with_65536_ids_mapped(void)
{
	be_root();
	MUST(shield_of(1001) == 65535);
	MUST(refused_shield(65535, EOVERFLOW, LIBREPLACE_STATE_IDLE) == LIBREPLACE_STEP_REFUSED);
	MUST(refused_shield(70000, EINVAL, LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_UID);
	MUST(shield_of(1001) == 65535);
}

static void with_65535_ids_mapped(void)
{
	struct libreplace_identity other_group = user, other_user = user;
	entry held;

	be_root();
	MUST(refused_shield(1001, EOVERFLOW, LIBREPLACE_STATE_IDLE) == LIBREPLACE_STEP_REFUSED);
	/* the missing shield is not the reason of these failures */
	other_group.gid = other_user.uid = 70000;
	MUST(failing_step(&other_group, LIBREPLACE_LEVEL_SHIELDED, EINVAL,
	                  LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_GID);
	MUST(failing_step(&other_user, LIBREPLACE_LEVEL_REAL, EINVAL,
	                  LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_UID);
	MUST(libreplace_enter(fresh(&held), &user, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(geteuid() == 1001 && libreplace_leave(&held.guard) == 0);
}

/* Enter as root at level shielded, as a thread with the real user ID 0 and no other ID 0. Without
 * that last 0 it would lose its capabilities. Return: what libreplace_enter() returns. */
static int enter_with_one_zero(void)
{
	const struct libreplace_identity root = {0, 0, 0, NULL};
	uid_t r, e, s, fs;
	entry held;
	int result;

	be_root();
	MUST(libreplace_setresuid(0, 1000, 1000) == 0 && libreplace_setfsuid(0) == 0);
	fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
	result = libreplace_enter(&held.guard, &root, LIBREPLACE_LEVEL_SHIELDED);
	if (result == 0) {
		MUST(libreplace_getresuid(&r, &e, &s) == 0 && r == 65535 && e == 0 && s == 1000);
		MUST(libreplace_leave(&held.guard) == 0);
	} else {
		MUST(errno == EOVERFLOW && held.guard.state == LIBREPLACE_STATE_IDLE);
	}
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && libreplace_getfsuid(&fs) == 0);
	MUST(r == 0 && e == 1000 && s == 1000 && fs == 0 && !libreplace_tainted());
	MUST(libreplace_setresuid(0, 0, 0) == 0);
	return result;
}

static void with_65536_ids_and_one_zero(void)
{
	MUST(enter_with_one_zero() == 0);
}

static void with_65535_ids_and_one_zero(void)
{
	MUST(enter_with_one_zero() == -1);
}

static void thread_keeps_its_last_zero_while_it_looks_for_a_shield_id(void)
{
	run_in_namespace("0 0 65536", "0 0 60000", "allow", with_65536_ids_and_one_zero);
	run_in_namespace("0 0 65535", "0 0 60000", "allow", with_65535_ids_and_one_zero);
}

/* The kernel reports an unmapped id before it asks for the privilege to set it. */
static void with_65536_ids_mapped_and_no_privilege(void)
{
	static const struct libreplace_identity other = {1002, 1001, 0, NULL};
	entry held;

	be_root();
	MUST(libreplace_setgroups(0, NULL) == 0 && libreplace_setresgid(1001, 1001, 1001) == 0);
	MUST(libreplace_setresuid(1001, 1001, 1001) == 0);
	MUST(libreplace_enter(fresh(&held), &other, LIBREPLACE_LEVEL_SHIELDED) == -1);
	MUST(errno == EPERM && held.guard.error == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_UID);
	MUST(held.guard.state == LIBREPLACE_STATE_ROLLED_BACK && !libreplace_tainted());
	expect_ids(1001, 1001, 1001, 1001, 1001, 0);
}

static void with_only_the_first_shield_mapped(void)
{
	be_root();
	MUST(shield_of(1001) == LIBREPLACE_SHIELD_UID);
	MUST(refused_shield(70000, EINVAL, LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_UID);
	MUST(refused_shield(LIBREPLACE_SHIELD_UID, EOVERFLOW, LIBREPLACE_STATE_IDLE) ==
	     LIBREPLACE_STEP_REFUSED);
}

static void shield_id_depends_on_the_namespace(void)
{
	run_in_namespace(ALL, "0 0 60000", "allow", with_all_ids_mapped);
	run_in_namespace("0 0 65536", "0 0 60000", "allow", with_65536_ids_mapped);
	run_in_namespace("0 0 65536", "0 0 60000", "allow", with_65536_ids_mapped_and_no_privilege);
	run_in_namespace("0 0 65535", "0 0 60000", "allow", with_65535_ids_mapped);
	run_in_namespace("0 0 2000\n4294967293 4294967293 1", "0 0 60000", "allow",
	                 with_only_the_first_shield_mapped);
}

/* ---- hidden ids and groups */

/* A file that group HIDDEN may read. */
static const char *secret;

static int reads_the_secret(void)
{
	int file = open(secret, O_RDONLY);

	if (file >= 0)
		close(file);
	return file >= 0;
}

/* The file has no name any more, so that none is left behind. Opening it checks the rights again.
 */
static void make_secret(void)
{
	char path[] = "/tmp/libreplace-namespaces-XXXXXX";
	static char link[32];
	int file = mkstemp(path);

	MUST(file >= 0 && unlink(path) == 0);
	MUST(fchown(file, 0, HIDDEN) == 0 && fchmod(file, 0640) == 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	secret = link;
}

/* The ids that the kernel shows: six, the fs ids, and the groups. */
struct shown {
	uid_t r, e, s, fs;
	gid_t rg, eg, sg, fsg, groups[ROOM];
	int size;
};

static struct shown look(void)
{
	struct shown now;

	memset(&now, 0, sizeof now);
	MUST(libreplace_getresuid(&now.r, &now.e, &now.s) == 0);
	MUST(libreplace_getresgid(&now.rg, &now.eg, &now.sg) == 0);
	MUST(libreplace_getfsuid(&now.fs) == 0 && libreplace_getfsgid(&now.fsg) == 0);
	MUST((now.size = getgroups(ROOM, now.groups)) >= 0);
	return now;
}

/* Every entry must be refused before anything changes. */
static void must_be_refused(void)
{
	const struct libreplace_identity *const all[] = {&nobody, &user};
	struct shown before = look(), now;
	int unused = dup(0); /* the lowest number: no entry may leave a file open */
	entry held;

	MUST(unused >= 0 && close(unused) == 0);
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++)
		for (int i = 0; i < 2; i++) {
			MUST(libreplace_enter(fresh(&held), all[i], level) == -1);
			MUST(errno == EOVERFLOW && held.guard.error == EOVERFLOW);
			MUST(held.guard.step == LIBREPLACE_STEP_RETURN && held.guard.changes == 0);
			MUST(held.guard.state == LIBREPLACE_STATE_IDLE && !libreplace_tainted());
			MUST(libreplace_active() == 0 && libreplace_depth() == 0);
			now = look();
			MUST(memcmp(&before, &now, sizeof now) == 0);
			MUST(dup(0) == unused && close(unused) == 0);
		}
}

/* Whether the namespace maps an id that level shielded can use. */
static int maps_a_shield(void)
{
	uid_t fs; /* setresuid(2) changes it, too */
	int maps;

	MUST(libreplace_getfsuid(&fs) == 0);
	maps = libreplace_setresuid(65535, -1, -1) == 0;
	MUST(libreplace_setresuid(0, -1, -1) == 0 && libreplace_setfsuid(fs) == 0);
	return maps;
}

static int has_group(const struct shown *now, gid_t group)
{
	int i = 0;

	while (i < now->size && now->groups[i] != group)
		i++;
	return i < now->size;
}

/* Enter as @who at each level, and again inside, and leave. The ids must be the same afterwards. */
static void must_return_from(const struct libreplace_identity *who)
{
	struct shown before = look(), inside, now;
	entry outer, inner;

	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		if (level == LIBREPLACE_LEVEL_SHIELDED && !maps_a_shield())
			continue;
		MUST(libreplace_enter(fresh(&outer), who, level) == 0);
		inside = look();
		MUST(inside.fs == who->uid && inside.fsg == who->gid &&
		     inside.size == (int)who->size);
		for (size_t i = 0; i < who->size; i++)
			MUST(has_group(&inside, who->groups[i]));
		MUST(libreplace_check(&outer.guard) == 0);
		MUST(libreplace_enter(fresh(&inner), &user, level) == 0);
		MUST(libreplace_check(&inner.guard) == 0 && libreplace_leave(&inner.guard) == 0);
		now = look();
		MUST(memcmp(&inside, &now, sizeof now) == 0);
		MUST(libreplace_check(&outer.guard) == 0 && libreplace_leave(&outer.guard) == 0);
		now = look();
		MUST(memcmp(&before, &now, sizeof now) == 0);
	}
}

static void with_hidden_groups(void)
{
	gid_t shown[1];

	be_root();
	MUST(getgroups(1, shown) == 1 && shown[0] == OVERFLOW && reads_the_secret());
	must_be_refused();
	MUST(reads_the_secret()); /* the hidden group is still there */
	MUST(libreplace_setgroups(0, NULL) == 0 && !reads_the_secret());
	must_return_from(&user);
}

/* The kernel shows the hidden group first. */
static void with_a_hidden_and_another_group(void)
{
	gid_t shown[2];

	be_root();
	MUST(getgroups(2, shown) == 2 && shown[0] == OVERFLOW && shown[1] == 5);
	must_be_refused();
}

static void hidden_groups_are_not_lost_and_not_given_away(void)
{
	static const gid_t hidden[] = {HIDDEN}, two[] = {HIDDEN, 100005};

	make_secret();
	MUST(libreplace_setgroups(1, hidden) == 0);
	run_in_namespace(USUAL, USUAL, "allow", with_hidden_groups);
	run_in_namespace(SHORT, SHORT, "allow", with_hidden_groups);
	MUST(libreplace_setgroups(2, two) == 0);
	run_in_namespace(USUAL, USUAL, "allow", with_a_hidden_and_another_group);
}

/* The kernel IDs outside are 0, which the map does not contain. Each case leaves one of them. */
static void with_one_hidden_id(void)
{
	static const uid_t ids[][3] = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}, {0, 0, 0}};

	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			int status = 0;
			pid_t child = fork();

			if (child == 0) {
				const uid_t *u = ids[i];
				const gid_t *g = ids[j];

				MUST(libreplace_setresgid(g[0], g[1], g[2]) == 0);
				MUST(libreplace_setresuid(u[0], u[1], u[2]) == 0);
				MUST(libreplace_setfsgid(0) == 0 && libreplace_setfsuid(0) == 0);
				if (i == 3 && j == 3)
					must_return_from(&user);
				else
					must_be_refused();
				exit(0);
			}
			MUST(waitpid(child, &status, 0) == child && status == 0);
		}
}

static void hidden_ids_are_not_lost(void)
{
	run_in_namespace(USUAL, USUAL, "allow", with_one_hidden_id);
	run_in_namespace(SHORT, SHORT, "allow", with_one_hidden_id);
}

/* ---- the user nobody */

static void as_nobody(void)
{
	struct shown now;
	entry held;
	int status = 0;
	pid_t child;

	be_root();
	must_return_from(&nobody);
	MUST(libreplace_enter(fresh(&held), &nobody, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST((child = fork()) >= 0);
	if (child == 0) {
		now = look();
		MUST(now.r == OVERFLOW && now.e == OVERFLOW && now.s == OVERFLOW);
		MUST(now.rg == OVERFLOW && now.eg == OVERFLOW && now.sg == OVERFLOW);
		MUST(now.size == 1 && now.groups[0] == OVERFLOW && !reads_the_secret());
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	/* nobody can tell these from hidden ones */
	MUST(libreplace_setfsgid(OVERFLOW) == 0);
	must_be_refused();
	MUST(libreplace_setfsgid(0) == 0 && libreplace_setfsuid(OVERFLOW) == 0);
	must_be_refused();
	MUST(libreplace_setfsuid(0) == 0);
	MUST(libreplace_setgroups(1, the_overflow_group) == 0 && !reads_the_secret());
	must_be_refused();
}

static void without_nobody(void)
{
	be_root();
	MUST(failing_step(&nobody, LIBREPLACE_LEVEL_EFFECTIVE, EINVAL,
	                  LIBREPLACE_STATE_ROLLED_BACK) == LIBREPLACE_STEP_GROUPS);
}

static void nobody_is_an_ordinary_user_if_mapped(void)
{
	make_secret();
	run_in_namespace(USUAL, USUAL, "allow", as_nobody);
	run_in_namespace(SHORT, SHORT, "allow", without_nobody);
}

/* ---- maps that hide nothing, and maps that cannot be read */

static void in_the_overflow_group(void)
{
	be_root();
	MUST(libreplace_setgroups(1, the_overflow_group) == 0);
	MUST(libreplace_setfsgid(OVERFLOW) == 0 && libreplace_setfsuid(OVERFLOW) == 0);
	must_return_from(&user);
	must_return_from(&nobody);
	MUST(libreplace_setfsgid(0) == 0 && libreplace_setfsuid(0) == 0);
}

static void complete_maps_hide_nothing(void)
{
	in_the_overflow_group();
	run_in_namespace(ALL, ALL, "allow", in_the_overflow_group);
	run_in_namespace(ALL_IN_TWO, ALL_IN_TWO, "allow", in_the_overflow_group);
}

/* Let other processes not see what is mounted. */
static int have_own_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static void without_proc(void)
{
	be_root();
	if (have_own_mounts() != 0 || mount("none", "/proc", "tmpfs", 0, NULL) != 0) {
		printf("# no mounts here\n");
		return;
	}
	MUST(access("/proc/self/gid_map", F_OK) == -1);
	must_return_from(&user);
	MUST(libreplace_setgroups(1, the_overflow_group) == 0);
	must_be_refused();
}

/* A system may have other overflow ids. The library reads them when it is loaded. */
static void other_overflow_ids_are_noticed(void)
{
	static const char *const files[] = {"overflowuid", "overflowgid"};
	static const char folder[] = "/proc/sys/kernel";
	FILE *file;

	if (have_own_mounts() != 0 || mount("none", folder, "tmpfs", 0, NULL) != 0) {
		printf("# no mounts here\n");
		return;
	}
	MUST(chdir(folder) == 0);
	for (int i = 0; i < 2; i++) {
		MUST((file = fopen(files[i], "w")) != NULL);
		MUST(fputs("1002\n", file) >= 0 && fclose(file) == 0);
	}
	execl("/proc/self/exe", "namespaces", "again", NULL);
	MUST(errno == ENOEXEC); /* under an emulator, which the kernel does not know */
	printf("# no second run here\n");
}

/* The second run: 1002 is the overflow id now. */
static void with_another_overflow_id(void)
{
	be_root();
	MUST(libreplace_setgroups(1, the_overflow_group) == 0);
	must_return_from(&user);
	MUST(libreplace_setgroups(1, of_user) == 0);
	must_be_refused();
	MUST(libreplace_setgroups(0, NULL) == 0 && libreplace_setfsuid(1002) == 0);
	must_be_refused();
}

static void map_that_cannot_be_read_counts_as_incomplete(void)
{
	run_in_namespace(ALL, ALL, "allow", without_proc);
	without_proc();
}

/* ---- the order of groups, and groups that nobody may set */

/* The kernel sorts by the ids outside: group 2000 is 101000, and group 5 is 200005. */
static void with_two_ranges(void)
{
	static const gid_t two[] = {5, 2000}, others[] = {6, 2000};
	static const struct libreplace_identity member = {1001, 1001, 2, two};
	static const struct libreplace_identity other = {1001, 1001, 2, others};
	struct shown now;

	be_root();
	must_return_from(&member);
	MUST(libreplace_setgroups(2, two) == 0);
	now = look();
	MUST(now.size == 2 && now.groups[0] == 2000 && now.groups[1] == 5);
	must_return_from(&member);
	must_return_from(&other);
	must_return_from(&user);
}

static void groups_may_be_shown_in_another_order(void)
{
	run_in_namespace(ALL, "0 200000 1000\n1000 100000 64536", "allow", with_two_ranges);
}

static void with_fixed_groups(void)
{
	static const struct libreplace_identity member_of_nothing = {1001, 1001, 0, NULL};
	entry held;

	be_root();
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		MUST(failing_step(&user, level, EPERM, LIBREPLACE_STATE_ROLLED_BACK) ==
		     LIBREPLACE_STEP_GROUPS);
		MUST(libreplace_enter(fresh(&held), &member_of_nothing, level) == 0);
		MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
		expect_ids(0, 0, 0, 0, 0, 0);
	}
}

static void forbidden_setgroups_is_rolled_back(void)
{
	run_in_namespace(USUAL, USUAL, "deny", with_fixed_groups);
}

int main(int count, char **arguments)
{
	int failed = 0;

	(void)arguments;
	if (count > 1) {
		run_in_namespace(USUAL, USUAL, "allow", with_another_overflow_id);
		return 0;
	}
	needs_root();
	needs_proc();
	RUN(shield_id_depends_on_the_namespace);
	RUN(thread_keeps_its_last_zero_while_it_looks_for_a_shield_id);
	RUN(hidden_groups_are_not_lost_and_not_given_away);
	RUN(hidden_ids_are_not_lost);
	RUN(nobody_is_an_ordinary_user_if_mapped);
	RUN(complete_maps_hide_nothing);
	RUN(other_overflow_ids_are_noticed);
	RUN(map_that_cannot_be_read_counts_as_incomplete);
	RUN(groups_may_be_shown_in_another_order);
	RUN(forbidden_setgroups_is_rolled_back);
	return failed != 0;
}
