/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The public functions of libreplace/ring.h, and the queues of requests. A request is in exactly
 * one place: ready for the kernel, in the list of its user until he may have another worker, in the
 * kernel, or finished. The kernel's queue of results has room for each request that the kernel may
 * have, and for its cancellation, so no result is lost. ring_internal.h explains the other files.
 * ring_none.c is for other systems.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "ring_internal.h"

enum {
	ENTRIES = 4096,
	MOST_ENTRIES = 32768,
	WORKERS = 32,
	MOST_WORKERS = 4096,
	IDENTITIES = 1024,
	MOST_IDENTITIES = 32768,
	LONGEST_END = 1000 /* milliseconds for idle workers to end */
};

/**
 * struct libreplace_ring - a ring
 * @link:	place in the list of all rings
 * @owner:	libreplace_thread_id() of the thread that made it
 * @is_lost:	this is a forked child
 * @is_closing:	libreplace_ring_close() was called
 * @is_worker_done: a worker has done a step since the last libreplace_ring_flush()
 * @used_workers: the kernel may have started workers
 * @event:	the eventfd, or -1
 * @entries:	requests that the kernel may have
 * @workers:	of the options
 * @share:	workers that one user may have
 * @requests:	requests that exist
 * @in_kernel:	requests that the kernel has
 * @cancelling:	requests to cancel one of them that the kernel has
 * @end:	until when libreplace_ring_close() waits for workers; see libreplace_milliseconds()
 * @all:	all requests
 * @ready, @finished: requests in these places
 * @cancels:	requests that the kernel has and must cancel
 */
struct libreplace_ring {
	struct libreplace_link link;
	int owner, is_lost, is_closing, is_worker_done, used_workers, event;
	unsigned entries, workers, share, requests, in_kernel, cancelling;
	long long end;
	struct libreplace_link all, ready, finished, cancels;
	struct libreplace_ring_kernel kernel;
	struct libreplace_ring_users users;
	struct libreplace_ring_mounts mounts;
};

