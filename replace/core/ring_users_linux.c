/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The users whose credentials a ring has. The calling thread never changes its own ids: a new
 * thread becomes the user for good, stores its credentials in the ring, and ends. ring_internal.h
 * explains the functions. Source: IORING_REGISTER_PERSONALITY in io_uring_register(2).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ring_internal.h"

enum { MOST_PAUSES = 50 };

/* ---- Lists */

void libreplace_list_init(struct libreplace_link *list)
{
	list->next = list->previous = list;
}

void libreplace_list_append(struct libreplace_link *list, struct libreplace_link *link)
{
	link->next = list;
	link->previous = list->previous;
	list->previous->next = link;
	list->previous = link;
}

void libreplace_list_remove(struct libreplace_link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	libreplace_list_init(link);
}

int libreplace_list_is_empty(const struct libreplace_link *list)
{
	return list->next == list;
}

/* ---- A thread that becomes the user */

/**
 * struct errand - what the new thread does
 * @fd:		descriptor of the ring
 * @guard:	storage for the entry
 * @identity:	the user
 * @personality: result: the number of the credentials, or -1
 * @error:	result: the errno of a failure
 * @counted, @id: result: what libreplace_count_out_joined() needs
 */
struct errand {
	int fd;
	struct libreplace_guard *guard;
	const struct libreplace_identity *identity;
	int personality, error;
	unsigned counted;
	int id;
};

/*
 * The real and the saved user ID become the id of level shielded, which nobody has. With the user's
 * own id there, the user could send this thread a signal with tgkill(2), and so kill the server.
 * Requests depend on the file system user ID only, and so do the calls of a switched thread, so the
 * results are the same. The thread leaves the server's session keyring behind.
 */
static void *store_credentials(void *argument)
{
	struct errand *errand = argument;
	struct libreplace_guard *guard = errand->guard;

	errand->personality = -1;
	if (libreplace_join_new_keyring() != 0 ||
	    libreplace_enter(guard, errand->identity, LIBREPLACE_LEVEL_SHIELDED) != 0)
		errand->error = errno;
	else if (!libreplace_stay(guard, guard->set.ruid) || libreplace_ids_are_imitated())
		errand->error =
		    EPERM; /* uid_wrapper(1) imitates ids, and the ring needs real ones */
	else {
		errand->personality = libreplace_ring_register(errand->fd);
		errand->error = errno;
	}
	errand->counted = libreplace_mine.counted;
	errand->id = libreplace_mine.id;
	return NULL;
}

/* Run the errand in a new thread, in which no signal handler runs. Return: 0, or -1 with errno
 * set. */
static int run(struct errand *errand)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	sigfillset(&all);
	error = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (error == 0) {
		error = pthread_create(&thread, NULL, store_credentials, errand);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (error != 0) {
		errno = error;
		return -1;
	}
	pthread_join(thread, NULL);
	libreplace_count_out_joined(errand->counted, errand->id);
	errno = errand->error;
	return errand->personality < 0 ? -1 : 0;
}

/* Store the credentials of a user in the ring. Return: their number, or -1 with errno set. */
static int new_personality(const struct libreplace_ring_users *users,
                           const struct libreplace_identity *identity)
{
	struct errand errand = {.fd = users->fd, .identity = identity};
	int own = libreplace_getgroups(0, NULL), error;
	size_t room = own > 0 && (size_t)own > identity->size ? (size_t)own : identity->size;
	size_t size = sizeof *errand.guard + 3 * room * sizeof(gid_t);

	errand.guard = malloc(size);
	if (errand.guard == NULL)
		return -1;
	if (libreplace_guard_init(errand.guard, size) == 0) {
		errand.guard->flags = users->flags;
		if (run(&errand) != 0)
			errand.personality = -1;
	}
	error = errno;
	free(errand.guard);
	errno = error;
	return errand.personality;
}

/* ---- The table */

/* FNV-1a over the numbers of the identity. */
static uint64_t hash_of(const struct libreplace_identity *identity)
{
	uint64_t hash = 0xcbf29ce484222325U;

	hash = (hash ^ identity->uid) * 0x100000001b3U;
	hash = (hash ^ identity->gid) * 0x100000001b3U;
	for (size_t i = 0; i < identity->size; i++)
		hash = (hash ^ identity->groups[i]) * 0x100000001b3U;
	return hash ^ hash >> 32;
}

static int is_same(const struct libreplace_identity *a, const struct libreplace_identity *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
	       (a->size == 0 || memcmp(a->groups, b->groups, a->size * sizeof *a->groups) == 0);
}

/* The slot of a user. It depends only on the user ID: those who have a share in common are in one
 * slot. */
static struct libreplace_ring_user **slot_of(struct libreplace_ring_users *users, uid_t uid)
{
	return &users->slots[uid % LIBREPLACE_RING_SLOTS];
}

