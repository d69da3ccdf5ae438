/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests that a user whose file system does not answer hinders nobody else: alice's requests hang in
 * a file system (FUSE) of which some operations get no answer. The calling thread must not wait for
 * it, and bob's requests must go on. The server of the file system ends after a time; if it ends
 * too early, the calling thread has waited. Each case runs in a forked child, as root, on Linux.
 */
#include "fuse_server.h"

enum { HANGING = 200, WORKERS = 32, SHARE = WORKERS / 4 };

static int descriptors;

static void start_case(void)
{
	char where[64];

	make_folder("shared", 0, 0, 01777);
	make_folder("hanging", 0, 0, 0777);
	make("shared/of_bob", BOB, 80012, 0600);
	snprintf(where, sizeof where, "%s/hanging", place);
	mount_fuse(where);
	MUST(close(folder) == 0); /* it shows what was mounted before */
	MUST((folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
	descriptors = count_descriptors();
	open_ring(0, WORKERS, 0, 0);
}

static void must_be_closed(void)
{
	close_ring(ring);
	MUST(count_descriptors() == descriptors && count_threads("iou-") == 0);
}

/* Add a request of alice in the file system. Its data is NULL. */
static struct libreplace_ring_request *start(int kind, const char *path, int flags)
{
	struct libreplace_ring_request *request;
	const call_of_ring call = {kind, folder, path, flags, 0700, SAFE, folder, "shared/other"};

	MUST(libreplace_ring_start(ring, &alice, &call, NULL, &request) == 0);
	return request;
}

static const char *name_of(int number)
{
	static char name[32];

	snprintf(name, sizeof name, "hanging/f%d", number);
	return name;
}

/* Let the kernel know the names and the attributes of the files. */
static void warm_up(int count)
{
	struct stat found;

	for (int i = 0; i < count; i++)
		GIVES(ask_stat(&alice, name_of(i), 0, &found), 0);
	MUST(found.st_uid == ALICE && S_ISREG(found.st_mode));
}

/* Give all requests to the kernel, and to its workers what the kernel cannot do at once. There must
 * be no results yet. */
static void begin_all(void)
{
	MUST(libreplace_ring_flush(ring) == 0);
	MUST(libreplace_ring_results(ring, NULL, 0) == 0);
}

/* Wait until the server holds @count requests more, as an event loop does. The server must not end
 * meanwhile, and no request. */
static void await_held(int count)
{
	struct pollfd ready[] = {{libreplace_ring_fd(ring), POLLIN, 0}, {fuse_events, POLLIN, 0}};
	char byte;

	while (count > 0) {
		MUST(poll(ready, 2, -1) > 0);
		if (ready[0].revents != 0)
			MUST(libreplace_ring_results(ring, NULL, 0) == 0);
		if (ready[1].revents != 0) {
			MUST(read(fuse_events, &byte, 1) == 1);
			count--;
		}
	}
}

/* All that bob does must be done, although alice's requests hang. */
static void bob_goes_on(void)
{
	struct stat found;

	for (int i = 0; i < 20; i++) {
		OPENS(ask_open(&bob, "shared/of_bob", O_RDWR));
		OPENS(ask_open(&bob, "shared/new", CREATE));
		GIVES(ask_stat(&bob, "shared/new", 0, &found), 0);
		MUST(found.st_uid == BOB);
		GIVES(ask_name(&bob, LIBREPLACE_RING_LINK, "shared/new", "shared/linked"), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "shared/linked", NULL), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_RENAME, "shared/new", "shared/old"), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_SYMLINK, "shared/new", "old"), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "shared/new", NULL), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_UNLINK, "shared/old", NULL), 0);
		GIVES(ask_name(&bob, LIBREPLACE_RING_MKDIR, "shared/made", NULL), 0);
		MUST(unlinkat(folder, "shared/made", AT_REMOVEDIR) == 0);
	}
	must_be_served();
}

