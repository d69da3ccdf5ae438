/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An event loop with threads. The main thread waits for all clients and never enters an identity.
 * Each worker thread acts as one client for one request.
 *
 * A request is the name of a file, a newline and a text. The server appends the text to the file
 * below FOLDER, as the user who connected. The answer is "done" or an error. Run it as root:
 *
 *     event_loop SOCKET FOLDER
 */
#define _GNU_SOURCE
#include <libreplace/replace.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#if !LIBREPLACE_THREAD_SCOPE
#error "in this build of libreplace, a switch changes every thread"
#endif

enum { WORKERS = 4, ROOM = 64, LARGEST = 4096 };

struct client {
	int socket;
	struct libreplace_identity user;
	gid_t groups[ROOM];
	char request[LARGEST + 1];
	struct client *next; /* in the queue */
};

static int folder, loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct client *queue, **end = &queue;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- The worker threads */

static struct client *take(void)
{
	struct client *client;

	pthread_mutex_lock(&lock);
	while (queue == NULL)
		pthread_cond_wait(&filled, &lock);
	client = queue;
	queue = client->next;
	if (queue == NULL)
		end = &queue;
	pthread_mutex_unlock(&lock);
	return client;
}

/* Runs as the client, also the close: some file systems report a full quota there. */
static int append(char *request)
{
	char *text = strchr(request, '\n');
	int file, error = 0;

	if (text == NULL)
		return EINVAL;
	*text++ = '\0';
	file = libreplace_open_beneath(
	    folder, request, O_WRONLY | O_CREAT | O_APPEND, 0600,
	    LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS, 1);
	if (file < 0)
		return errno;
	errno = EIO; /* for a short write */
	if (write(file, text, strlen(text)) != (ssize_t)strlen(text))
		error = errno;
	if (close(file) != 0 && error == 0)
		error = errno;
	return error;
}

static void forget(struct client *client)
{
	close(client->socket);
	free(client);
}

/* Give the client back to the event loop. After that, another thread may use it. */
static void wait_for_request(struct client *client, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = client};

	if (epoll_ctl(loop, operation, client->socket, &event) != 0)
		forget(client);
}

static void *work(void *unused)
{
	LIBREPLACE_GUARD(entry, ROOM);

	if (libreplace_guard_init(&entry.guard, sizeof entry) != 0)
		die("libreplace_guard_init");
	entry.guard.flags = LIBREPLACE_ABORT_UNLESS_RESTORED;
	for (;;) {
		struct client *client = take();
		const char *answer;
		int error;

		if (libreplace_enter(&entry.guard, &client->user, LIBREPLACE_LEVEL_SHIELDED) != 0)
			error = errno;
		else {
			error = append(client->request);
			if (libreplace_leave(&entry.guard) != 0)
				fprintf(stderr, "other code changed the ids: %s\n",
				        libreplace_step_name(entry.guard.step));
		}
		/* outside the identity: the answer is the server's */
		answer = error == 0 ? "done" : strerror(error);
		if (send(client->socket, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			forget(client);
		else
			wait_for_request(client, EPOLL_CTL_MOD);
	}
	return unused;
}

/* ---- The main thread */

/* The ids that the client had when it connected. Nothing is looked up. */
static int identify(struct client *client)
{
	struct ucred peer;
	socklen_t size = sizeof peer, room = sizeof client->groups;

	if (getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
	    getsockopt(client->socket, SOL_SOCKET, SO_PEERGROUPS, client->groups, &room) != 0)
		return -1; /* with ERANGE, the client has more groups than fit */
	client->user.uid = peer.uid;
	client->user.gid = peer.gid;
	client->user.size = libreplace_sort_groups(client->groups, room / sizeof(gid_t));
	client->user.groups = client->groups;
	return 0;
}

static void accept_client(int listener)
{
	struct client *client = calloc(1, sizeof *client);

	if (client == NULL)
		return;
	client->socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client->socket < 0)
		free(client);
	else if (identify(client) != 0)
		forget(client);
	else
		wait_for_request(client, EPOLL_CTL_ADD);
}

static void read_request(struct client *client)
{
	ssize_t size = recv(client->socket, client->request, LARGEST, MSG_TRUNC);

	if (size <= 0 || size > LARGEST) { /* the end, an error, or a request that is too large */
		forget(client);
		return;
	}
	client->request[size] = '\0';
	client->next = NULL;
	pthread_mutex_lock(&lock);
	*end = client;
	end = &client->next;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&lock);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(address.sun_path, path);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    chmod(path, 0666) != 0 || listen(listener, SOMAXCONN) != 0)
		die(path);
	return listener;
}

int main(int count, char **words)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; /* NULL: the listener */
	int listener;

	if (count != 3) {
		fprintf(stderr, "usage: event_loop SOCKET FOLDER\n");
		return 2;
	}
	folder = open(words[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		die(words[2]);
	listener = listen_at(words[1]);
	loop = epoll_create1(EPOLL_CLOEXEC);
	if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) != 0)
		die("epoll");
	for (int i = 0; i < WORKERS; i++) {
		pthread_t worker;

		errno = pthread_create(&worker, NULL, work, NULL);
		if (errno != 0)
			die("pthread_create");
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (epoll_wait(loop, &event, 1, -1) < 0) {
			if (errno != EINTR)
				die("epoll_wait");
		} else if (event.data.ptr == NULL)
			accept_client(listener);
		else
			read_request(event.data.ptr);
	}
}
