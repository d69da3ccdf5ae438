/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Several users make files and try to open those of others: by a ring (io_uring), and by a thread
 * that enters each user. control_ring() and find_refusal() ask the kernel without the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "verify.h"
#include "verify_table.h"
#ifdef __linux__
#include <sys/syscall.h>
#endif

static const uint64_t safe = LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS;

/* Where files are opened: a ring, or a worker if that is NULL. */
static struct libreplace_ring *ring;
static struct worker *worker;

struct attempt {
	const struct libreplace_identity *user;
	int place;
	const char *path;
	int flags;
	mode_t mode;
	int file, error;
};

/* The call that the kernel refuses to this process, or NULL. errno is its error, or 0 if it only
 * reports success. The features are those that a ring of the library needs. */
static const char *find_refusal(void)
{
#ifdef SYS_io_uring_setup
	enum { REGISTER_PERSONALITY = 9, REGISTER_IOWQ_MAX_WORKERS = 19 };
	uint32_t parameters[30], limits[2] = {0, 0}; /* struct io_uring_params; 0: as before */
	long made;

	memset(parameters, 0, sizeof parameters);
	made = syscall(SYS_io_uring_setup, 4L, parameters);
	if (made == -1)
		return "io_uring_setup";
	errno = 0;
	if (parameters[0] == 0) /* the kernel writes the size of the queue */
		return "io_uring_setup";
	if (syscall(SYS_io_uring_register, made, REGISTER_PERSONALITY, NULL, 0L) == -1 ||
	    syscall(SYS_io_uring_register, made, REGISTER_IOWQ_MAX_WORKERS, limits, 2L) == -1 ||
	    limits[0] == 0)
		return "io_uring_register";
	if (syscall(SYS_io_uring_enter, made, 0L, 0L, 0L, NULL, 0L) == -1)
		return "io_uring_enter";
	/* no kernel knows this flag */
	if (syscall(SYS_io_uring_enter, made, 0L, 0L, 1L << 31, NULL, 0L) != -1 || errno != EINVAL)
		return "io_uring_enter";
	return NULL;
#else
	errno = ENOSYS;
	return "io_uring_setup";
#endif
}

void control_ring(const void *unused)
{
	(void)unused;
	(void)find_refusal();
}

static void open_ring(void)
{
	int error;
	const char *call;

	if (VERIFY_NO_RING[0] != '\0')
		end_check(PROVED, "there is no ring here: this build has no ring: %s",
		          VERIFY_NO_RING);
	if (libreplace_ring_open(&ring, NULL) == 0)
		return;
	error = errno;
	call = find_refusal();
	MUST(call != NULL, "libreplace_ring_open failed: %s", strerror(error));
	end_check(PROVED, "there is no ring here: %s %s%s", call,
	          errno == 0 ? "does nothing, but reports success" : "fails: ",
	          errno == 0 ? "" : strerror(errno));
}

static void open_by_ring(struct attempt *attempt)
{
	struct libreplace_ring_call call = {.kind = LIBREPLACE_RING_OPEN,
	                                    .dir_fd = attempt->place,
	                                    .path = attempt->path,
	                                    .flags = attempt->flags,
	                                    .mode = attempt->mode,
	                                    .resolve = safe};
	struct pollfd wait = {.fd = libreplace_ring_fd(ring), .events = POLLIN};
	struct libreplace_ring_result result;
	int found;

	if (libreplace_ring_start(ring, attempt->user, &call, NULL, NULL) != 0) {
		if (errno == EAGAIN)
			not_here("no thread can be started: raise the limit of processes");
		contradict("libreplace_ring_start failed: %s", strerror(errno));
	}
	DO(libreplace_ring_flush(ring));
	while ((found = libreplace_ring_results(ring, &result, 1)) == 0)
		poll(&wait, 1, -1); /* the time limit of a check ends it */
	MUST(found == 1, "libreplace_ring_results failed: %s", strerror(errno));
	attempt->file = result.value < 0 ? -1 : result.value;
	attempt->error = result.value < 0 ? -result.value : 0;
}

static void open_in_thread(void *argument)
{
	struct attempt *attempt = argument;
	LIBREPLACE_GUARD(held, 2);

	DO(libreplace_guard_init(&held.guard, sizeof held));
	DO(libreplace_enter(&held.guard, attempt->user, LIBREPLACE_LEVEL_SHIELDED));
	attempt->file = libreplace_open_beneath(attempt->place, attempt->path, attempt->flags,
	                                        attempt->mode, safe, 1);
	attempt->error = errno;
	DO(libreplace_leave(&held.guard));
}

static void open_as_user(struct attempt *attempt)
{
	if (ring != NULL)
		open_by_ring(attempt);
	else
		in_worker(worker, open_in_thread, attempt);
}

static void must_make(const struct libreplace_identity *user, const char *path, mode_t mode)
{
	struct attempt attempt = {
	    .user = user, folder(), path, O_CREAT | O_EXCL | O_WRONLY, mode, -1, 0};
	struct stat made;

	open_as_user(&attempt);
	if (ring == NULL && attempt.file == -1 && attempt.error == ENOSYS)
		end_check(PROVED, NO_OPENAT2);
	MUST(attempt.file != -1, "user %u cannot make a file: %s", (unsigned)user->uid,
	     strerror(attempt.error));
	DO(fstat(attempt.file, &made));
	MUST(made.st_uid == user->uid && made.st_gid == user->gid,
	     "a file of %u and %u belongs to %u and %u", (unsigned)user->uid, (unsigned)user->gid,
	     (unsigned)made.st_uid, (unsigned)made.st_gid);
}

void check_users(const void *by_ring)
{
	const gid_t groups[] = {gid(HIGH)};
	const struct libreplace_identity alice = {uid(USER), gid(GROUP), 0, NULL},
	                                 alice_in_team = {uid(USER), gid(HIGH), 0, NULL},
	                                 bob = {uid(OTHER), gid(OTHER), 1, groups};
	struct bad_path bad[3 + MOST_BAD_PATHS] = {
	    {folder(), "own", EACCES}, {folder(), "group", EACCES}, {folder(), "file", EACCES}};
	struct attempt attempt = {.user = &bob, folder(), "team", O_RDONLY, 0, -1, 0};
	struct seen before, after;
	const char *text;
	size_t size;

	become_root();
	umask(0);
	DO(libreplace_setgroups(0, NULL)); /* the guard of the worker has room for two */
	before = observe();
	if (*(const int *)by_ring)
		open_ring();
	else
		worker = start_worker();
	size = 3 + make_bad_paths(make_file("file"), bad + 3);
	must_make(&alice, "own", 0600);
	must_make(&alice, "group", 0640);
	must_make(&alice_in_team, "team", 0640);
	open_as_user(&attempt);
	MUST(attempt.file != -1, "user %u cannot open a file of his group: %s", (unsigned)bob.uid,
	     strerror(attempt.error));
	for (size_t i = 0; i < size; i++) {
		attempt.place = bad[i].place;
		attempt.path = bad[i].path;
		open_as_user(&attempt);
		must_refuse(&bad[i], attempt.file, attempt.error);
	}
	after = observe();
	text = difference(&after, &before);
	MUST(text == NULL, "afterwards, %s", text);
	while (ring != NULL && libreplace_ring_close(ring) != 0) {
		MUST(errno == EAGAIN, "libreplace_ring_close failed: %s", strerror(errno));
		poll(NULL, 0, 10);
	}
}
