/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Obstacles on Linux: missing capabilities, libraries and tracers that fake ids, securebits, and
 * filters. A control makes a system call directly, in a child process, and looks into /proc. The
 * status of a process also shows that it has a filter, but nearly every container has one. Source:
 * capabilities(7), seccomp(2), ptrace(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "verify.h"

enum { SETGID_BIT = 6, SETUID_BIT = 7 }; /* include/uapi/linux/capability.h */

/* On 32-bit architectures with 16-bit calls, the wide calls have other numbers. */
#ifdef SYS_setresuid32
#define NUMBER(name) SYS_##name##32
#else
#define NUMBER(name) SYS_##name
#endif

static const unsigned none = (unsigned)-1;
static const enum unit units[] = {UID, GID};
static const char *const lines[] = {"Uid", "Gid"};

static int loaded(const char *library)
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[4200];
	int found = 0;

	while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
		found = strstr(line, library) != NULL;
	if (file != NULL)
		fclose(file);
	return found;
}

/* The ids in a line of the status. Return: 0 if there is no /proc. */
static int kernel_ids(enum unit unit, unsigned ids[4])
{
	char text[80];

	return read_status(lines[unit], text, sizeof text) &&
	       sscanf(text, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4;
}

/* The effective set in /proc. Without /proc: the argument. */
static unsigned long long shown_capabilities(unsigned long long otherwise)
{
	char text[80];

	return read_status("CapEff", text, sizeof text) ? strtoull(text, NULL, 16) : otherwise;
}

/* Whether all user or group IDs are 0 */
static int has_ids_of_root(enum unit unit)
{
	unsigned ids[4] = {none, none, none, 0};

	if (!kernel_ids(unit, ids))
		syscall(unit == UID ? NUMBER(getresuid) : NUMBER(getresgid), &ids[0], &ids[1],
		        &ids[2]);
	return (ids[0] | ids[1] | ids[2] | ids[3]) == 0;
}

void become_root(void)
{
	if (has_ids_of_root(UID) && has_ids_of_root(GID))
		return;
	if (syscall(NUMBER(setresgid), 0L, 0L, 0L) != 0 ||
	    syscall(NUMBER(setresuid), 0L, 0L, 0L) != 0)
		not_here("this process has the capabilities, but cannot become root: %s",
		         strerror(errno));
	if (!has_ids_of_root(UID) || !has_ids_of_root(GID))
		not_here("becoming root changes nothing here, even without the library");
}

static _Noreturn void refused(const char *name)
{
	not_here("a filter or a sandbox refuses %s here, even without the library: %s", name,
	         strerror(errno));
}

static void control_real_ids(const void *unused)
{
	unsigned ids[2][3] = {{none, none, none}, {none, none, none}}, shown[4];
	char tracer[16] = "0";

	(void)unused;
	if (loaded("libfakeroot"))
		not_here("fakeroot replaces libc's calls, but not the kernel's; run this as root");
	if (loaded("libuid_wrapper"))
		not_here("uid_wrapper simulates ids; run this without it");
	if (syscall(NUMBER(getresuid), &ids[UID][0], &ids[UID][1], &ids[UID][2]) != 0 ||
	    syscall(NUMBER(getresgid), &ids[GID][0], &ids[GID][1], &ids[GID][2]) != 0)
		return; /* this is the obstacle of another control */
	read_status("TracerPid", tracer, sizeof tracer);
	for (int unit = UID; unit <= GID; unit++)
		if (kernel_ids(units[unit], shown) &&
		    memcmp(shown, ids[unit], sizeof ids[unit]) != 0)
			not_here("the kernel's calls report %u, %u and %u, but /proc shows %s: %u, "
			         "%u and %u; %s fakes ids (as proot does)",
			         ids[unit][0], ids[unit][1], ids[unit][2], lines[unit], shown[0],
			         shown[1], shown[2],
			         strcmp(tracer, "0") == 0 ? "something" : "a tracer");
}

static void control_privilege(const void *unused)
{
	unsigned long long set = shown_capabilities(geteuid() == 0 ? ~0ULL : 0);
	int user, group;

	(void)unused;
	user = (set >> SETUID_BIT & 1) != 0;
	group = (set >> SETGID_BIT & 1) != 0;
	if (!user || !group)
		not_here("needs %s%s%s%s", user || group ? "" : "root, or ",
		         user ? "" : "CAP_SETUID", user || group ? "" : " and ",
		         group ? "" : "CAP_SETGID");
}

static void control_getres(const void *unit)
{
	const enum unit which = *(const enum unit *)unit;
	unsigned ids[3];

	if (syscall(which == UID ? NUMBER(getresuid) : NUMBER(getresgid), &ids[0], &ids[1],
	            &ids[2]) != 0)
		refused(which == UID ? "getresuid" : "getresgid");
}

/* setfsuid(-1) returns the present id. The error number of a filter looks like an id. */
static void control_getfs(const void *unit)
{
	const enum unit which = *(const enum unit *)unit;
	unsigned ids[4];

	for (int i = 0; i < 2; i++)
		if (kernel_ids(which, ids) &&
		    (unsigned)syscall(which == UID ? NUMBER(setfsuid) : NUMBER(setfsgid), -1L) !=
		        ids[FS])
			not_here("a filter or a tracer refuses %s here, even without the library",
			         which == UID ? "setfsuid" : "setfsgid");
}

static void control_getgroups(const void *unused)
{
	gid_t one = gid(OTHER);
	long size;

	(void)unused;
	if (syscall(NUMBER(getgroups), 0L, NULL) < 0)
		refused("getgroups");
	if (has_privilege() && obstacle("setgroups") == NULL &&
	    syscall(NUMBER(setgroups), 1L, &one) == 0) {
		size = syscall(NUMBER(getgroups), 0L, NULL);
		if (size != 1)
			not_here("getgroups reports %ld groups here instead of 1", size);
	}
}

static void control_openat2(const void *unused)
{
	(void)unused;
#ifdef SYS_openat2
	uint64_t how[3] = {O_RDONLY, 0, 0}; /* struct open_how of linux/openat2.h */
	struct stat wanted, found;
	long file = syscall(SYS_openat2, (long)folder(), ".", how, sizeof how);

	if (folder() == -1 || (file == -1 && (errno == ENOSYS || errno == EPERM)))
		return;
	if (file == -1)
		refused("openat2");
	if (fstat(folder(), &wanted) != 0 || fstat((int)file, &found) != 0 ||
	    wanted.st_ino != found.st_ino)
		not_here("openat2 opens another file here");
#endif
}

enum { VERSION_3 = 0x20080522 }; /* _LINUX_CAPABILITY_VERSION_3 */

/* Set the three capability sets, in two words each. The effective one is empty. */
static void set_capabilities(const unsigned sets[6])
{
	unsigned header[] = {VERSION_3, 0};

	if (syscall(SYS_capset, header, sets) != 0)
		refused("capset");
	if (shown_capabilities(0) != 0)
		not_here("capset changes nothing here, even without the library");
}

static void control_capabilities(const void *unused)
{
	unsigned header[] = {VERSION_3, 0}, sets[6] = {0, 0, 0, 0, 0, 0};
	unsigned long long effective;

	(void)unused;
	if (syscall(SYS_capget, header, sets) != 0)
		refused("capget");
	effective = sets[0] | (unsigned long long)sets[3] << 32;
	if (shown_capabilities(effective) != effective)
		not_here("capget reports other capabilities here than /proc");
	sets[0] = sets[3] = 0;
	set_capabilities(sets);
}

/* Without CAP_SETUID, a thread can return only to ids that it still has. */
static void control_way_back(const void *level)
{
	const int which = *(const int *)level;
	unsigned ids[4];
	long real = which == LIBREPLACE_LEVEL_EFFECTIVE     ? -1L
	            : which == LIBREPLACE_LEVEL_REAL        ? (long)uid(USER)
	            : is_mapped(UID, LIBREPLACE_SHIELD_UID) ? (long)LIBREPLACE_SHIELD_UID
	                                                    : 65535L;

	if (which == LIBREPLACE_LEVEL_SHIELDED && real == 65535 && !is_mapped(UID, 65535))
		not_here("this user namespace maps neither 4294967293 nor 65535");
	if (!kernel_ids(UID, ids) || syscall(NUMBER(setresuid), real, (long)uid(USER), -1L) != 0)
		return;
	if (syscall(NUMBER(setresuid), (long)ids[0], (long)ids[1], (long)ids[2]) != 0)
		not_here("a thread with the user IDs %u, %u and %u cannot return to them", ids[0],
		         ids[1], ids[2]);
}

/* A setter, and the id of a line in /proc that it sets. */
struct setter {
	const char *name;
	long number;
	enum unit unit;
	int arguments, which;
};

static void control_setter(const void *row)
{
	const struct setter *call = row;
	const long id = call->unit == UID ? (long)uid(USER) : (long)gid(GROUP);
	gid_t group = gid(GROUP);
	unsigned ids[4] = {none, none, none, none};
	char text[80] = "";
	long result = call->unit == GROUPS   ? syscall(call->number, 1L, &group)
	              : call->arguments == 1 ? syscall(call->number, id)
	                                     : syscall(call->number, -1L, id, -1L);

	/* setfsuid and setfsgid return the previous id */
	if (result == -1 || (result != 0 && call->which != FS))
		refused(call->name);
	if (call->unit == GROUPS) {
		if (read_status("Groups", text, sizeof text) && strtoul(text, NULL, 10) != group)
			not_here("setgroups changes nothing here, even without the library");
	} else if (kernel_ids(call->unit, ids) && ids[call->which] != (unsigned)id)
		not_here("%s changes nothing here, even without the library", call->name);
}

/* The securebits of capabilities(7) may keep the capabilities of a process that becomes a user. */
static void control_loss(const void *unused)
{
	const long user = (long)uid(USER);

	(void)unused;
	become_root();
	if (syscall(NUMBER(setresuid), user, user, user) == 0 && shown_capabilities(0) != 0)
		not_here("a user keeps root's capabilities here: clear the securebit "
		         "no_setuid_fixup");
}

/* qemu-user takes the highest ids for errors, where setfsuid returns an id. */
static void control_highest_id(const void *unused)
{
	const long id = (long)wide_ids[WIDE_IDS - 1];

	(void)unused;
	become_root();
	if (is_mapped(UID, wide_ids[WIDE_IDS - 1]) && syscall(NUMBER(setresuid), -1L, id, -1L) == 0)
		control_getfs(&units[UID]);
}

static void must_be_denied(const char *name, long result)
{
	if (result == 0)
		not_here("%s succeeds without privilege here, even without the library", name);
	if (errno != EPERM && errno != EINVAL)
		refused(name);
}

/* Without privilege, the kernel must refuse the ids of other users, and accept present ids. */
static void control_unprivileged(const void *unused)
{
	const long user = (long)uid(USER), group = (long)gid(GROUP), other = (long)uid(OTHER);
	const unsigned sets[6] = {0, 0, 0, 0, 0, 0};
	gid_t list = gid(OTHER);

	(void)unused;
	if (may_become_user()) {
		become_root();
		if (syscall(NUMBER(setresgid), group, group, group) != 0 ||
		    syscall(NUMBER(setresuid), user, user, user) != 0)
			refused("setresuid");
	}
	set_capabilities(sets);
	must_be_denied("setresuid", syscall(NUMBER(setresuid), -1L, other, -1L));
	must_be_denied("setresgid", syscall(NUMBER(setresgid), -1L, (long)list, -1L));
	must_be_denied("setgroups", syscall(NUMBER(setgroups), 1L, &list));
	if (syscall(NUMBER(setresuid), -1L, -1L, -1L) != 0)
		refused("setresuid");
	if (syscall(NUMBER(setresgid), -1L, -1L, -1L) != 0)
		refused("setresgid");
	if (syscall(NUMBER(setreuid), -1L, -1L) != 0)
		refused("setreuid");
}

/* The control of a setter. Its argument is a row of its own. */
#define SETTER(name, unit, arguments, which)                                                       \
	{                                                                                          \
		#name, control_setter, &(const struct setter)                                      \
		{                                                                                  \
			#name, NUMBER(name), unit, arguments, which                                \
		}                                                                                  \
	}

const struct control controls_of_users[] = {{"real ids", control_real_ids, NULL},
                                            {"privilege", control_privilege, NULL},
                                            {"getresuid", control_getres, &units[UID]},
                                            {"getresgid", control_getres, &units[GID]},
                                            {"getfsuid", control_getfs, &units[UID]},
                                            {"getfsgid", control_getfs, &units[GID]},
                                            {"openat2", control_openat2, NULL},
                                            {"io_uring", control_ring, NULL},
                                            {NULL, NULL, NULL}};
const struct control controls_of_servers[] = {
    {"capabilities", control_capabilities, NULL},
    SETTER(setresuid, UID, 3, EFFECTIVE),
    SETTER(setresgid, GID, 3, EFFECTIVE),
    SETTER(setreuid, UID, 2, EFFECTIVE),
    SETTER(setregid, GID, 2, EFFECTIVE),
    SETTER(setuid, UID, 1, EFFECTIVE),
    SETTER(setgid, GID, 1, EFFECTIVE),
    SETTER(setfsuid, UID, 1, FS),
    SETTER(setfsgid, GID, 1, FS),
    SETTER(setgroups, GROUPS, 0, 0),
    {"way back from shielded", control_way_back, &levels[0]},
    {"way back from effective", control_way_back, &levels[1]},
    {"way back from real", control_way_back, &levels[2]},
    {NULL, NULL, NULL}};
const struct control controls_of_root[] = {
    {"loss", control_loss, NULL}, {"highest id", control_highest_id, NULL}, {NULL, NULL, NULL}};
const struct control controls_of_all[] = {{"getgroups", control_getgroups, NULL},
                                          {"unprivileged", control_unprivileged, NULL},
                                          {NULL, NULL, NULL}};
