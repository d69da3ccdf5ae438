/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests what each request of a ring does: the owner of what it makes, what its user may not do, and
 * which kinds of files it opens. The calling thread stays root in all cases. Each case runs in a
 * forked child with a folder of its own, as root, on Linux. ring_paths.c tests where a path may
 * lead, and ring_use.c the ring itself.
 */
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "ring_cases.h"

/* ---- what belongs to whom */

static void each_call_acts_as_its_user(void)
{
	struct stat found;

	make_files();
	umask(0);
	OPENS(ask_open(&alice, "shared/new", CREATE));
	must_belong("shared/new", ALICE, STAFF, S_IFREG | 0640);
	umask(027); /* that of the process counts, also if it changes */
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "shared/made", NULL), 0);
	must_belong("shared/made", ALICE, STAFF, S_IFDIR | 0750);
	GIVES(ask_name(&bob, LIBREPLACE_RING_SYMLINK, "shared/link", "any text /../"), 0);
	must_belong("shared/link", BOB, 80012, S_IFLNK | 0777);
	GIVES(ask_name(&alice, LIBREPLACE_RING_LINK, "shared/new", "alice/linked"), 0);
	MUST(fstatat(folder, "shared/new", &found, 0) == 0 && found.st_nlink == 2);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "shared/new", "alice/renamed"), 0);
	MUST(fstatat(folder, "shared/new", &found, 0) == -1 && errno == ENOENT);
	must_belong("alice/renamed", ALICE, STAFF, S_IFREG | 0640);
	GIVES(ask_name(&alice, LIBREPLACE_RING_UNLINK, "alice/renamed", NULL), 0);
	MUST(fstatat(folder, "alice/renamed", &found, 0) == -1 && errno == ENOENT);
	GIVES(ask_stat(&alice, "alice/linked", 0, &found), 0);
	MUST(found.st_uid == ALICE && found.st_nlink == 1 && found.st_mode == (S_IFREG | 0640));
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void new_descriptor_works_without_the_identity(void)
{
	char text[8];
	int fd;

	make_files();
	fd = ask_open(&alice, "alice/file", O_RDWR);
	MUST(fd >= 0 && read(fd, text, sizeof text) == 6 && memcmp(text, "secret", 6) == 0);
	MUST(write(fd, "more", 4) == 4 && close(fd) == 0);
	OPENS(ask_open(&alice, "alice/file", O_WRONLY | O_TRUNC));
	fd = openat(folder, "alice/file", O_RDONLY);
	MUST(fd >= 0 && read(fd, text, sizeof text) == 0 && close(fd) == 0);
}

/* The user has no capabilities, so root's group and files are closed. */
static void other_users_files_are_closed(void)
{
	struct stat found;

	make_files();
	GIVES(ask_open(&bob, "shared/of_alice", O_RDONLY), -EACCES);
	GIVES(ask_open(&bob, "shared/of_alice", O_WRONLY | O_CREAT), -EACCES);
	GIVES(ask_open(&bob, "alice/file", O_RDONLY), -EACCES);
	GIVES(ask_open(&bob, "alice/new", CREATE), -EACCES);
	GIVES(ask_open(&bob, "alice/file", O_PATH), -EACCES);
	GIVES(ask_open(&alice, "shared/of_root", O_RDONLY), -EACCES);
	GIVES(ask_open(&alice, "shared/of_root_group", O_RDONLY), -EACCES);
	GIVES(ask_open(&alice, "shared/for_all", O_RDONLY | O_NOATIME), -EPERM);
	GIVES(ask_open(&alice, "closed/for_all", O_RDONLY), -EACCES);
	GIVES(ask_stat(&bob, "alice/file", 0, &found), -EACCES);
	GIVES(ask_stat(&bob, "shared/of_alice", 0, &found), 0);
	GIVES(ask_name(&bob, LIBREPLACE_RING_MKDIR, "alice/new", NULL), -EACCES);
	GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "alice/file", NULL), -EACCES);
	GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "shared/of_alice", NULL), -EPERM);
	GIVES(ask_name(&bob, LIBREPLACE_RING_RENAME, "alice/file", "bob/file"), -EACCES);
	GIVES(ask_name(&bob, LIBREPLACE_RING_RENAME, "shared/of_alice", "bob/file"), -EPERM);
	GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "alice/file", "bob/file"), -EACCES);
	GIVES(ask_name(&bob, LIBREPLACE_RING_LINK, "alice/file", "bob/file"), -EACCES);
	GIVES(ask_name(&alice, LIBREPLACE_RING_LINK, "alice/file", "bob/file"), -EACCES);
	GIVES(ask_name(&bob, LIBREPLACE_RING_SYMLINK, "alice/link", "file"), -EACCES);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "new", NULL), -EACCES);
	must_belong("alice/file", ALICE, STAFF, S_IFREG | 0600);
	must_belong("shared/of_alice", ALICE, STAFF, S_IFREG | 0600);
}

