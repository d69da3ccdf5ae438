/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests a ring under load: more requests than it has room for, more users than it keeps, paths that
 * change meanwhile, and requests that are cancelled at any time. Each result must belong to its
 * user. With the argument "wrap N", only changes users N times, so that the kernel's numbers of
 * credentials, which have 16 bits, begin anew. As root, on Linux.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include "ring_cases.h"

enum { MANY_USERS = 300, MANY_FILES = 5000, BATCH = 64 };
#define FIRST_UID 90000u
#define FIRST_GROUP 200000u

/* What one request must give. */
struct expected {
	struct libreplace_ring_request *request;
	int user;  /* its number */
	int value; /* the negative errno, or 0 */
	int seen;
	char path[32];
};

static struct libreplace_identity users[MANY_USERS];
static struct expected *all;

/* Users with the group lists of 0 to 299 groups; the last has as many as the kernel allows. */
static void make_users(void)
{
	for (unsigned i = 0; i < MANY_USERS; i++) {
		size_t size = i == MANY_USERS - 1 ? 65536 : i;
		gid_t *groups = malloc((size + 1) * sizeof *groups);

		MUST(groups != NULL);
		for (unsigned j = 0; j < size; j++)
			groups[j] = FIRST_GROUP + j * 2;
		users[i] = (struct libreplace_identity){FIRST_UID + i, FIRST_UID + i, size, groups};
	}
}

static void start_one(struct expected *one, int user, int flags, const char *path)
{
	const call_of_ring call = {LIBREPLACE_RING_OPEN, folder, path, flags, 0600, SAFE, 0, NULL};

	one->user = user;
	MUST(libreplace_ring_start(ring, &users[user], &call, one, &one->request) == 0);
}

/* Check a result: the file that was made belongs to the user of the request. */
static void check_result(const struct libreplace_ring_result *result)
{
	struct expected *one = result->data;
	struct stat found;

	MUST(one->seen++ == 0);
	one->request = NULL;
	if (one->value < 0) {
		GIVES(result->value, one->value);
		return;
	}
	if (result->value < 0)
		errno = -result->value;
	MUST(result->value >= 0 && fstat(result->value, &found) == 0);
	MUST(found.st_uid == users[one->user].uid && found.st_gid == users[one->user].gid);
	MUST(close(result->value) == 0);
}

/* Get the results that are there; if none is there and @must_wait, wait. Return: their number. */
static int get_results(int must_wait)
{
	struct libreplace_ring_result results[BATCH];
	int count = must_wait ? await_results(ring, results, BATCH)
	                      : libreplace_ring_results(ring, results, BATCH);

	MUST(count >= 0);
	for (int i = 0; i < count; i++)
		check_result(&results[i]);
	return count;
}

static void begin(unsigned entries, unsigned identities)
{
	make_folder("shared", 0, 0, 01777);
	make_users();
	all = calloc(MANY_FILES, sizeof *all);
	MUST(all != NULL);
	open_ring(entries, 0, identities, 0);
}

static void full_queue_loses_nothing(void)
{
	int before = count_descriptors(), done = 0;

	begin(4, 0);
	for (int i = 0; i < MANY_FILES; i++) {
		snprintf(all[i].path, sizeof all[i].path, "shared/%d", i);
		start_one(&all[i], i % 7, CREATE, all[i].path);
	}
	MUST(libreplace_ring_flush(ring) == 0);
	while (done < MANY_FILES)
		done += get_results(1);
	MUST(get_results(0) == 0);
	close_ring(ring);
	MUST(count_descriptors() == before);
}

/* More results than the kernel's queue of results has room for: nobody reads them. */
static void full_queue_of_results_loses_nothing(void)
{
	int done = 0;

	begin(4, 0);
	for (int i = 0; i < MANY_FILES; i++) {
		start_one(&all[i], i % 7, O_RDONLY, "shared/nothing");
		all[i].value = -ENOENT;
		if (i % 3 == 0)
			MUST(libreplace_ring_flush(ring) == 0);
	}
	MUST(libreplace_ring_flush(ring) == 0);
	while (done < MANY_FILES)
		done += get_results(1);
	MUST(get_results(0) == 0);
	close_ring(ring);
}

