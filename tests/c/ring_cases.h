/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by the tests of rings: a folder with files of each user, a ring, a request and its result,
 * and what a ring must leave behind: no descriptor and no worker of the kernel.
 */
#ifndef RING_CASES_H
#define RING_CASES_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include "cases.h"

enum { SAFE = LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS };
enum { CREATE = O_WRONLY | O_CREAT | O_EXCL };

typedef struct libreplace_ring_call call_of_ring;

static char place[] = "/tmp/libreplace-ring-XXXXXX";
static int folder;                   /* the descriptor of @place */
static struct libreplace_ring *ring; /* the ring of the case */

/* Skip where the kernel has no rings, as libreplace/ring.h lists the reasons. */
static inline void needs_ring(void)
{
	int error;

	if (libreplace_ring_open(&ring, NULL) != 0) {
		error = errno;
		MUST(error == ENOSYS || error == EPERM || error == EOPNOTSUPP);
		skip("needs io_uring: ", strerror(error));
	}
	while (libreplace_ring_close(ring) != 0)
		MUST(errno == EAGAIN && usleep(1000) == 0);
	ring = NULL;
}

static inline void open_ring(unsigned entries, unsigned workers, unsigned identities, int flags)
{
	struct libreplace_ring_options options = {entries, workers, identities, flags, {0}};

	MUST(libreplace_ring_open(&ring, &options) == 0);
}

/* Call libreplace_ring_close() until it is done. alarm() ends a case that hangs. */
static inline void close_ring(struct libreplace_ring *old)
{
	while (libreplace_ring_close(old) != 0)
		MUST(errno == EAGAIN && usleep(1000) == 0);
}

/* Wait until the ring has results, and get at most @room of them. Return: their number. */
static inline int await_results(struct libreplace_ring *from, struct libreplace_ring_result *to,
                                int room)
{
	struct pollfd readable = {libreplace_ring_fd(from), POLLIN, 0};
	int count;

	while ((count = libreplace_ring_results(from, to, room)) == 0)
		MUST(poll(&readable, 1, -1) == 1 || errno == EINTR);
	MUST(count > 0 && count <= room);
	return count;
}

/* Convert the status of a result to the one of stat(2), for comparisons. */
static inline void to_stat(const struct libreplace_ring_status *from, struct stat *to)
{
	memset(to, 0, sizeof *to);
	to->st_dev = from->dev;
	to->st_ino = from->ino;
	to->st_mode = from->mode;
	to->st_nlink = from->nlink;
	to->st_uid = from->uid;
	to->st_gid = from->gid;
	to->st_rdev = from->rdev;
	to->st_size = (off_t)from->size;
	to->st_blksize = (blksize_t)from->blksize;
	to->st_blocks = (blkcnt_t)from->blocks;
	to->st_atim.tv_sec = from->atime;
	to->st_atim.tv_nsec = from->atime_nsec;
	to->st_mtim.tv_sec = from->mtime;
	to->st_mtim.tv_nsec = from->mtime_nsec;
	to->st_ctim.tv_sec = from->ctime;
	to->st_ctim.tv_nsec = from->ctime_nsec;
}

/* Make one request, and wait. Return: its value; if it could not start, the negative errno. */
static inline int ask(const struct libreplace_identity *user, const call_of_ring *call,
                      struct stat *status)
{
	static int mark;
	struct libreplace_ring_result result;

	if (libreplace_ring_start(ring, user, call, &mark, NULL) != 0)
		return -errno;
	MUST(libreplace_ring_flush(ring) == 0);
	MUST(await_results(ring, &result, 1) == 1 && result.data == &mark);
	MUST(libreplace_ring_results(ring, &result, 1) == 0);
	if (status != NULL)
		to_stat(&result.status, status);
	return result.value;
}

/* Make one request that needs no worker, and do not wait. If something is mounted or unmounted on
 * this machine at the same moment, a worker gets even this request. It then hangs if all workers
 * do, or fails: EAGAIN without a worker, EMFILE without a descriptor for it. Cancel it in the first
 * case, and make it again in all of them. Return: as ask(). */
static inline int ask_at_once(const struct libreplace_identity *user, int kind, const char *path,
                              int flags)
{
	static int mark;
	const call_of_ring call = {kind, folder, path, flags, 0, SAFE, 0, NULL};
	struct pollfd readable = {libreplace_ring_fd(ring), POLLIN, 0};
	struct libreplace_ring_request *request;
	struct libreplace_ring_result result;
	int count, is_ready;

	for (int trial = 0; trial < 1000; trial++) {
		if (libreplace_ring_start(ring, user, &call, &mark, &request) != 0)
			return -errno;
		MUST(libreplace_ring_flush(ring) == 0);
		do {
			MUST((is_ready = poll(&readable, 1, 0)) >= 0);
			MUST((count = libreplace_ring_results(ring, &result, 1)) >= 0);
		} while (count == 0 && is_ready);
		if (count == 0) {
			libreplace_ring_cancel(ring, request);
			continue;
		}
		MUST(result.data == &mark && libreplace_ring_results(ring, &result, 1) == 0);
		if (result.value != -EAGAIN && result.value != -EMFILE)
			return result.value;
	}
	return -EAGAIN;
}

static inline int ask_open(const struct libreplace_identity *user, const char *path, int flags)
{
	const call_of_ring call = {LIBREPLACE_RING_OPEN, folder, path, flags, 0640, SAFE, 0, NULL};

	return ask(user, &call, NULL);
}