/* A hard link to a file that the user cannot write needs CAP_FOWNER. Source: proc_sys_fs(5). */
static void another_users_file_cannot_be_linked(void)
{
	FILE *file = fopen("/proc/sys/fs/protected_hardlinks", "r");
	int is_protected = file != NULL && fgetc(file) == '1';

	make_files();
	if (is_protected)
		GIVES(ask_name(&bob, LIBREPLACE_RING_LINK, "shared/of_alice", "bob/x"), -EPERM);
}

static void groups_count(void)
{
	static const struct libreplace_identity bare = {ALICE, 80099, 0, NULL};
	static const gid_t extra[] = {EXTRA}, other[] = {80022};
	static const struct libreplace_identity member = {BOB, 80012, 1, extra};
	static const struct libreplace_identity stranger = {BOB, 80012, 1, other};

	make_files();
	OPENS(ask_open(&alice, "shared/of_staff", O_RDONLY));
	GIVES(ask_open(&alice, "shared/of_staff", O_WRONLY), -EACCES);
	OPENS(ask_open(&alice, "shared/of_extra", O_RDWR));
	OPENS(ask_open(&alice, "staff/new", CREATE));
	must_belong("staff/new", ALICE, STAFF, S_IFREG | 0640);
	GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "extra/new", NULL), 0);
	must_belong("extra/new", ALICE, STAFF, S_IFDIR | 0750);
	for (int i = 0; i < 3; i++) { /* the same uid, other groups; the ring keeps all of them */
		GIVES(ask_open(&bare, "shared/of_staff", O_RDONLY), -EACCES);
		GIVES(ask_open(&bare, "shared/of_extra", O_RDONLY), -EACCES);
		OPENS(ask_open(&member, "shared/of_extra", O_RDONLY));
		GIVES(ask_open(&stranger, "shared/of_extra", O_RDONLY), -EACCES);
		GIVES(ask_open(&bob, "shared/of_extra", O_RDONLY), -EACCES);
		OPENS(ask_open(&alice, "shared/of_extra", O_RDONLY));
	}
	OPENS(ask_open(&bare, "shared/by_bare", CREATE));
	must_belong("shared/by_bare", ALICE, 80099, S_IFREG | 0640);
}

/* Requests must not have the keys of the server. The kernel shows a file of keys to whoever opened
 * it. Source: keyctl(2), proc_keys_show() in security/keys/proc.c. */
static void session_keyring_is_not_that_of_the_server(void)
{
	enum { JOIN_SESSION_KEYRING = 1, SESSION_KEYRING = -3 };
	static const char name[] = "libreplace-ring-test";
	const call_of_ring call = {
	    LIBREPLACE_RING_OPEN, AT_FDCWD, "/proc/keys", O_RDONLY, 0, 0, 0, NULL};
	char line[256];
	FILE *keys;
	int file, found;

	make_files();
	if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) < 0)
		skip("needs ", "keyrings (keyctl(2))");
	MUST(syscall(SYS_add_key, "user", name, "x", 1, SESSION_KEYRING) > 0);
	for (int of_alice = 0; of_alice < 2; of_alice++) {
		file = of_alice ? ask(&alice, &call, NULL) : open("/proc/keys", O_RDONLY);
		if (!of_alice && file < 0 && errno == ENOENT)
			return; /* a kernel without this file */
		MUST(file >= 0 && (keys = fdopen(file, "r")) != NULL);
		for (found = 0; fgets(line, sizeof line, keys) != NULL;)
			found |= strstr(line, name) != NULL;
		MUST(fclose(keys) == 0 && found == !of_alice);
	}
}