/* Get the results of alice's requests. Return: how many succeeded; their files are closed. */
static int get_results(int count, int is_open)
{
	struct libreplace_ring_result results[16];
	int good = 0;

	while (count > 0) {
		int size = await_results(ring, results, 16);

		for (int i = 0; i < size; i++) {
			good += results[i].value >= 0;
			if (is_open && results[i].value >= 0)
				MUST(close(results[i].value) == 0);
		}
		count -= size;
	}
	return good;
}

/* ---- each operation that can hang */

/* What does not get an answer, and the requests that hang then. */
struct way {
	int held[3];
	int kind, flags;
	unsigned lifetime; /* of names and attributes */
};

static const struct way ways[] = {
    {{FUSE_LOOKUP}, LIBREPLACE_RING_OPEN, O_RDONLY, 0},
    {{FUSE_LOOKUP}, LIBREPLACE_RING_STAT, 0, 0},
    {{FUSE_OPEN}, LIBREPLACE_RING_OPEN, O_RDONLY, 1000},
    {{FUSE_OPEN}, LIBREPLACE_RING_OPEN, O_RDWR | O_CREAT, 1000},
    {{FUSE_SETATTR}, LIBREPLACE_RING_OPEN, O_WRONLY | O_TRUNC, 1000},
    {{FUSE_GETATTR}, LIBREPLACE_RING_STAT, 0, 0},
    {{FUSE_GETATTR}, LIBREPLACE_RING_STAT, AT_SYMLINK_NOFOLLOW, 0},
    {{FUSE_OPEN, FUSE_STATFS}, LIBREPLACE_RING_OPEN, O_RDONLY, 1000},
    {{FUSE_UNLINK}, LIBREPLACE_RING_UNLINK, 0, 1000},
    {{FUSE_LOOKUP}, LIBREPLACE_RING_LINK, 0, 0},
};

static int way;

static void start_hanging(void)
{
	const struct way *this = &ways[way];

	start_case();
	orders->lifetime = this->lifetime;
	warm_up(HANGING);
	hold_operations(this->held);
	for (int i = 0; i < HANGING; i++)
		start(this->kind, name_of(i), this->flags);
	begin_all();
	await_held(1);
}

static void others_go_on_while_requests_hang(void)
{
	printf("# %d of %zu: ", way + 1, sizeof ways / sizeof *ways);
	start_hanging();
	bob_goes_on();
	begin_all();
	must_be_served();
	answer_all();
	MUST(get_results(HANGING, ways[way].kind == LIBREPLACE_RING_OPEN) >= 0);
	must_be_closed();
}

/* What needs no answer must not be asked for, and so does not hang. */
static void held_status_of_the_file_system_does_not_matter(void)
{
	static const int held[] = {FUSE_STATFS, 0};

	start_case();
	warm_up(1);
	hold_operations(held);
	OPENS(ask_open(&alice, "hanging/f0", O_RDONLY));
	GIVES(ask_stat(&alice, "hanging/f0", 0, NULL), 0);
	must_be_served();
	must_be_closed();
}

/* ---- closing a file can hang, too */

static void cancelled_open_is_not_closed_by_the_calling_thread(void)
{
	static const int opening[] = {FUSE_OPEN, 0}, closing[] = {FUSE_FLUSH, 0};
	struct libreplace_ring_request *requests[20];

	start_case();
	warm_up(20);
	hold_operations(opening);
	for (int i = 0; i < 20; i++)
		requests[i] = start(LIBREPLACE_RING_OPEN, name_of(i), O_RDWR);
	begin_all();
	await_held(SHARE);
	for (int i = 0; i < 20; i++) /* those that have no worker yet are gone at once */
		libreplace_ring_cancel(ring, requests[i]);
	begin_all();
	hold_operations(closing);
	MUST(write(fuse_news, "", 1) == 1); /* the files are open now */
	bob_goes_on();
	await_held(1 + SHARE); /* the answer to the news, and those that close */
	bob_goes_on();
	answer_all();
	must_be_closed();
	must_be_served();
}