static inline int ask_stat(const struct libreplace_identity *user, const char *path, int flags,
                           struct stat *status)
{
	const call_of_ring call = {LIBREPLACE_RING_STAT, folder, path, flags, 0, SAFE, 0, NULL};

	return ask(user, &call, status);
}

/* Make a request with two paths in the folder, or with one, or with the text of a link. */
static inline int ask_name(const struct libreplace_identity *user, int kind, const char *path,
                           const char *new_path)
{
	const call_of_ring call = {kind, folder, path, 0, 0750, SAFE, folder, new_path};

	return ask(user, &call, NULL);
}

/* Check that the request opens a file, and close it. */
#define OPENS(call)                                                                                \
	do {                                                                                       \
		int opened = (call);                                                               \
                                                                                                   \
		if (opened < 0)                                                                    \
			errno = -opened;                                                           \
		MUST(opened >= 0 && close(opened) == 0);                                           \
	} while (0)

/* Check the value of a request. errno shows what it was instead. */
#define GIVES(call, expected)                                                                      \
	do {                                                                                       \
		int value = (call);                                                                \
                                                                                                   \
		if (value == (expected))                                                           \
			break;                                                                     \
		errno = value < 0 ? -value : 0;                                                    \
		fprintf(stderr, "value %d: ", value);                                              \
		MUST(value == (expected));                                                         \
	} while (0)

/* Count the descriptors of this process. */
static inline int count_descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	int count = -3; /* ".", "..", and the descriptor of the list */

	MUST(all != NULL);
	while (readdir(all) != NULL)
		count++;
	MUST(closedir(all) == 0);
	return count;
}

/* Count the threads of this process whose name begins with @name. */
static inline int count_threads(const char *name)
{
	DIR *all = opendir("/proc/self/task");
	struct dirent *one;
	int count = 0;

	MUST(all != NULL);
	while ((one = readdir(all)) != NULL) {
		char path[512], text[32] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", one->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue; /* it has ended, or it is "." or ".." */
		count += fgets(text, sizeof text, file) != NULL &&
		         strncmp(text, name, strlen(name)) == 0;
		fclose(file);
	}
	MUST(closedir(all) == 0);
	return count;
}

/* Check the owner, the group and the mode of a name in the folder. */
static inline void must_belong(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat found;

	MUST(fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0);
	if (found.st_uid != uid || found.st_gid != gid || found.st_mode != mode)
		fprintf(stderr, "%s: %u %u %o\n", name, found.st_uid, found.st_gid, found.st_mode);
	MUST(found.st_uid == uid && found.st_gid == gid && found.st_mode == mode);
}

static inline void make(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	int made = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	MUST(made >= 0 && write(made, "secret", 6) == 6);
	MUST(fchown(made, uid, gid) == 0 && fchmod(made, mode) == 0 && close(made) == 0);
}

static inline void make_folder(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	MUST(mkdirat(folder, name, 0700) == 0 && fchownat(folder, name, uid, gid, 0) == 0);
	MUST(fchmodat(folder, name, mode, 0) == 0);
}

/* Make an empty folder that all users can enter. */
static inline void make_place(void)
{
	umask(022);
	MUST(mkdtemp(place) != NULL && chmod(place, 0755) == 0);
	folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(folder >= 0);
}

enum { EXTRA = 80021 }; /* a supplementary group of alice */

/* Two folders that only one user can enter, one of a group, one for everybody, one of root; and
 * files with one reader or one group. */
static inline void make_files(void)
{
	make_folder("alice", ALICE, STAFF, 0700);
	make_folder("bob", BOB, 80012, 0700);
	make_folder("staff", 0, STAFF, 0770);
	make_folder("extra", 0, EXTRA, 0770);
	make_folder("shared", 0, 0, 01777);
	make_folder("closed", 0, 0, 0700);
	make("alice/file", ALICE, STAFF, 0600);
	make("shared/of_alice", ALICE, STAFF, 0600);
	make("shared/of_staff", 0, STAFF, 0640);
	make("shared/of_extra", 0, EXTRA, 0660);
	make("shared/of_root", 0, 0, 0600);
	make("shared/of_root_group", 0, 0, 0660);
	make("shared/for_all", 0, 0, 0644);
	make("closed/for_all", 0, 0, 0666);
	make("outside", 0, 0, 0666);
	open_ring(0, 0, 0, 0);
}

/* Remove all that is in a folder below @place, and close its descriptor. */
static inline void empty(int fd)
{
	DIR *all = fdopendir(fd);
	struct dirent *one;

	MUST(all != NULL);
	while ((one = readdir(all)) != NULL) {
		if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0 ||
		    unlinkat(fd, one->d_name, 0) == 0)
			continue;
		empty(openat(fd, one->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		MUST(unlinkat(fd, one->d_name, AT_REMOVEDIR) == 0);
	}
	MUST(closedir(all) == 0);
}

/* Run a case in a folder of its own. */
static inline int run_in_place(const char *name, void (*body)(void))
{
	int failed;

	strcpy(place + sizeof place - 7, "XXXXXX");
	make_place();
	failed = run(name, body);
	empty(folder);
	MUST(rmdir(place) == 0);
	return failed;
}

#define RUN_IN_PLACE(body) failed += run_in_place(#body, body)

#endif
