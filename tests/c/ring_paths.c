/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests where the path of a request of a ring may lead: out of the folder, through links, to the
 * open files of the process; and paths that are long, empty, or end with slashes. Each case runs in
 * a forked child with a folder of its own, as root, on Linux.
 */
#include "ring_cases.h"

/* Check that no call goes to @parent, and what open and stat of @path give. */
static void must_not_pass(const char *parent, const char *path, uint64_t resolve, int error)
{
	char inside[64];
	call_of_ring call = {LIBREPLACE_RING_OPEN, folder, path, 0, 0640, resolve, folder, NULL};

	snprintf(inside, sizeof inside, "%s/new", parent);
	GIVES(ask(&alice, &call, NULL), error);
	call.flags = O_WRONLY | O_CREAT;
	GIVES(ask(&alice, &call, NULL), error);
	call.flags = 0;
	call.kind = LIBREPLACE_RING_STAT;
	GIVES(ask(&alice, &call, NULL), error);
	call.path = inside;
	GIVES(ask(&alice, &call, NULL), error);
	for (call.kind = LIBREPLACE_RING_MKDIR; call.kind <= LIBREPLACE_RING_SYMLINK; call.kind++) {
		call.path = inside;
		call.new_path = "shared/other";
		GIVES(ask(&alice, &call, NULL), error);
		call.path = "shared/of_alice";
		call.new_path = inside;
		if (call.kind == LIBREPLACE_RING_RENAME || call.kind == LIBREPLACE_RING_LINK)
			GIVES(ask(&alice, &call, NULL), error);
	}
	must_belong("shared/of_alice", ALICE, STAFF, S_IFREG | 0600);
	MUST(faccessat(folder, "shared/other", F_OK, AT_SYMLINK_NOFOLLOW) == -1);
	MUST(faccessat(folder, "shared/new", F_OK, AT_SYMLINK_NOFOLLOW) == -1);
}

static void path_that_leads_out_is_refused(void)
{
	char out[64];

	make_files();
	MUST(symlinkat("../..", folder, "shared/out") == 0);
	MUST(symlinkat("/", folder, "shared/root") == 0);
	snprintf(out, sizeof out, "%s/shared", place);
	must_not_pass("..", "..", SAFE, -EXDEV);
	must_not_pass("shared/../..", "shared/../..", SAFE, -EXDEV);
	must_not_pass("shared/out", "shared/out", SAFE, -EXDEV);
	must_not_pass("shared/out/tmp", "shared/out/tmp", SAFE, -EXDEV);
	must_not_pass("shared/root/tmp", "shared/root", SAFE, -EXDEV);
	must_not_pass("", "/", SAFE, -EXDEV); /* "/new" */
	must_not_pass(out, out, SAFE, -EXDEV);
	must_not_pass("shared/root/tmp", "shared/root", LIBREPLACE_RESOLVE_NO_SYMLINKS, -ELOOP);
}

static void path_may_lead_anywhere_without_a_restriction(void)
{
	char path[64], moved[64];
	struct stat found;
	call_of_ring call = {LIBREPLACE_RING_MKDIR, -1, path, 0, 0700, 0, -1, moved};

	make_files();
	snprintf(path, sizeof path, "%s/shared/one", place);
	snprintf(moved, sizeof moved, "%s/alice/two", place);
	GIVES(ask(&alice, &call, NULL), 0);
	must_belong("shared/one", ALICE, STAFF, S_IFDIR | 0700);
	call.kind = LIBREPLACE_RING_RENAME;
	GIVES(ask(&alice, &call, NULL), 0);
	must_belong("alice/two", ALICE, STAFF, S_IFDIR | 0700);
	call.kind = LIBREPLACE_RING_STAT;
	call.path = moved;
	GIVES(ask(&bob, &call, NULL), -EACCES);
	GIVES(ask(&alice, &call, &found), 0);
	MUST(S_ISDIR(found.st_mode) && found.st_uid == ALICE);
	call.path = "/"; /* no name is left */
	call.kind = LIBREPLACE_RING_MKDIR;
	GIVES(ask(&alice, &call, NULL), -EEXIST);
	call.resolve = LIBREPLACE_RESOLVE_IN_ROOT;
	call.dir_fd = folder;
	call.path = "/../shared/../../shared/three";
	GIVES(ask(&alice, &call, NULL), 0);
	must_belong("shared/three", ALICE, STAFF, S_IFDIR | 0700);
}