static void cancelled_result_is_not_closed_by_the_calling_thread(void)
{
	static const int closing[] = {FUSE_FLUSH, 0};
	struct pollfd readable;
	struct libreplace_ring_request *request;
	struct libreplace_ring_result result;

	start_case();
	warm_up(1);
	hold_operations(closing);
	request = start(LIBREPLACE_RING_OPEN, "hanging/f0", O_RDWR);
	begin_all();
	readable = (struct pollfd){libreplace_ring_fd(ring), POLLIN, 0};
	MUST(poll(&readable, 1, -1) == 1);
	MUST(libreplace_ring_results(ring, &result, 0) ==
	     0); /* it is finished, and nobody has it */
	libreplace_ring_cancel(ring, request);
	begin_all();
	await_held(1);
	bob_goes_on();
	MUST(libreplace_ring_close(ring) == -1 && errno == EAGAIN);
	must_be_served();
	end_server();
	must_be_closed();
}

/* A folder is refused after it is open. Closing it asks the server for nothing that it waits for.
 */
static void refused_folder_does_not_hang(void)
{
	static const int closing[] = {FUSE_FLUSH, FUSE_RELEASEDIR, 0};

	start_case();
	GIVES(ask_stat(&alice, "hanging/d1", 0, NULL), 0);
	hold_operations(closing);
	GIVES(ask_open(&alice, "hanging/d1", O_RDONLY), -EISDIR);
	bob_goes_on();
	end_server();
	must_be_closed();
}

/* ---- the end */

static void close_waits_for_the_server(void)
{
	way = 2; /* open */
	start_hanging();
	await_held(SHARE - 1);
	for (int i = 0; i < 20; i++)
		MUST(libreplace_ring_close(ring) == -1 && errno == EAGAIN);
	must_be_served();
	MUST(orders->count[FUSE_OPEN] == SHARE); /* a user's share of the workers */
	end_server();
	must_be_closed();
}

/* A server that notices that the kernel interrupts a request: nobody has to end it. */
static void cancelled_request_is_interrupted(void)
{
	struct libreplace_ring_request *requests[HANGING];
	static const int opening[] = {FUSE_OPEN, 0};

	start_case();
	orders->answers_interrupts = 1;
	warm_up(HANGING);
	hold_operations(opening);
	for (int i = 0; i < HANGING; i++)
		requests[i] = start(LIBREPLACE_RING_OPEN, name_of(i), O_RDONLY);
	begin_all();
	await_held(SHARE);
	for (int i = 0; i < HANGING; i++)
		libreplace_ring_cancel(ring, requests[i]);
	begin_all();
	must_be_closed();
	must_be_served();
	MUST(orders->count[FUSE_INTERRUPT] > 0);
}

static void close_interrupts_requests(void)
{
	way = 2;
	start_hanging();
	await_held(SHARE - 1);
	orders->answers_interrupts = 1;
	must_be_closed();
	must_be_served();
}

static void dead_server_is_an_error(void)
{
	way = 2;
	start_hanging();
	end_server();
	MUST(get_results(HANGING, 1) == 0);
	must_be_closed();
}

/* ---- shares */

/* Other groups do not give a user more workers. */
static void share_belongs_to_the_user_and_not_to_the_groups(void)
{
	static const int opening[] = {FUSE_OPEN, 0};
	gid_t lists[8][1];

	start_case();
	warm_up(HANGING);
	hold_operations(opening);
	for (int i = 0; i < HANGING; i++) {
		struct libreplace_identity user = {ALICE, STAFF, 1, lists[i % 8]};
		const call_of_ring call = {
		    LIBREPLACE_RING_OPEN, folder, name_of(i), O_RDONLY, 0, SAFE, 0, NULL};

		lists[i % 8][0] = 80100 + (gid_t)(i % 8);
		MUST(libreplace_ring_start(ring, &user, &call, NULL, NULL) == 0);
	}
	begin_all();
	await_held(SHARE);
	bob_goes_on();
	MUST(orders->count[FUSE_OPEN] == SHARE);
	answer_all();
	MUST(get_results(HANGING, 1) == HANGING);
	must_be_closed();
}

