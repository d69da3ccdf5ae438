/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests a ring itself: its options, who may use it and when, forks, drop_privileges, cancelled
 * requests, missing descriptors, signals, and what remains after it is closed. Each case runs in a
 * forked child with a folder of its own, as root, on Linux.
 */
#include <limits.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "filter.h"
#include "raw_capabilities.h"
#include "ring_cases.h"

static int descriptors; /* of this process, before the ring was made */

static void start_case(unsigned entries)
{
	make_folder("shared", 0, 0, 01777);
	make("shared/of_alice", ALICE, STAFF, 0600);
	descriptors = count_descriptors();
	open_ring(entries, 0, 0, 0);
}

/* Nothing of the ring may be left, and no thread counts as switched. */
static void end_case(void)
{
	close_ring(ring);
	MUST(libreplace_active() == 0);
	MUST(count_descriptors() == descriptors);
	MUST(count_threads("iou-") == 0);
}

static int start(const struct libreplace_identity *user, const char *path, int flags,
                 struct libreplace_ring_request **request)
{
	const call_of_ring call = {LIBREPLACE_RING_OPEN, folder, path, flags, 0640, SAFE, 0, NULL};

	return libreplace_ring_start(ring, user, &call, NULL, request);
}

static void must_open_as_both(void)
{
	OPENS(ask_open(&alice, "shared/of_alice", O_RDONLY));
	GIVES(ask_open(&bob, "shared/of_alice", O_RDONLY), -EACCES);
	OPENS(ask_open(&bob, "shared/of_bob", O_WRONLY | O_CREAT | O_TRUNC));
	must_belong("shared/of_bob", BOB, 80012, S_IFREG | 0640);
}

/* ---- options */

static void options_out_of_range_are_refused(void)
{
	struct libreplace_ring_options all[] = {{.entries = UINT_MAX},
	                                        {.workers = UINT_MAX},
	                                        {.identities = UINT_MAX},
	                                        {.identities = 65536},
	                                        {.flags = LIBREPLACE_ALLOW_IO_URING},
	                                        {.flags = -1},
	                                        {.reserved = {1}},
	                                        {.reserved = {0, 0, 0, 1}},
	                                        {.reserved = {0, 1ULL << 63}}};

	descriptors = count_descriptors();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		errno = 0;
		MUST(libreplace_ring_open(&ring, &all[i]) == -1 && errno == EINVAL);
		MUST(count_descriptors() == descriptors && count_threads("iou-") == 0);
	}
}

static void smallest_ring_works(void)
{
	start_case(0);
	end_case();
	open_ring(1, 1, 1, 0);
	must_open_as_both();
	GIVES(ask_name(&bob, LIBREPLACE_RING_RENAME, "shared/of_bob", "shared/moved"), 0);
	GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "shared/moved", NULL), 0);
	end_case();
	MUST(libreplace_ring_close(NULL) == 0);
}

static void ring_can_be_made_and_closed_many_times(void)
{
	start_case(0);
	end_case();
	for (int i = 0; i < 50; i++) {
		open_ring(64, 0, 0, 0);
		must_open_as_both();
		end_case();
	}
}

static void two_rings_in_a_thread(void)
{
	struct libreplace_ring *first;

	start_case(0);
	first = ring;
	open_ring(0, 0, 0, 0);
	MUST(libreplace_ring_fd(first) != libreplace_ring_fd(ring));
	must_open_as_both();
	MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	close_ring(ring); /* with a result that nobody gets */
	ring = first;
	must_open_as_both();
	end_case();
}

/* ---- who may use it, and when */

static void must_be_refused(int error)
{
	struct libreplace_ring_result result;

	MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == -1 && errno == error);
	MUST(libreplace_ring_flush(ring) == -1 && errno == error);
	MUST(libreplace_ring_results(ring, &result, 1) == -1 && errno == error);
}

static void *from_another_thread(void *unused)
{
	must_be_refused(EPERM);
	MUST(libreplace_ring_close(ring) == -1 && errno == EPERM);
	return unused;
}