/* Each user makes files and tries to open those of the user before, while the ring keeps four. */
static void users_change_under_load(void)
{
	int done = 0, number = 0;

	begin(32, 4);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY_USERS; i++) {
			struct expected *one = &all[number++], *other = &all[number++];

			snprintf(one->path, sizeof one->path, "shared/%d.%d", i, round);
			start_one(one, i, CREATE, one->path);
			if (i % 3 == 0)
				MUST(libreplace_ring_flush(ring) == 0);
			if (round > 0) {
				int before = (i + MANY_USERS - 1) % MANY_USERS;

				snprintf(other->path, sizeof other->path, "shared/%d.0", before);
				start_one(other, i, O_RDONLY, other->path);
				other->value = -EACCES;
			} else {
				start_one(other, i, O_RDONLY, "nothing");
				other->value = -ENOENT;
			}
			if (i % 50 ==
			    0) /* the files of the first round must be there in the second */
				done += get_results(0);
		}
		MUST(libreplace_ring_flush(ring) == 0);
		while (done < number)
			done += get_results(1);
	}
	close_ring(ring);
}

/* Users that differ only in one group, which decides. The ring keeps two of them. */
static void users_differ_in_one_group(void)
{
	struct libreplace_identity members[40];
	gid_t list[40][1];
	int done = 0;

	begin(16, 2);
	for (unsigned i = 0; i < 40; i++) {
		char name[32];

		list[i][0] = FIRST_GROUP + i;
		members[i] = (struct libreplace_identity){ALICE, STAFF, 1, list[i]};
		snprintf(name, sizeof name, "shared/g%u", i);
		make(name, ALICE + 1000, FIRST_GROUP + i, 0040);
	}
	for (int i = 0; i < 1600; i++) {
		const call_of_ring call = {
		    LIBREPLACE_RING_OPEN, folder, all[i].path, O_RDONLY, 0, SAFE, 0, NULL};

		snprintf(all[i].path, sizeof all[i].path, "shared/g%d", i / 40);
		all[i].value = i % 40 == i / 40 ? 1 : -EACCES;
		MUST(libreplace_ring_start(ring, &members[i % 40], &call, &all[i], NULL) == 0);
	}
	MUST(libreplace_ring_flush(ring) == 0);
	while (done < 1600) {
		struct libreplace_ring_result results[BATCH];
		int count = await_results(ring, results, BATCH);

		for (int i = 0; i < count; i++) {
			struct expected *one = results[i].data;

			MUST(one->seen++ == 0);
			if (one->value == 1)
				OPENS(results[i].value);
			else
				GIVES(results[i].value, -EACCES);
		}
		done += count;
	}
	close_ring(ring);
}

/* A generator of numbers that are the same in each run. */
static unsigned next_number(void)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void random_cancellation(void)
{
	int before = count_descriptors(), cancelled = 0, done = 0;

	begin(16, 4);
	for (int i = 0; i < MANY_FILES; i++) {
		unsigned choice = next_number();

		snprintf(all[i].path, sizeof all[i].path, "shared/%d", i);
		start_one(&all[i], (int)(choice % 9), choice & 64 ? CREATE : O_CREAT | O_RDWR,
		          all[i].path);
		if (choice & 128)
			MUST(libreplace_ring_flush(ring) == 0);
		if ((choice & 0x700) == 0)
			done += get_results(0);
		if (choice & 0x800) { /* any one that is not done, also an old one */
			struct expected *one = &all[next_number() % (unsigned)(i + 1)];

			if (one->request != NULL) {
				libreplace_ring_cancel(ring, one->request);
				one->request = NULL;
				one->seen = 1;
				cancelled++;
			}
		}
	}
	MUST(libreplace_ring_flush(ring) == 0);
	while (done < MANY_FILES - cancelled)
		done += get_results(1);
	MUST(cancelled > MANY_FILES / 10 && get_results(0) == 0);
	close_ring(ring);
	MUST(count_descriptors() == before && count_threads("iou-") == 0);
}

/* ---- paths that change meanwhile */

static int stop;