static void root_needs_the_flag(void)
{
	static const gid_t list[] = {0, 80011};
	static const struct libreplace_identity all[] = {{0, STAFF, 0, NULL},
	                                                 {ALICE, 0, 0, NULL},
	                                                 {ALICE, STAFF, 1, list},
	                                                 {ALICE, STAFF, 2, list}};
	const call_of_ring call = {
	    LIBREPLACE_RING_OPEN, folder, "shared/new", CREATE, 0640, SAFE, 0, NULL};

	make_files();
	for (int i = 0; i < 4; i++)
		MUST(libreplace_ring_start(ring, &all[i], &call, NULL, NULL) == -1 &&
		     errno == EPERM);
	close_ring(ring);
	open_ring(0, 0, 0, LIBREPLACE_ALLOW_ROOT);
	for (int i = 0; i < 4; i++) {
		char name[] = "shared/new0";

		name[10] += (char)i;
		OPENS(ask_open(&all[i], name, CREATE));
		must_belong(name, all[i].uid, all[i].gid, S_IFREG | 0640);
	}
	OPENS(ask_open(&all[2], "shared/of_root_group", O_RDWR));
	GIVES(ask_open(&alice, "shared/of_root_group", O_RDWR), -EACCES);
	/* as in a switched thread, uid 0 has its capabilities, and the group alone has none */
	OPENS(ask_open(&all[0], "alice/file", O_RDONLY));
	GIVES(ask_open(&all[1], "bob", O_RDONLY | O_DIRECTORY), -EACCES);
}

/* ---- kinds of files */