static void another_thread_is_refused(void)
{
	struct libreplace_ring_request *request;
	struct libreplace_ring_result result;
	pthread_t thread;

	start_case(0);
	MUST(start(&alice, "shared/of_alice", O_RDONLY, &request) == 0);
	MUST(pthread_create(&thread, NULL, from_another_thread, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	MUST(await_results(ring, &result, 1) == 1);
	OPENS(result.value);
	must_open_as_both();
	end_case();
}

static void switched_thread_is_refused(void)
{
	struct libreplace_ring *other = NULL;
	struct libreplace_ring_result result;
	entry held;

	start_case(0);
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		MUST(start(&bob, "shared/of_alice", O_RDONLY, NULL) == 0);
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == -1 && errno == EBUSY);
		MUST(libreplace_ring_open(&other, NULL) == -1 && errno == EBUSY);
		if (libreplace_ring_flush(ring) != 0) /* it is bob's request in any case */
			MUST(errno == EBUSY);
		MUST(libreplace_leave(&held.guard) == 0 && libreplace_ring_flush(ring) == 0);
		MUST(await_results(ring, &result, 1) == 1 && result.value == -EACCES);
	}
	must_open_as_both();
	end_case();
}

static void *enter_and_wait(void *turns)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	pthread_barrier_wait(turns);
	pthread_barrier_wait(turns);
	MUST(libreplace_leave(&held.guard) == 0);
	return NULL;
}

static void switched_other_thread_does_not_matter(void)
{
	pthread_barrier_t turns;
	pthread_t thread;

	start_case(0);
	MUST(pthread_barrier_init(&turns, NULL, 2) == 0);
	MUST(pthread_create(&thread, NULL, enter_and_wait, &turns) == 0);
	pthread_barrier_wait(&turns);
	must_open_as_both();
	pthread_barrier_wait(&turns);
	MUST(pthread_join(thread, NULL) == 0);
	end_case();
}

static void drop_under_way_is_refused(void)
{
	struct libreplace_ring *other = NULL;

	start_case(0);
	MUST(libreplace_drop_begin() == 0);
	MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == -1 && errno == EBUSY);
	MUST(libreplace_ring_open(&other, NULL) == -1 && errno == EBUSY);
	libreplace_drop_end();
	must_open_as_both();
	end_case();
	MUST(libreplace_drop_privileges(&alice, 0, NULL) == 0);
}

static void must_refuse_to_drop(void)
{
	struct libreplace_drop drop;

	for (int flags = 0; flags <= LIBREPLACE_ALLOW_IO_URING;
	     flags += LIBREPLACE_ALLOW_IO_URING) {
		MUST(libreplace_drop_privileges(&alice, flags, &drop) == -1);
		MUST(drop.step == LIBREPLACE_STEP_IO_URING && drop.state == LIBREPLACE_STATE_IDLE);
		MUST(errno == EBUSY && drop.error == EBUSY);
		expect_ids(0, 0, 0, 0, 0, 0);
	}
}

static void *drop_from_another_thread(void *unused)
{
	must_refuse_to_drop();
	return unused;
}

