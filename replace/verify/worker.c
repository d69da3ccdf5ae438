/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A second thread, which calls one function after another. It waits in between, so its ids can be
 * looked at before and after the call of another thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "verify.h"

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*function)(void *); /* NULL: nothing to do */
	void *argument;
};

static void *work(void *place)
{
	struct worker *worker = place;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (worker->function == NULL)
			pthread_cond_wait(&worker->changed, &worker->lock);
		worker->function(worker->argument);
		worker->function = NULL;
		pthread_cond_broadcast(&worker->changed);
	}
	return NULL;
}

struct worker *start_worker(void)
{
	struct worker *worker = malloc(sizeof *worker);
	pthread_t thread;
	int error;

	if (worker == NULL)
		not_here("there is no memory");
	worker->function = NULL;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	error = pthread_create(&thread, NULL, work, worker);
	if (error != 0)
		not_here("no second thread can be started: %s", strerror(error));
	return worker;
}

void in_worker(struct worker *worker, void (*function)(void *), void *argument)
{
	pthread_mutex_lock(&worker->lock);
	worker->argument = argument;
	worker->function = function;
	pthread_cond_broadcast(&worker->changed);
	while (worker->function != NULL)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

static void observe_into(void *seen)
{
	*(struct seen *)seen = observe();
}

struct seen observe_worker(struct worker *worker)
{
	struct seen seen;

	in_worker(worker, observe_into, &seen);
	return seen;
}