/* ---- All rings, for forked children */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct libreplace_link rings = {&rings, &rings};
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* The child must not have the descriptors: with them, it could act as each user of the ring. */
static void in_child(void)
{
	for (struct libreplace_link *link = rings.next; link != &rings; link = link->next) {
		struct libreplace_ring *ring = (struct libreplace_ring *)(void *)link;

		ring->is_lost = 1;
		if (ring->kernel.fd >= 0)
			close(ring->kernel.fd);
		if (ring->event >= 0)
			close(ring->event);
		ring->kernel.fd = ring->event = -1;
		ring->kernel.map = NULL; /* it is not mapped in the child */
		ring->kernel.sqes = NULL;
	}
	pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

/* ---- Cancelled threads */

static int forbid_cancellation(void)
{
	int before = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static void restore_cancellation(const int *before)
{
	(void)pthread_setcancelstate(*before, NULL);
}

/* No function of a ring is a cancellation point. A thread that ended in one would keep the lock,
 * and leave a request in no list. A new thread would write to its stack. */
#define NO_CANCELLATION                                                                            \
	int before_ __attribute__((cleanup(restore_cancellation), unused)) = forbid_cancellation()

/* ---- Queues */

static struct libreplace_ring_request *first_of(const struct libreplace_link *list)
{
	return libreplace_list_is_empty(list) ? NULL : (void *)list->next;
}

static void put(struct libreplace_link *list, struct libreplace_ring_request *request,
                enum libreplace_ring_place place)
{
	libreplace_list_remove(&request->link);
	libreplace_list_append(list, &request->link);
	request->place = place;
}

/* Whether a request takes one of its user's workers. Calls that change a name do so from their
 * first step on: if they waited after it, each would need a descriptor of its folder meanwhile. */
static int takes_worker(const struct libreplace_ring_request *request)
{
	return request->needs_worker || (request->call.kind != LIBREPLACE_RING_OPEN &&
	                                 request->call.kind != LIBREPLACE_RING_STAT);
}

static int must_wait(const struct libreplace_ring *ring,
                     const struct libreplace_ring_request *request)
{
	return takes_worker(request) && !request->has_worker &&
	       request->user->share->working >= ring->share;
}

static void make_ready(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	if (takes_worker(request) && !request->has_worker) {
		request->has_worker = 1;
		request->user->share->working++;
	}
	put(&ring->ready, request, LIBREPLACE_RING_IS_READY);
}

/* A request is done. The next one of the user may begin. */
static void free_worker(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	struct libreplace_ring_share *share = request->user->share;
	struct libreplace_ring_request *next = first_of(&share->waiting);

	if (!request->has_worker)
		return;
	request->has_worker = 0;
	share->working--;
	if (next != NULL && share->working < ring->share)
		make_ready(ring, next);
}

static void release(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	libreplace_list_remove(&request->link);
	libreplace_list_remove(&request->all);
	libreplace_list_remove(&request->cancel);
	libreplace_ring_leave_user(&ring->users, request->user);
	ring->requests--;
	free(request);
}

/* Put a request where its next step demands. */
static void queue(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	if (request->step == LIBREPLACE_RING_IS_DONE)
		free_worker(ring, request);
	if (request->step == LIBREPLACE_RING_IS_DONE && request->is_cancelled)
		release(ring, request);
	else if (request->step == LIBREPLACE_RING_IS_DONE)
		put(&ring->finished, request, LIBREPLACE_RING_IS_FINISHED);
	else if (must_wait(ring, request))
		put(&request->user->share->waiting, request, LIBREPLACE_RING_IS_WAITING);
	else
		make_ready(ring, request);
}

static struct libreplace_ring_request *request_of(struct libreplace_link *in_all)
{
	return (void *)((char *)in_all - offsetof(struct libreplace_ring_request, all));
}

/* Write the cancellation of a request. Return: 1, or 0 if there is no room. */
static int write_cancel(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	struct libreplace_sqe sqe;

	memset(&sqe, 0, sizeof sqe);
	sqe.opcode = LIBREPLACE_OP_ASYNC_CANCEL;
	sqe.fd = -1;
	sqe.addr = (uint64_t)(uintptr_t)request;
	sqe.personality = (uint16_t)request->user->personality;
	return libreplace_ring_write(&ring->kernel, &sqe);
}

/* Write as many requests as there is room for. Cancellations come first. */
static void write_all(struct libreplace_ring *ring)
{
	struct libreplace_ring_request *request;
	struct libreplace_sqe sqe;

	while (ring->cancelling < ring->entries && !libreplace_list_is_empty(&ring->cancels)) {
		struct libreplace_link *link = ring->cancels.next;

		request = (void *)((char *)link - offsetof(struct libreplace_ring_request, cancel));
		if (!write_cancel(ring, request))
			return;
		libreplace_list_remove(link);
		ring->cancelling++;
	}
	while (ring->in_kernel < ring->entries && (request = first_of(&ring->ready)) != NULL) {
		libreplace_ring_fill(request, &sqe);
		if (!libreplace_ring_write(&ring->kernel, &sqe))
			return;
		ring->used_workers |= request->needs_worker;
		libreplace_list_remove(&request->link);
		request->place = LIBREPLACE_RING_IS_IN_KERNEL;
		ring->in_kernel++;
	}
}

/* Make the descriptor readable, so that the event loop calls again. */
static void wake(const struct libreplace_ring *ring)
{
	const uint64_t one = 1;

	if (write(ring->event, &one, sizeof one) < 0)
		return; /* it is readable already */
}

/* Return: 0, or -1 with errno set if the ring cannot be used any more. */
static int give(struct libreplace_ring *ring)
{
	do {
		write_all(ring);
		if (ring->kernel.unsubmitted == 0)
			return 0;
	} while (libreplace_ring_submit(&ring->kernel) == 0);
	if (errno != ENOMEM && errno != EAGAIN && errno != EBUSY)
		return -1;
	wake(ring); /* the kernel has no memory at this moment */
	return 0;
}

/* Take the kernel's results. Return: whether there were any. */
static int take(struct libreplace_ring *ring)
{
	struct libreplace_ring_request *request;
	struct libreplace_cqe cqe;
	int any = 0;

	for (; libreplace_ring_next(&ring->kernel, &cqe); any = 1) {
		request = (void *)(uintptr_t)cqe.user_data;
		if (request == NULL) {
			ring->cancelling--;
			continue;
		}
		ring->in_kernel--;
		libreplace_list_remove(&request->cancel);
		ring->is_worker_done |= request->needs_worker;
		libreplace_ring_advance(&ring->mounts, request, cqe.res);
		queue(ring, request);
	}
	return any;
}

/* ---- The public functions */

/* Why the calling thread may not use the ring. Return: 0, or the errno. */
static int refusal(const struct libreplace_ring *ring)
{
	if (ring->is_lost)
		return EOWNERDEAD;
	return ring->owner == libreplace_mine.id ? 0 : EPERM;
}

static int failed(int error)
{
	errno = error;
	return -1;
}

static unsigned or_usual(unsigned value, unsigned usual)
{
	return value != 0 ? value : usual;
}

/* Fill in the usual values. Return: 0, or EINVAL. */
static int check_options(struct libreplace_ring_options *options)
{
	options->entries = or_usual(options->entries, ENTRIES);
	options->workers = or_usual(options->workers, WORKERS);
	options->identities = or_usual(options->identities, IDENTITIES);
	for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
		if (options->reserved[i] != 0)
			return EINVAL;
	return options->entries > MOST_ENTRIES || options->workers > MOST_WORKERS ||
	               options->identities > MOST_IDENTITIES ||
	               (options->flags & ~LIBREPLACE_ALLOW_ROOT) != 0
	           ? EINVAL
		   : 0;
}

/* The workers of all rings of the calling thread. The kernel's limit belongs to the thread, and the
 * last ring that sets it decides for all. */
static unsigned all_workers(const struct libreplace_ring *ring)
{
	unsigned workers = ring->workers;

	for (struct libreplace_link *link = rings.next; link != &rings; link = link->next) {
		const struct libreplace_ring *other = (struct libreplace_ring *)(void *)link;

		if (other->owner == ring->owner)
			workers += other->workers;
	}
	return workers;
}

/* Prepare a ring whose memory is 0. Return: 0, or the errno. */
static int make(struct libreplace_ring *ring, const struct libreplace_ring_options *options)
{
	if (libreplace_mine.id == 0)
		libreplace_mine.id = libreplace_thread_id();
	ring->owner = libreplace_mine.id;
	ring->entries = options->entries;
	ring->workers = options->workers;
	ring->share = options->workers / 4 > 0 ? options->workers / 4 : 1;
	libreplace_list_init(&ring->all);
	libreplace_list_init(&ring->ready);
	libreplace_list_init(&ring->finished);
	libreplace_list_init(&ring->cancels);
	libreplace_list_init(&ring->users.idle);
	libreplace_list_init(&ring->mounts.folders);
	ring->users.limit = options->identities;
	ring->users.flags = options->flags;
	ring->kernel.fd = -1;
	ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->event < 0 || libreplace_ring_setup(&ring->kernel, options->entries,
	                                             all_workers(ring), ring->event) != 0)
		return errno;
	ring->users.fd = ring->kernel.fd;
	return 0;
}

/* Close the kernel's ring. A child that was forked meanwhile would have its descriptor, or would
 * close another file, which has the same number. */
static void close_kernel(struct libreplace_ring *ring)
{
	pthread_mutex_lock(&lock);
	libreplace_ring_release(&ring->kernel);
	pthread_mutex_unlock(&lock);
}

static void destroy(struct libreplace_ring *ring)
{
	close_kernel(ring);
	if (ring->event >= 0)
		close(ring->event);
	free(ring);
}

/* Whether the thread can have the privilege to become another user. A layer that imitates ids, such
 * as uid_wrapper(1), gives no capability. */
static int may_become_others(void)
{
	struct libreplace_capabilities held;

	return libreplace_get_capabilities(&held) == 0 && held.permitted != 0;
}

int libreplace_ring_open(struct libreplace_ring **ring,
                         const struct libreplace_ring_options *options)
{
	NO_CANCELLATION;
	struct libreplace_ring_options chosen;
	struct libreplace_ring *made;
	int error;

	memset(&chosen, 0, sizeof chosen);
	if (options != NULL)
		chosen = *options;
	error = check_options(&chosen);
	if (error != 0)
		return failed(error);
	if (libreplace_depth() > 0 || libreplace_tainted())
		return failed(EBUSY);
	if (!may_become_others())
		return failed(EPERM);
	if (pthread_once(&watch_once, watch_forks) != 0)
		return failed(ENOMEM);
	made = malloc(sizeof *made);
	if (made == NULL)
		return -1;
	memset(made, 0, sizeof *made);
	error = libreplace_count_ring_in();
	if (error != 0) {
		free(made);
		return failed(error);
	}
	/* no other thread forks between the making of the descriptors and the list */
	pthread_mutex_lock(&lock);
	error = make(made, &chosen);
	if (error == 0)
		libreplace_list_append(&rings, &made->link);
	pthread_mutex_unlock(&lock);
	if (error != 0) {
		libreplace_count_ring_out();
		destroy(made);
		return failed(error);
	}
	*ring = made;
	return 0;
}

int libreplace_ring_fd(const struct libreplace_ring *ring)
{
	return ring->event;
}

int libreplace_ring_start(struct libreplace_ring *ring, const struct libreplace_identity *identity,
                          const struct libreplace_ring_call *call, void *data,
                          struct libreplace_ring_request **request)
{
	NO_CANCELLATION;
	int error = refusal(ring), waits;
	struct libreplace_ring_request *made;

	if (error == 0 && ring->is_closing)
		error = ESHUTDOWN;
	if (error == 0)
		error = libreplace_unacceptable(identity, ring->users.flags);
	if (error == 0 && (libreplace_depth() > 0 || libreplace_tainted()))
		error = EBUSY;
	if (error != 0)
		return failed(error);
	made = libreplace_ring_copy(call);
	if (made == NULL)
		return -1;
	made->user = libreplace_ring_find_user(&ring->users, identity);
	if (made->user == NULL) {
		error = errno;
		free(made);
		return failed(error);
	}
	made->data = data;
	libreplace_list_append(&ring->all, &made->all);
	waits = ++ring->requests > ring->entries || must_wait(ring, made);
	libreplace_ring_begin(&ring->mounts, made, waits);
	queue(ring, made);
	if (request != NULL)
		*request = made;
	return 0;
}

/* Give the kernel what is ready, and take its results, as long as both lead to more. Return: 0, or
 * -1 with errno set if the ring cannot be used any more. */
static int work(struct libreplace_ring *ring)
{
	if (ring->kernel.fd < 0) /* libreplace_ring_close() waits for the workers to end */
		return 0;
	do {
		if (give(ring) != 0)
			return -1;
	} while (take(ring));
	return 0;
}

/* A worker that is done while the kernel takes the requests is not announced. */
int libreplace_ring_flush(struct libreplace_ring *ring)
{
	NO_CANCELLATION;
	int error = refusal(ring);

	if (error != 0)
		return failed(error);
	if (work(ring) != 0)
		return -1;
	if (ring->is_worker_done && !libreplace_list_is_empty(&ring->finished))
		wake(ring);
	ring->is_worker_done = 0;
	return 0;
}

/* Store the result of a finished request, and free the request. */
static void deliver(struct libreplace_ring *ring, struct libreplace_ring_request *request,
                    struct libreplace_ring_result *result)
{
	result->data = request->data;
	result->request = request;
	result->value = request->value;
	result->status = request->status;
	release(ring, request);
}

int libreplace_ring_results(struct libreplace_ring *ring, struct libreplace_ring_result *results,
                            int room)
{
	NO_CANCELLATION;
	struct libreplace_ring_request *request;
	int error = refusal(ring), count = 0;
	uint64_t number;

	if (error != 0)
		return failed(error);
	/* read it before the results: a later result makes it readable again */
	if (read(ring->event, &number, sizeof number) < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	if (work(ring) != 0)
		return -1;
	for (; count < room && (request = first_of(&ring->finished)) != NULL; count++)
		deliver(ring, request, &results[count]);
	if (!libreplace_list_is_empty(&ring->finished))
		wake(ring);
	return count;
}

int libreplace_ring_get_result(struct libreplace_ring *ring,
                               struct libreplace_ring_request *request,
                               struct libreplace_ring_result *result)
{
	NO_CANCELLATION;
	int error = refusal(ring), is_finished;

	if (error != 0)
		return failed(error);
	if (work(ring) != 0)
		return -1;
	is_finished = request->place == LIBREPLACE_RING_IS_FINISHED;
	if (is_finished)
		deliver(ring, request, result);
	if (!libreplace_list_is_empty(&ring->finished))
		wake(ring);
	return is_finished;
}

void libreplace_ring_cancel(struct libreplace_ring *ring, struct libreplace_ring_request *request)
{
	NO_CANCELLATION;
	enum libreplace_ring_place place = request->place;

	if (refusal(ring) != 0)
		return;
	request->is_cancelled = 1;
	if (place == LIBREPLACE_RING_IS_IN_KERNEL) {
		if (request->needs_worker && request->step != LIBREPLACE_RING_CLOSES)
			libreplace_list_append(&ring->cancels, &request->cancel);
		return;
	}
	if (request->step == LIBREPLACE_RING_CLOSES)
		return;
	if (place == LIBREPLACE_RING_IS_FINISHED && request->call.kind == LIBREPLACE_RING_OPEN &&
	    request->value >= 0)
		request->file = request->value;
	libreplace_ring_give_up(request, ECANCELED);
	queue(ring, request);
}

/* Whether the kernel has workers in this process, for this ring or another one. A new worker has no
 * name of its own yet. */
static int has_workers(void)
{
	struct libreplace_proc_text text = {NULL, 0, 0};
	unsigned long flags = 0;
	DIR *task = opendir("/proc/self/task");
	struct dirent *entry;
	int found = 0;

	while (task != NULL && !found && (entry = readdir(task)) != NULL)
		found =
		    entry->d_name[0] != '.' &&
		    libreplace_proc_read_flags(dirfd(task), entry->d_name, &text, &flags) == 0 &&
		    (flags & LIBREPLACE_PF_IO_WORKER) != 0;
	if (task != NULL)
		closedir(task);
	free(text.bytes);
	return found;
}

/* Cancelling a request may free it, but no other one. */
static void cancel_all(struct libreplace_ring *ring)
{
	struct libreplace_link *next;

	for (struct libreplace_link *link = ring->all.next; link != &ring->all; link = next) {
		struct libreplace_ring_request *request = request_of(link);

		next = link->next;
		if (!request->is_cancelled)
			libreplace_ring_cancel(ring, request);
	}
}

/* Whether the kernel still works for the ring. If somebody else has closed its descriptor, nobody
 * can know; then the requests' memory is never freed, because the kernel may write to it. */
static int is_at_work(struct libreplace_ring *ring)
{
	uint64_t number;

	if (read(ring->event, &number, sizeof number) < 0 && errno != EAGAIN && errno != EINTR)
		return 0;
	if (work(ring) != 0)
		return 0;
	return ring->cancelling > 0 || !libreplace_list_is_empty(&ring->all);
}

/* Free the memory. In a forked child, it is a copy. */
static void free_ring(struct libreplace_ring *ring)
{
	ring->users.fd = -1;
	while (ring->is_lost && !libreplace_list_is_empty(&ring->all))
		release(ring, request_of(ring->all.next));
	libreplace_ring_forget_users(&ring->users);
	pthread_mutex_lock(&lock);
	libreplace_list_remove(&ring->link);
	pthread_mutex_unlock(&lock);
	destroy(ring);
}

int libreplace_ring_close(struct libreplace_ring *ring)
{
	NO_CANCELLATION;
	int error = ring == NULL ? 0 : refusal(ring);

	if (ring == NULL)
		return 0;
	if (error == EPERM)
		return failed(error);
	if (error != EOWNERDEAD) {
		if (!ring->is_closing)
			cancel_all(ring);
		ring->is_closing = 1;
		if (ring->kernel.fd >= 0 && is_at_work(ring))
			return failed(EAGAIN);
		if (ring->kernel.fd >= 0)
			ring->end = libreplace_milliseconds() + LONGEST_END;
		close_kernel(ring);
		if (ring->used_workers && libreplace_milliseconds() < ring->end && has_workers())
			return failed(EAGAIN);
		libreplace_count_ring_out();
	}
	free_ring(ring);
	return 0;
}