/* Exchange the folder "way" and a symbolic link to a folder outside, again and again. */
static void *exchange(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		MUST(syscall(SYS_renameat2, folder, "inside/way", folder, "inside/link", 2) == 0);
	return unused;
}

static void exchanged_link_does_not_lead_out(void)
{
	int inside, done = 0, out = 0, in = 0;
	pthread_t thread;
	DIR *left;

	begin(64, 0);
	make_folder("inside", 0, 0, 0777);
	make_folder("inside/way", 0, 0, 0777);
	make_folder("outside", 0, 0, 0777);
	MUST(symlinkat("../outside", folder, "inside/link") == 0);
	MUST((inside = openat(folder, "inside", O_RDONLY | O_DIRECTORY)) >= 0);
	MUST(pthread_create(&thread, NULL, exchange, NULL) == 0);
	for (int i = 0; i < 1000 || in == 0 || out == 0; i++) {
		const int kinds[] = {LIBREPLACE_RING_OPEN, LIBREPLACE_RING_MKDIR,
		                     LIBREPLACE_RING_SYMLINK, LIBREPLACE_RING_RENAME};
		int kind = kinds[i % 4];
		const call_of_ring call = {
		    kind,   inside,     all[i % MANY_FILES].path, kind ? 0 : CREATE, 0700, SAFE,
		    inside, "way/moved"};

		snprintf(all[i % MANY_FILES].path, sizeof all[i % MANY_FILES].path,
		         i % 8 < 4 ? "way/%d" : "way/../way/%d", i);
		MUST(libreplace_ring_start(ring, &users[i % 3], &call, &all[i % MANY_FILES],
		                           NULL) == 0);
		if (i % 50 == 49) {
			MUST(libreplace_ring_flush(ring) == 0);
			while (done <= i) {
				struct libreplace_ring_result result;
				int value;

				MUST(await_results(ring, &result, 1) == 1);
				done++;
				value = result.value;
				out += value == -EXDEV;
				in += value >= 0;
				MUST(value >= 0 || value == -EXDEV || value == -ENOENT ||
				     value == -EAGAIN);
				if (value > 0)
					MUST(close(value) == 0);
			}
		}
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	MUST(pthread_join(thread, NULL) == 0);
	left = fdopendir(openat(folder, "outside", O_RDONLY | O_DIRECTORY));
	MUST(left != NULL && readdir(left) && readdir(left) && readdir(left) == NULL);
	MUST(closedir(left) == 0 && close(inside) == 0);
	close_ring(ring);
}

/* Change users @times times, in a ring that keeps three. One is used always and stays; of the other
 * three, only two have room, so each request is of a user who was forgotten. */
static void wrap(int times)
{
	static const char *const own[] = {"shared/0", "shared/1", "shared/2", "shared/3"};

	begin(8, 3);
	for (unsigned i = 0; i < 4; i++) {
		make(own[i], FIRST_UID + i, FIRST_UID + i, 0600);
		users[i].size = 0;
	}
	for (int i = 0; i < times; i++) {
		OPENS(ask_open(&users[1 + i % 3], own[1 + i % 3], O_RDONLY));
		OPENS(ask_open(&users[0], own[0], O_RDONLY));
		if (i % 16 == 0)
			GIVES(ask_open(&users[1 + i % 3], own[i % 3], O_RDONLY), -EACCES);
	}
	close_ring(ring);
}

static int changes;

static void numbers_begin_anew(void)
{
	alarm(HANG);
	wrap(changes);
}

int main(int count, char **arguments)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_proc();
	needs_ring();
	if (count == 3 && strcmp(arguments[1], "wrap") == 0) {
		changes = atoi(arguments[2]);
		RUN_IN_PLACE(numbers_begin_anew);
		return failed != 0;
	}
	RUN_IN_PLACE(full_queue_loses_nothing);
	RUN_IN_PLACE(full_queue_of_results_loses_nothing);
	RUN_IN_PLACE(users_change_under_load);
	RUN_IN_PLACE(users_differ_in_one_group);
	RUN_IN_PLACE(random_cancellation);
	RUN_IN_PLACE(exchanged_link_does_not_lead_out);
	return failed != 0;
}