/* Four users can have all workers. What the kernel does at once needs none. */
static void files_can_be_opened_without_a_worker(void)
{
	static const int opening[] = {FUSE_OPEN, 0};
	const char *path = "shared/of_bob";

	start_case();
	warm_up(HANGING);
	hold_operations(opening);
	for (int i = 0; i < HANGING; i++) {
		struct libreplace_identity user = {ALICE + 100 + (uid_t)(i % 8), STAFF, 0, NULL};
		const call_of_ring call = {
		    LIBREPLACE_RING_OPEN, folder, name_of(i), O_RDONLY, 0, SAFE, 0, NULL};

		MUST(libreplace_ring_start(ring, &user, &call, NULL, NULL) == 0);
	}
	begin_all();
	await_held(WORKERS);
	for (int i = 0; i < 100; i++) {
		OPENS(ask_at_once(&bob, LIBREPLACE_RING_OPEN, path, O_RDWR));
		GIVES(ask_at_once(&bob, LIBREPLACE_RING_STAT, path, 0), 0);
		GIVES(ask_at_once(&alice, LIBREPLACE_RING_OPEN, path, O_RDONLY), -EACCES);
	}
	must_be_served();
	answer_all();
	MUST(get_results(HANGING, 1) == HANGING);
	must_be_closed();
}

/* The kernel's limit of workers belongs to the thread and not to the ring. A further ring must not
 * make it smaller than the shares of the first. */
static void another_ring_leaves_the_workers(void)
{
	struct libreplace_ring *first, *second;

	start_case();
	warm_up(HANGING);
	first = ring;
	open_ring(0, 1, 0, 0);
	second = ring;
	hold_operations(ways[2].held);
	for (int i = 0; i < 4; i++)
		start(LIBREPLACE_RING_OPEN, name_of(i), O_RDONLY);
	begin_all();
	await_held(1); /* the only worker of this user */
	ring = first;
	for (int i = 4; i < HANGING; i++)
		start(LIBREPLACE_RING_OPEN, name_of(i), O_RDONLY);
	begin_all();
	await_held(SHARE);
	bob_goes_on();
	end_server();
	MUST(get_results(HANGING - 4, 1) == 0);
	close_ring(first);
	ring = second;
	must_be_closed();
}

/* Otherwise, the requests of one user would take all descriptors of the server. */
static void requests_that_wait_open_no_folder(void)
{
	enum { WAITING = 50 };
	int before;

	start_case();
	warm_up(HANGING);
	hold_operations(ways[2].held);
	for (int i = 0; i < HANGING; i++)
		start(LIBREPLACE_RING_OPEN, name_of(i), O_RDONLY);
	begin_all();
	await_held(SHARE);
	before = count_descriptors();
	for (int i = 0; i < WAITING; i++)
		start(LIBREPLACE_RING_LINK, "shared/none", 0);
	begin_all();
	MUST(count_descriptors() == before);
	bob_goes_on();
	end_server();
	MUST(get_results(HANGING + WAITING, 1) == 0);
	must_be_closed();
}

int main(void)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_proc();
	needs_ring();
	for (way = 0; way < (int)(sizeof ways / sizeof *ways); way++)
		RUN_IN_PLACE(others_go_on_while_requests_hang);
	RUN_IN_PLACE(held_status_of_the_file_system_does_not_matter);
	RUN_IN_PLACE(cancelled_open_is_not_closed_by_the_calling_thread);
	RUN_IN_PLACE(cancelled_result_is_not_closed_by_the_calling_thread);
	RUN_IN_PLACE(refused_folder_does_not_hang);
	RUN_IN_PLACE(close_waits_for_the_server);
	RUN_IN_PLACE(cancelled_request_is_interrupted);
	RUN_IN_PLACE(close_interrupts_requests);
	RUN_IN_PLACE(dead_server_is_an_error);
	RUN_IN_PLACE(share_belongs_to_the_user_and_not_to_the_groups);
	RUN_IN_PLACE(files_can_be_opened_without_a_worker);
	RUN_IN_PLACE(another_ring_leaves_the_workers);
	RUN_IN_PLACE(requests_that_wait_open_no_folder);
	return failed != 0;
}