/* The workers of the kernel are threads of this process, so they may see /proc/self/fd. */
static void magic_link_is_refused(void)
{
	int proc, secret, hidden;
	char name[64];
	call_of_ring call = {LIBREPLACE_RING_OPEN, 0, name, O_RDONLY, 0, SAFE, 0, NULL};

	needs_proc();
	make_files();
	MUST((proc = open("/proc", O_RDONLY | O_DIRECTORY)) >= 0);
	MUST((secret = openat(folder, "closed/for_all", O_RDONLY)) >= 0);
	MUST((hidden = openat(folder, "closed", O_RDONLY | O_DIRECTORY)) >= 0);
	call.dir_fd = call.new_dir_fd = proc;
	snprintf(name, sizeof name, "%d/fd/%d", (int)getpid(), secret);
	GIVES(ask(&alice, &call, NULL), -ELOOP);
	call.kind = LIBREPLACE_RING_STAT;
	GIVES(ask(&alice, &call, NULL), -ELOOP);
	call.resolve = LIBREPLACE_RESOLVE_BENEATH;
	GIVES(ask(&alice, &call, NULL), -EXDEV);
	call.resolve = SAFE;
	snprintf(name, sizeof name, "%d/fd/%d/new", (int)getpid(), hidden);
	for (call.kind = 0; call.kind <= LIBREPLACE_RING_SYMLINK; call.kind++) {
		call.new_path = name;
		GIVES(ask(&alice, &call, NULL), -ELOOP);
	}
}

static void symbolic_link_is_followed_only_in_the_parent(void)
{
	struct stat found;

	make_files();
	MUST(symlinkat("../alice", folder, "shared/to_alice") == 0);
	MUST(symlinkat("nothing", folder, "shared/dangling") == 0);
	MUST(fchownat(folder, "shared/to_alice", ALICE, STAFF, AT_SYMLINK_NOFOLLOW) == 0);
	MUST(fchownat(folder, "shared/dangling", ALICE, STAFF, AT_SYMLINK_NOFOLLOW) == 0);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "shared/to_alice/new", NULL), 0);
	must_belong("alice/new", ALICE, STAFF, S_IFDIR | 0750);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "shared/dangling", NULL), -EEXIST);
	GIVES(ask_name(&alice, LIBREPLACE_RING_SYMLINK, "shared/dangling", "x"), -EEXIST);
	GIVES(ask_name(&alice, LIBREPLACE_RING_LINK, "shared/dangling", "alice/dangling"), 0);
	must_belong("alice/dangling", ALICE, STAFF, S_IFLNK | 0777);
	GIVES(ask_open(&alice, "shared/dangling", O_RDONLY), -ENOENT);
	GIVES(ask_open(&alice, "shared/dangling", CREATE), -EEXIST);
	GIVES(ask_open(&alice, "shared/dangling", O_PATH | O_NOFOLLOW), -ELOOP);
	GIVES(ask_open(&alice, "shared/to_alice", O_RDONLY | O_NOFOLLOW), -ELOOP);
	GIVES(ask_stat(&alice, "shared/dangling", 0, &found), -ENOENT);
	GIVES(ask_stat(&alice, "shared/dangling", AT_SYMLINK_NOFOLLOW, &found), 0);
	MUST(S_ISLNK(found.st_mode) && found.st_size == 7);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "shared/dangling", "alice/moved"), 0);
	must_belong("alice/moved", ALICE, STAFF, S_IFLNK | 0777);
	GIVES(ask_name(&alice, LIBREPLACE_RING_UNLINK, "shared/to_alice", NULL), 0);
	must_belong("alice/file", ALICE, STAFF, S_IFREG | 0600);
}

static void slashes_at_the_end_stay_with_the_name(void)
{
	make_files();
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "shared//made//", NULL), 0);
	must_belong("shared/made", ALICE, STAFF, S_IFDIR | 0750);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "shared/made/", "shared/two/"), 0);
	must_belong("shared/two", ALICE, STAFF, S_IFDIR | 0750);
	GIVES(ask_name(&alice, LIBREPLACE_RING_UNLINK, "shared/of_alice/", NULL), -ENOTDIR);
	GIVES(ask_name(&alice, LIBREPLACE_RING_UNLINK, "shared/two", NULL), -EISDIR);
	GIVES(ask_open(&alice, "shared/of_alice/", O_RDONLY), -ENOTDIR);
	GIVES(ask_stat(&alice, "shared/of_alice/", 0, NULL), -ENOTDIR);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, ".", NULL), -EEXIST);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "..", NULL), -EEXIST);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "../", NULL), -EEXIST);
	GIVES(ask_name(&alice, LIBREPLACE_RING_UNLINK, "shared/..", NULL), -EISDIR);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "shared/..", "alice/x"), -EBUSY);
}

/* Write the longest path that the kernel takes. @end: an odd number of characters. */
static void write_long_path(char *path, const char *end)
{
	for (int i = 0; i < 4096; i += 2)
		memcpy(path + i, "./", 2);
	strcpy(path + 4095 - strlen(end), end);
	MUST(strlen(path) == 4095);
}