/* Find the share of a user ID, or make it. Return: the share, or NULL with errno ENOMEM. */
static struct libreplace_ring_share *find_share(struct libreplace_ring_users *users, uid_t uid)
{
	struct libreplace_ring_user *user = *slot_of(users, uid);
	struct libreplace_ring_share *share;

	while (user != NULL && user->identity.uid != uid)
		user = user->next;
	if (user != NULL)
		return user->share;
	share = malloc(sizeof *share);
	if (share == NULL)
		return NULL;
	share->users = share->working = 0;
	libreplace_list_init(&share->waiting);
	return share;
}

static void leave_share(struct libreplace_ring_share *share)
{
	if (--share->users == 0)
		free(share);
}

/* Remove a user without requests. */
static void forget(struct libreplace_ring_users *users, struct libreplace_ring_user *user)
{
	struct libreplace_ring_user **slot = slot_of(users, user->identity.uid);

	while (*slot != user)
		slot = &(*slot)->next;
	*slot = user->next;
	libreplace_list_remove(&user->link);
	users->idle_size--;
	if (users->fd >= 0)
		libreplace_ring_unregister(users->fd, user->personality);
	leave_share(user->share);
	free(user);
}

static void forget_oldest(struct libreplace_ring_users *users)
{
	/* the link is the first member of a user */
	forget(users, (struct libreplace_ring_user *)(void *)users->idle.next);
}

/* Return: the new user, or NULL with errno set. */
static struct libreplace_ring_user *add_user(struct libreplace_ring_users *users,
                                             const struct libreplace_identity *identity,
                                             uint64_t hash)
{
	size_t bytes = identity->size * sizeof(gid_t);
	struct libreplace_ring_user *user = malloc(sizeof *user + bytes);
	struct libreplace_ring_user **slot = slot_of(users, identity->uid);
	int error;

	if (user == NULL)
		return NULL;
	memset(user, 0, sizeof *user);
	user->share = find_share(users, identity->uid);
	if (user->share == NULL) {
		free(user);
		return NULL;
	}
	user->share->users++;
	user->personality = new_personality(users, identity);
	if (user->personality <= 0) {
		error = errno;
		leave_share(user->share);
		free(user);
		errno = error;
		return NULL;
	}
	user->hash = hash;
	user->identity = *identity;
	user->identity.groups = user->groups;
	if (bytes > 0)
		memcpy(user->groups, identity->groups, bytes);
	libreplace_list_init(&user->link);
	user->next = *slot;
	*slot = user;
	return user;
}

/*
 * The credentials of each user have a key of their own, which counts for the server's user ID. The
 * quota may be smaller than the limit of users (200 keys for others than root, see keyrings(7)).
 * Then forget a quarter of the users without requests, and never keep so many again. The kernel
 * frees their keys some milliseconds later. Return: the new user, or NULL with errno set.
 */
static struct libreplace_ring_user *
add_user_within_quota(struct libreplace_ring_users *users,
                      const struct libreplace_identity *identity, uint64_t hash)
{
	static const struct timespec pause = {0, 1000000};
	struct libreplace_ring_user *user = add_user(users, identity, hash);

	if (user != NULL || errno != EDQUOT || users->idle_size == 0)
		return user;
	users->limit = users->idle_size - (users->idle_size + 3) / 4;
	while (users->idle_size > users->limit)
		forget_oldest(users);
	for (int i = 0; user == NULL && errno == EDQUOT && i < MOST_PAUSES; i++) {
		nanosleep(&pause, NULL);
		user = add_user(users, identity, hash);
	}
	return user;
}

struct libreplace_ring_user *libreplace_ring_find_user(struct libreplace_ring_users *users,
                                                       const struct libreplace_identity *identity)
{
	uint64_t hash = hash_of(identity);
	struct libreplace_ring_user *user = *slot_of(users, identity->uid);

	while (user != NULL && (user->hash != hash || !is_same(&user->identity, identity)))
		user = user->next;
	if (user == NULL) {
		user = add_user_within_quota(users, identity, hash);
		if (user == NULL)
			return NULL;
	} else if (user->requests == 0) {
		libreplace_list_remove(&user->link);
		users->idle_size--;
	}
	user->requests++;
	return user;
}

void libreplace_ring_leave_user(struct libreplace_ring_users *users,
                                struct libreplace_ring_user *user)
{
	if (--user->requests > 0)
		return;
	libreplace_list_append(&users->idle, &user->link);
	users->idle_size++;
	if (users->idle_size > users->limit)
		forget_oldest(users);
}

void libreplace_ring_forget_users(struct libreplace_ring_users *users)
{
	while (!libreplace_list_is_empty(&users->idle))
		forget_oldest(users);
}