static void make_kinds(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made = socket(AF_UNIX, SOCK_STREAM, 0);

	make_files();
	umask(0);
	MUST(mkfifoat(folder, "fifo", 0666) == 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", place);
	MUST(bind(made, (struct sockaddr *)&address, sizeof address) == 0 && close(made) == 0);
	if (mknodat(folder, "null", S_IFCHR | 0666, 1 << 8 | 3) != 0)
		MUST(errno == EPERM); /* not allowed in this container */
}

static void other_kinds_are_refused(void)
{
	static const char *const names[] = {"fifo", "socket", "null"};
	static const int ways[] = {O_RDONLY,
	                           O_WRONLY,
	                           O_RDWR,
	                           O_PATH,
	                           O_RDONLY | O_NONBLOCK,
	                           O_RDONLY | O_CREAT,
	                           O_WRONLY | O_CREAT | O_TRUNC,
	                           O_RDWR | O_CREAT};
	int before, reader;

	make_kinds();
	before = count_descriptors();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t j = 0; j < sizeof ways / sizeof *ways; j++)
			if (faccessat(folder, names[i], F_OK, 0) == 0)
				GIVES(ask_open(&alice, names[i], ways[j]), -ENXIO);
	MUST((reader = openat(folder, "fifo", O_RDONLY | O_NONBLOCK)) >= 0);
	GIVES(ask_open(&alice, "fifo", O_WRONLY), -ENXIO);
	MUST(close(reader) == 0);
	GIVES(ask_open(&alice, "shared", O_RDONLY), -EISDIR);
	GIVES(ask_open(&alice, "shared", O_WRONLY), -EISDIR);
	GIVES(ask_open(&alice, "shared", O_PATH), -EISDIR);
	GIVES(ask_open(&alice, "outside", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	GIVES(ask_open(&alice, "fifo", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	OPENS(ask_open(&alice, "shared", O_RDONLY | O_DIRECTORY));
	OPENS(ask_open(&alice, "shared", O_PATH | O_DIRECTORY));
	close_ring(ring); /* files that were refused are closed by then */
	MUST(count_descriptors() == before - 2);
}

/* Check the flags of a descriptor, and that exec closes it. Then close it. */
static void must_have(int fd, int flags)
{
	int all = O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH | O_DIRECTORY | O_NOFOLLOW;

	MUST(fd >= 0);
	MUST((fcntl(fd, F_GETFL) & all) == flags);
	MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
}

static void descriptor_has_the_requested_flags(void)
{
	make_files();
	must_have(ask_open(&alice, "alice/file", O_RDONLY), O_RDONLY);
	must_have(ask_open(&alice, "alice/file", O_WRONLY | O_TRUNC), O_WRONLY);
	must_have(ask_open(&alice, "alice/file", O_RDWR | O_APPEND), O_RDWR | O_APPEND);
	must_have(ask_open(&alice, "alice/file", O_RDWR | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	must_have(ask_open(&alice, "alice/new", CREATE), O_WRONLY);
	must_have(ask_open(&alice, "alice/newer", CREATE | O_NONBLOCK), O_WRONLY | O_NONBLOCK);
	must_have(ask_open(&alice, "alice/file", O_PATH), O_PATH);
	must_have(ask_open(&alice, "alice", O_RDONLY | O_DIRECTORY), O_RDONLY | O_DIRECTORY);
	GIVES(ask_open(&alice, "alice/new", CREATE), -EEXIST);
}

static void unnamed_file_has_no_o_nonblock(void)
{
	struct stat found;
	int fd;

	make_files();
	fd = ask_open(&alice, "shared", O_TMPFILE | O_RDWR);
	if (fd == -EOPNOTSUPP)
		skip("needs ", "O_TMPFILE in /tmp");
	MUST(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 && fstat(fd, &found) == 0);
	MUST(found.st_uid == ALICE && found.st_gid == STAFF && found.st_nlink == 0);
}

static int breaks;

static void count_break(int number)
{
	(void)number;
	breaks++;
}

static void lease_is_not_waited_for(void)
{
	int leased;

	make_files();
	leased = openat(folder, "alice/file", O_RDWR | O_CLOEXEC);
	MUST(leased >= 0 && signal(SIGIO, count_break) != SIG_ERR);
	if (fcntl(leased, F_SETLEASE, F_WRLCK) != 0)
		skip("needs ", "leases on files in /tmp");
	GIVES(ask_open(&alice, "alice/file", O_RDONLY), -EAGAIN);
	MUST(breaks == 1 && fcntl(leased, F_SETLEASE, F_UNLCK) == 0);
	OPENS(ask_open(&alice, "alice/file", O_RDONLY));
}

/* An overlay copies a file to its upper layer then, which can take longer than an event loop may
 * wait. */
static void overlay_is_written_by_a_worker(void)
{
	char options[256];
	int lower;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
		skip("needs ", "a mount namespace");
	MUST(mount("none", place, "tmpfs", 0, NULL) == 0 && chmod(place, 0755) == 0);
	MUST((lower = open(place, O_RDONLY | O_DIRECTORY)) >= 0 && dup2(lower, folder) == folder);
	make_folder("lower", ALICE, STAFF, 0755);
	make_folder("upper", ALICE, STAFF, 0755);
	make_folder("work", 0, 0, 0700);
	make_folder("merged", 0, 0, 0755);
	make("lower/file", ALICE, STAFF, 0600);
	snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
	         place, place, place);
	MUST(chdir(place) == 0);
	if (mount("none", "merged", "overlay", 0, options) != 0)
		skip("needs ", "overlay");
	MUST((lower = open("merged", O_RDONLY | O_DIRECTORY)) >= 0 &&
	     dup2(lower, folder) == folder);
	MUST(access("merged/file", F_OK) == 0); /* the kernel needs no worker to find the name */
	open_ring(0, 0, 0, 0);
	OPENS(ask_open(&alice, "file", O_WRONLY));
	MUST(access("upper/file", F_OK) == 0 && count_threads("iou-wrk") > 0);
	OPENS(ask_open(&alice, "file", O_RDONLY));
	GIVES(ask_open(&bob, "file", O_RDWR), -EACCES);
	close_ring(ring);
}

/* A request of another user must not be answered with the status of the earlier one. */
static void status_is_the_kernels(void)
{
	static const char *const names[] = {"fifo",           "socket", "null",           "shared",
	                                    "shared/of_root", ".",      "shared/of_alice"};
	struct stat here, there;

	make_kinds();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (fstatat(folder, names[i], &there, 0) != 0)
			continue;
		GIVES(ask_stat(i % 2 ? &alice : &bob, names[i], 0, &here), 0);
		MUST(here.st_dev == there.st_dev && here.st_ino == there.st_ino);
		MUST(here.st_mode == there.st_mode && here.st_nlink == there.st_nlink);
		MUST(here.st_uid == there.st_uid && here.st_gid == there.st_gid);
		MUST(here.st_rdev == there.st_rdev && here.st_size == there.st_size);
		MUST(here.st_blksize == there.st_blksize && here.st_blocks == there.st_blocks);
		MUST(memcmp(&here.st_mtim, &there.st_mtim, sizeof here.st_mtim) == 0);
		MUST(memcmp(&here.st_ctim, &there.st_ctim, sizeof here.st_ctim) == 0);
	}
	GIVES(ask_stat(&alice, "nothing", 0, &here), -ENOENT);
}

/* ---- arguments */

static int start(const struct libreplace_identity *user, int kind, int flags)
{
	const call_of_ring call = {kind, folder, "shared/x", flags, 0600, SAFE, folder, "shared/y"};

	return libreplace_ring_start(ring, user, &call, NULL, NULL) == 0 ? 0 : -errno;
}

static void wrong_arguments_are_refused(void)
{
	static const gid_t falling[] = {80021, 80011}, twice[] = {80011, 80011}, none[] = {1, -1};
	static const struct libreplace_identity all[] = {
	    {-1, STAFF, 0, NULL},          {ALICE, -1, 0, NULL},
	    {ALICE, STAFF, 2, falling},    {ALICE, STAFF, 2, twice},
	    {ALICE, STAFF, 2, none},       {ALICE, STAFF, SIZE_MAX, falling},
	    {ALICE, STAFF, 65537, falling}};
	struct libreplace_ring_result result;
	call_of_ring call = {LIBREPLACE_RING_OPEN, folder, "outside", O_RDONLY, 0, SAFE, 0, NULL};

	make_files();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		GIVES(start(&all[i], LIBREPLACE_RING_OPEN, O_RDONLY), -EINVAL);
	GIVES(start(&alice, -1, 0), -EINVAL);
	GIVES(start(&alice, LIBREPLACE_RING_SYMLINK + 1, 0), -EINVAL);
	GIVES(start(&alice, INT32_MAX, 0), -EINVAL);
	for (int kind = LIBREPLACE_RING_STAT; kind <= LIBREPLACE_RING_SYMLINK; kind++)
		for (int bit = 0; bit < 32; bit++)
			if (kind != LIBREPLACE_RING_STAT || 1u << bit != AT_SYMLINK_NOFOLLOW)
				GIVES(start(&alice, kind, (int)(1u << bit)), -EINVAL);
	MUST(libreplace_ring_flush(ring) == 0 && libreplace_ring_results(ring, &result, 1) == 0);
	/* the kernel refuses these */
	call.resolve = 1ULL << 40;
	for (call.kind = 0; call.kind <= LIBREPLACE_RING_STAT; call.kind++)
		GIVES(ask(&alice, &call, NULL), -EINVAL);
	for (call.kind = LIBREPLACE_RING_MKDIR; call.kind <= LIBREPLACE_RING_SYMLINK; call.kind++) {
		call.path = call.new_path = "shared/name";
		GIVES(ask(&alice, &call, NULL), -EINVAL);
	}
	GIVES(ask_open(&alice, "outside", O_RDONLY | 1 << 30), -EINVAL);
	GIVES(ask_open(&alice, "outside", INT32_MIN), -EINVAL);
	call = (call_of_ring){
	    LIBREPLACE_RING_OPEN, folder, "shared/new", CREATE, 0100600, SAFE, 0, NULL};
	GIVES(ask(&alice, &call, NULL), -EINVAL);
	MUST(faccessat(folder, "shared/new", F_OK, 0) == -1);
}

int main(void)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_ring();
	RUN_IN_PLACE(each_call_acts_as_its_user);
	RUN_IN_PLACE(new_descriptor_works_without_the_identity);
	RUN_IN_PLACE(other_users_files_are_closed);
	RUN_IN_PLACE(another_users_file_cannot_be_linked);
	RUN_IN_PLACE(groups_count);
	RUN_IN_PLACE(session_keyring_is_not_that_of_the_server);
	RUN_IN_PLACE(root_needs_the_flag);
	RUN_IN_PLACE(other_kinds_are_refused);
	RUN_IN_PLACE(descriptor_has_the_requested_flags);
	RUN_IN_PLACE(unnamed_file_has_no_o_nonblock);
	RUN_IN_PLACE(lease_is_not_waited_for);
	RUN_IN_PLACE(overlay_is_written_by_a_worker);
	RUN_IN_PLACE(status_is_the_kernels);
	RUN_IN_PLACE(wrong_arguments_are_refused);
	return failed != 0;
}