static void long_and_empty_paths(void)
{
	static char path[4200], name[300];

	make_files();
	write_long_path(path, "shared/of_alice");
	OPENS(ask_open(&alice, path, O_RDONLY));
	GIVES(ask_stat(&alice, path, 0, NULL), 0);
	write_long_path(path, "//shared/made");
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, path, NULL), 0);
	must_belong("shared/made", ALICE, STAFF, S_IFDIR | 0750);
	write_long_path(path, "shared/../a");
	strcat(path, "/file"); /* the folder of the name is too long, too */
	for (int kind = 0; kind <= LIBREPLACE_RING_SYMLINK; kind++)
		GIVES(ask_name(&alice, kind, path, "alice/x"), -ENAMETOOLONG);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "alice/file", path), -ENAMETOOLONG);
	memset(name, 'x', 263);
	memcpy(name, "shared/", 7);
	for (int kind = 0; kind <= LIBREPLACE_RING_SYMLINK; kind++) {
		GIVES(ask_name(&alice, kind, name, "alice/x"), -ENAMETOOLONG);
		GIVES(ask_name(&alice, kind, "", "alice/x"), -ENOENT);
	}
	name[262] = 0;
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, name, NULL), 0);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "alice/file", ""), -ENOENT);
	GIVES(ask_name(&alice, LIBREPLACE_RING_SYMLINK, "shared/link", ""), -ENOENT);
}

static void paths_are_copied(void)
{
	char path[] = "shared/first", moved[] = "alice/first";
	call_of_ring call = {LIBREPLACE_RING_MKDIR, folder, path, 0, 0700, SAFE, folder, moved};
	struct libreplace_ring_result results[2];
	int known = 0;

	make_files();
	MUST(libreplace_ring_start(ring, &alice, &call, NULL, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0 && await_results(ring, results, 2) == 1);
	call.kind = LIBREPLACE_RING_RENAME;
	MUST(libreplace_ring_start(ring, &alice, &call, NULL, NULL) == 0);
	memset(path, 'x', sizeof path - 1);
	memset(moved, 'y', sizeof moved - 1);
	memset(&call, 0xff, sizeof call);
	MUST(libreplace_ring_flush(ring) == 0);
	known = await_results(ring, results, 2);
	MUST(known == 1 && results[0].value == 0);
	must_belong("alice/first", ALICE, STAFF, S_IFDIR | 0700);
}

static void two_folders(void)
{
	int from = openat(folder, ".", O_RDONLY | O_DIRECTORY), to, here;
	call_of_ring call = {LIBREPLACE_RING_RENAME, 0, "file", 0, 0, SAFE, 0, "moved"};

	make_files();
	MUST((to = openat(folder, "shared", O_PATH | O_DIRECTORY)) >= 0 && close(from) == 0);
	MUST((from = openat(folder, "alice", O_PATH | O_DIRECTORY)) >= 0);
	call.dir_fd = from;
	call.new_dir_fd = to;
	GIVES(ask(&alice, &call, NULL), 0);
	must_belong("shared/moved", ALICE, STAFF, S_IFREG | 0600);
	call = (call_of_ring){LIBREPLACE_RING_LINK, to, "./moved", 0, 0, SAFE, from, "./linked"};
	GIVES(ask(&alice, &call, NULL), 0);
	must_belong("alice/linked", ALICE, STAFF, S_IFREG | 0600);
	call.new_dir_fd = -1;
	GIVES(ask(&alice, &call, NULL), -EBADF);
	call.dir_fd = 999;
	call.new_dir_fd = from;
	GIVES(ask(&alice, &call, NULL), -EBADF);
	MUST((here = openat(folder, "shared", O_PATH)) >= 0 && fchdir(here) == 0);
	call = (call_of_ring){LIBREPLACE_RING_UNLINK, AT_FDCWD, "moved", 0, 0, SAFE, 0, NULL};
	GIVES(ask(&alice, &call, NULL), 0);
	call.path = "../shared/moved";
	GIVES(ask(&alice, &call, NULL), -EXDEV);
	call.dir_fd = from;
	call.path = "file/x";
	GIVES(ask(&alice, &call, NULL), -ENOENT);
	call.path = "linked/x";
	GIVES(ask(&alice, &call, NULL), -ENOTDIR);
}

int main(void)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_ring();
	RUN_IN_PLACE(path_that_leads_out_is_refused);
	RUN_IN_PLACE(path_may_lead_anywhere_without_a_restriction);
	RUN_IN_PLACE(magic_link_is_refused);
	RUN_IN_PLACE(symbolic_link_is_followed_only_in_the_parent);
	RUN_IN_PLACE(slashes_at_the_end_stay_with_the_name);
	RUN_IN_PLACE(long_and_empty_paths);
	RUN_IN_PLACE(paths_are_copied);
	RUN_IN_PLACE(two_folders);
	return failed != 0;
}