static void drop_waits_for_the_close(void)
{
	struct libreplace_drop drop;
	struct libreplace_ring *first;
	pthread_t thread;

	start_case(0);
	must_refuse_to_drop();
	must_open_as_both();
	must_refuse_to_drop();
	MUST(pthread_create(&thread, NULL, drop_from_another_thread, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	first = ring;
	open_ring(0, 0, 0, 0);
	close_ring(first);
	must_refuse_to_drop();
	MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == 0);
	while (libreplace_ring_close(ring) != 0) { /* also while it closes */
		MUST(errno == EAGAIN);
		must_refuse_to_drop();
	}
	MUST(libreplace_drop_privileges(&alice, 0, &drop) == 0);
	MUST(drop.state == LIBREPLACE_STATE_FOR_GOOD && getuid() == ALICE);
}

/* ---- forks */

/* Whether this process can read or write the memory of a ring. A child of a switched thread is the
 * user, and could write requests of its parent there. */
static int maps_a_ring(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int found = 0;

	MUST(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		found |= strstr(line, "io_uring") != NULL;
	MUST(fclose(maps) == 0);
	return found;
}

/* @files: open files that are not those of the ring */
static void in_forked_child(int files)
{
	struct libreplace_ring *old = ring;

	descriptors += files;
	MUST(count_descriptors() == descriptors && !maps_a_ring());
	must_be_refused(EOWNERDEAD);
	open_ring(0, 0, 0, 0); /* one of its own */
	must_open_as_both();
	end_case();
	if (files == 0) /* the parent's ring does not count here */
		MUST(libreplace_ring_close(old) == 0);
	MUST(libreplace_drop_privileges(&alice, 0, NULL) == 0);
}

static void forked_child_has_no_ring(void)
{
	struct libreplace_ring_request *request;
	struct libreplace_ring_result result;

	start_case(0);
	MUST(maps_a_ring());
	in_child(in_forked_child, 0);
	must_open_as_both();
	MUST(start(&alice, "shared/of_alice", O_RDONLY, &request) == 0);
	in_child(in_forked_child, 0);
	MUST(libreplace_ring_flush(ring) == 0);
	in_child(in_forked_child, 1); /* with a result that the parent has not read */
	MUST(await_results(ring, &result, 1) == 1);
	OPENS(result.value);
	end_case();
}

static void *fork_from_another_thread(void *unused)
{
	in_child(in_forked_child, 0);
	return unused;
}

static void forked_child_of_another_thread_has_no_ring(void)
{
	pthread_t thread;

	start_case(0);
	MUST(pthread_create(&thread, NULL, fork_from_another_thread, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	must_open_as_both();
	end_case();
}

static void program_after_exec_has_no_ring(void)
{
	static char script[] = "ls -l /proc/self/fd | grep -q -e io_uring -e eventfd";
	char *arguments[] = {"sh", "-c", script, NULL},
	     *no_variables[] = {"PATH=/bin:/usr/bin", NULL};
	int status = 0;
	pid_t child;

	start_case(0);
	must_open_as_both();
	MUST(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, no_variables) == 0);
	MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1);
	end_case();
}

/* ---- cancelled requests, and closing */

static void cancelled_request_has_no_result(void)
{
	struct libreplace_ring_request *request, *others[5];
	struct libreplace_ring_result results[8];
	struct pollfd readable;

	start_case(4);
	/* before the kernel has it, and while others are before it */
	for (int i = 0; i < 5; i++)
		MUST(start(&alice, "shared/of_alice", O_RDONLY, &others[i]) == 0);
	for (int i = 0; i < 5; i++)
		libreplace_ring_cancel(ring, others[i]);
	MUST(libreplace_ring_flush(ring) == 0);
	MUST(libreplace_ring_results(ring, results, 8) == 0);
	for (int i = 0; i < 200; i++)
		MUST(start(&alice, "shared/of_alice", O_RDONLY, i == 199 ? &request : NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	libreplace_ring_cancel(ring, request);
	for (int i = 0; i < 199;) {
		int count = await_results(ring, results, 8);

		for (int j = 0; j < count; j++)
			OPENS(results[j].value);
		i += count;
	}
	MUST(libreplace_ring_results(ring, results, 8) == 0);
	/* after the kernel has done it */
	MUST(start(&alice, "shared/of_alice", O_RDONLY, &request) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	readable = (struct pollfd){libreplace_ring_fd(ring), POLLIN, 0};
	MUST(poll(&readable, 1, 0) >= 0);
	libreplace_ring_cancel(ring, request);
	MUST(libreplace_ring_flush(ring) == 0);
	must_open_as_both(); /* no result of the cancelled one is in the way */
	end_case();
}

/* Close with requests in every stage. */
static void close_ends_all_requests(void)
{
	struct libreplace_ring_result result;
	static char name[32];

	for (int flushed = 0; flushed < 3; flushed++) {
		if (flushed == 0)
			start_case(4);
		else
			open_ring(flushed == 1 ? 4 : 4096, 0, 0, 0);
		for (int i = 0; i < 1000; i++) {
			snprintf(name, sizeof name, "shared/f%d", i);
			MUST(start(i % 2 ? &alice : &bob, name, O_WRONLY | O_CREAT, NULL) == 0);
		}
		if (flushed)
			MUST(libreplace_ring_flush(ring) == 0);
		if (libreplace_ring_close(ring) != 0) {
			MUST(errno == EAGAIN);
			MUST(start(&alice, "shared/x", O_RDONLY, NULL) == -1 && errno == ESHUTDOWN);
			MUST(libreplace_ring_results(ring, &result, 1) <= 0);
			close_ring(ring);
		}
		MUST(count_descriptors() == descriptors && count_threads("iou-") == 0);
	}
}

static void exit_with_requests(int number)
{
	(void)number;
	open_ring(0, 0, 0, 0);
	for (int i = 0; i < 500; i++)
		MUST(start(&alice, "shared/of_alice", O_RDWR | O_CREAT, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
}

static void process_can_end_with_an_open_ring(void)
{
	start_case(0);
	end_case();
	in_child(exit_with_requests, 0);
}

/* Use a ring while a cancellation is pending, also for the first time as a user. poll(2) would be a
 * cancellation point. */
static void *use_ring_when_cancelled(void *is_done)
{
	struct libreplace_ring_request *request;
	struct libreplace_ring_result result;
	int count;

	MUST(pthread_cancel(pthread_self()) == 0);
	open_ring(0, 0, 0, 0);
	MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	while ((count = libreplace_ring_results(ring, &result, 1)) == 0)
		continue;
	MUST(count == 1 && result.value >= 0 && syscall(SYS_close, result.value) == 0);
	MUST(start(&bob, "shared/of_alice", O_RDONLY, &request) == 0);
	while ((count = libreplace_ring_get_result(ring, request, &result)) == 0)
		continue;
	MUST(count == 1 && result.value == -EACCES);
	MUST(start(&alice, "shared/new", CREATE, &request) == 0);
	libreplace_ring_cancel(ring, request);
	while (libreplace_ring_close(ring) != 0)
		MUST(errno == EAGAIN);
	*(int *)is_done = 1;
	pthread_testcancel();
	return NULL;
}

static void functions_are_no_cancellation_points(void)
{
	pthread_t thread;
	void *end = NULL;
	int is_done = 0;

	start_case(0);
	end_case();
	MUST(pthread_create(&thread, NULL, use_ring_when_cancelled, &is_done) == 0);
	MUST(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
	MUST(is_done);
	in_child(exit_with_requests, 0); /* the lock of the fork handlers is free */
	MUST(libreplace_active() == 0 && count_descriptors() == descriptors);
	MUST(libreplace_drop_privileges(&alice, 0, NULL) == 0);
}

/* ---- what is missing, and what comes between */

static void descriptors_run_out(void)
{
	struct rlimit limit;
	struct libreplace_ring_result results[8];
	int unused;

	start_case(0);
	must_open_as_both();
	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0 && (unused = dup(0)) >= 0 && close(unused) == 0);
	limit.rlim_cur = (rlim_t)unused;
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	GIVES(ask_open(&alice, "shared/of_alice", O_RDONLY), -EMFILE);
	GIVES(ask_open(&alice, "shared/of_alice", O_RDWR | O_CREAT), -EMFILE);
	limit.rlim_cur = (rlim_t)unused + 1;
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int i = 0; i < 8; i++)
		MUST(start(&alice, "shared/of_alice", O_RDONLY, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	for (int i = 0, opened = -1; i < 8;) {
		int count = await_results(ring, results, 8);

		for (int j = 0; j < count; j++) {
			MUST(results[j].value == -EMFILE || opened == -1);
			opened = results[j].value >= 0 ? results[j].value : opened;
		}
		i += count;
		if (i == 8)
			MUST(opened == unused && close(opened) == 0);
	}
	/* the parent of a path is a descriptor only if it must be one */
	GIVES(ask_at_once(&alice, LIBREPLACE_RING_STAT, "shared/of_alice", 0), 0);
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	must_open_as_both();
	end_case();
	for (int spare = 0; spare < 4; spare++) { /* the third is for a trial */
		int result;

		limit.rlim_cur = (rlim_t)(unused - 2 + spare);
		MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		result = libreplace_ring_open(&ring, NULL);
		if (result == 0)
			close_ring(ring);
		else
			MUST(errno == EMFILE);
		MUST(result == (spare < 3 ? -1 : 0));
		limit.rlim_cur = limit.rlim_max;
		MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0 && count_descriptors() == descriptors);
	}
}

/* The requests of one user that wait must not take the descriptors of the others. */
static void requests_that_wait_share_a_copy_of_their_folder(void)
{
	call_of_ring call = {LIBREPLACE_RING_RENAME, 0, "a", 0, 0, SAFE, 0, "b"};
	struct libreplace_ring_result result;
	int again, other;

	start_case(4);
	MUST((again = dup(folder)) >= 0); /* the same open file */
	MUST((other = openat(folder, "shared", O_PATH | O_CLOEXEC)) >= 0);
	for (int i = 0; i < 100; i++) {
		call.dir_fd = i % 3 == 0 ? other : folder;
		call.new_dir_fd = i % 2 == 0 ? folder : again;
		MUST(libreplace_ring_start(ring, &alice, &call, NULL, NULL) == 0);
	}
	MUST(close(again) == 0 && close(other) == 0);
	MUST(count_descriptors() <= descriptors + 2 + 2); /* two of the ring */
	for (int i = 0; i < 100; i++) {
		MUST(libreplace_ring_flush(ring) == 0);
		MUST(await_results(ring, &result, 1) == 1 && result.value == -ENOENT);
	}
	MUST(count_descriptors() == descriptors + 2);
	end_case();
}

/* A limit of processes applies to the kernel's workers, too. The result must wake the event loop.
 */
static void missing_worker_is_an_error(void)
{
	struct rlimit limit;
	struct libreplace_ring_result result;

	make_folder("shared", 0, 0, 01777);
	make("shared/of_alice", ALICE, STAFF, 0600);
	MUST(become_server_without_root() == 0);
	open_ring(0, 0, 0, 0);
	OPENS(ask_open(&alice, "shared/of_alice", O_RDONLY));
	while (count_threads("iou-") > 0) { /* something was mounted, see ask_at_once() */
		close_ring(ring);
		open_ring(0, 0, 0, 0);
		OPENS(ask_open(&alice, "shared/of_alice", O_RDONLY));
	}
	MUST(getrlimit(RLIMIT_NPROC, &limit) == 0);
	limit.rlim_cur = 1;
	MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
	for (int i = 0; i < 3; i++) {
		MUST(start(&alice, "shared/new", CREATE, NULL) == 0);
		MUST(libreplace_ring_flush(ring) == 0);
		MUST(await_results(ring, &result, 1) == 1 && result.value < 0);
	}
	MUST(start(&bob, "shared/of_alice", O_RDONLY, NULL) == -1 && errno == EAGAIN);
	OPENS(ask_at_once(&alice, LIBREPLACE_RING_OPEN, "shared/of_alice", O_RDONLY));
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
	OPENS(ask_open(&alice, "shared/new", CREATE));
	close_ring(ring);
}

/* The most keys of a user ID that is not root's. */
static unsigned read_quota(void)
{
	FILE *file = fopen("/proc/sys/kernel/keys/maxkeys", "r");
	unsigned quota = 0;

	if (file == NULL)
		skip("needs ", "keys");
	MUST(fscanf(file, "%u", &quota) == 1 && fclose(file) == 0);
	return quota;
}

/* A server that is not root, and has a session keyring, needs a key for each user. */
static void users_beyond_the_quota_of_keys_replace_others(void)
{
	unsigned quota = read_quota();
	struct libreplace_identity user = {BOB, 80012, 0, NULL};

	if (quota > 1000)
		skip("needs ", "a small quota of keys");
	make_folder("shared", 0, 0, 01777);
	make("shared/for_all", 0, 0, 0644);
	MUST(become_server_without_root() == 0);
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0)
		skip("needs ", "keyctl(2)");
	open_ring(0, 0, 0, 0);
	for (unsigned i = 0; i < 2 * quota; i++, user.uid++)
		OPENS(ask_open(&user, "shared/for_all", O_RDONLY));
	close_ring(ring);
}

static volatile int alarms;

static void count_alarm(int number)
{
	(void)number;
	alarms++;
}

static void signals_lose_nothing(void)
{
	const struct sigaction action = {.sa_handler = count_alarm}; /* without SA_RESTART */
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};

	start_case(8);
	MUST(sigaction(SIGVTALRM, &action, NULL) == 0 && sigaction(SIGPROF, &action, NULL) == 0);
	MUST(setitimer(ITIMER_PROF, &often, NULL) == 0);
	while (alarms < 20) {
		GIVES(ask_name(&alice, LIBREPLACE_RING_MKDIR, "shared/d", NULL), 0);
		GIVES(ask_name(&alice, LIBREPLACE_RING_RENAME, "shared/d", "shared/e"), 0);
		MUST(unlinkat(folder, "shared/e", AT_REMOVEDIR) == 0);
		must_open_as_both();
	}
	MUST(setitimer(ITIMER_PROF, &never, NULL) == 0);
	end_case();
}

static void refused_call(int number, int error)
{
	int before = count_descriptors();

	refuse_call((unsigned)number, error);
	MUST(libreplace_ring_open(&ring, NULL) == -1 && errno == error);
	MUST(count_descriptors() == before);
}

static void filter_of_setup(int error)
{
	refused_call(425, error); /* io_uring_setup */
}

static void filter_of_register(int error)
{
	refused_call(427, error); /* io_uring_register */
}

static void filter_is_reported(void)
{
	in_child(filter_of_setup, EPERM);
	in_child(filter_of_setup, ENOSYS);
	in_child(filter_of_register, EPERM);
	in_child(filter_of_register, ENOSYS);
}

/* A filter that comes later is an error. Nothing hangs, and no request is made as root. */
static void filter_that_comes_later_is_an_error(void)
{
	start_case(0);
	must_open_as_both();
	MUST(start(&alice, "shared/new", CREATE, NULL) == 0);
	refuse_call(426, EPERM); /* io_uring_enter */
	MUST(libreplace_ring_flush(ring) == -1 && errno == EPERM);
	close_ring(ring);
	MUST(faccessat(folder, "shared/new", F_OK, 0) == -1);
	/* nobody knows whether the kernel still uses the copy of the folder's descriptor */
	MUST(count_descriptors() == descriptors + 1);
}

/* ---- results */

static void eventfd_is_readable_only_with_results(void)
{
	struct libreplace_ring_result results[2];
	struct pollfd readable;

	start_case(0);
	readable = (struct pollfd){libreplace_ring_fd(ring), POLLIN, 0};
	MUST(poll(&readable, 1, 0) == 0);
	for (int i = 0; i < 3; i++)
		MUST(start(&alice, "shared/of_alice", O_RDWR | O_CREAT, NULL) == 0);
	MUST(libreplace_ring_flush(ring) == 0);
	for (int i = 0; i < 3; i++) { /* one in each call */
		MUST(await_results(ring, results, 1) == 1);
		OPENS(results[0].value);
	}
	MUST(libreplace_ring_results(ring, results, 2) == 0 && poll(&readable, 1, 0) == 0);
	end_case();
}

int main(void)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_proc();
	needs_ring();
	RUN_IN_PLACE(options_out_of_range_are_refused);
	RUN_IN_PLACE(smallest_ring_works);
	RUN_IN_PLACE(ring_can_be_made_and_closed_many_times);
	RUN_IN_PLACE(two_rings_in_a_thread);
	RUN_IN_PLACE(another_thread_is_refused);
	RUN_IN_PLACE(switched_thread_is_refused);
	RUN_IN_PLACE(switched_other_thread_does_not_matter);
	RUN_IN_PLACE(drop_under_way_is_refused);
	RUN_IN_PLACE(drop_waits_for_the_close);
	RUN_IN_PLACE(forked_child_has_no_ring);
	RUN_IN_PLACE(forked_child_of_another_thread_has_no_ring);
	RUN_IN_PLACE(program_after_exec_has_no_ring);
	RUN_IN_PLACE(cancelled_request_has_no_result);
	RUN_IN_PLACE(close_ends_all_requests);
	RUN_IN_PLACE(process_can_end_with_an_open_ring);
	RUN_IN_PLACE(functions_are_no_cancellation_points);
	RUN_IN_PLACE(descriptors_run_out);
	RUN_IN_PLACE(requests_that_wait_share_a_copy_of_their_folder);
	RUN_IN_PLACE(missing_worker_is_an_error);
	RUN_IN_PLACE(users_beyond_the_quota_of_keys_replace_others);
	RUN_IN_PLACE(signals_lose_nothing);
	RUN_IN_PLACE(filter_is_reported);
	RUN_IN_PLACE(filter_that_comes_later_is_an_error);
	RUN_IN_PLACE(eventfd_is_readable_only_with_results);
	return failed != 0;
}
