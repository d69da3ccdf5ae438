/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Which threads are counted as switched: a thread that enters and leaves while it ends, a thread
 * that ends while it is switched, more threads than threads.c has places for, and threads that
 * /proc shows under other ids. unload.c has the end of a thread after the library was unloaded.
 *
 * With an argument, only the cases that Valgrind and QEMU's emulators support. In an emulator,
 * pthread_join(3) returns before the kernel's thread ends.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include "cases.h"

enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS, CROWD = 1100 };

/* Enter or leave, and check that the library counts the thread only while it holds the entry. */
static void toggle(entry *held)
{
	if (libreplace_depth() == 0)
		MUST(libreplace_enter(fresh(held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	else
		MUST(libreplace_leave(&held->guard) == 0);
}

static int is_emulated;

/* Return the lowest free file descriptor. */
static int lowest_descriptor(void)
{
	int file = open("/", O_RDONLY);

	MUST(file >= 0 && close(file) == 0);
	return file;
}

static void must_be_counted(unsigned number)
{
	int file = lowest_descriptor();

	while (is_emulated && libreplace_active() != number)
		sched_yield();
	MUST(libreplace_active() == number);
	if (number > 0) {
		MUST(libreplace_drop_begin() == -1 && errno == EBUSY);
	} else {
		MUST(libreplace_drop_begin() == 0);
		libreplace_drop_end();
	}
	MUST(lowest_descriptor() == file);
}

/* A thread with a destructor of each of two keys. The destructors run in every round. Bit i of
 * @toggles says whether the i-th call of a destructor enters or leaves, the last bit whether the
 * thread does so before it ends. */
struct ending {
	unsigned toggles;
	unsigned calls[2];
	entry *held;
	pthread_barrier_t *last_call;
};

static pthread_key_t keys[2]; /* made before and after the constructors of the library */

static void destroy(struct ending *ending, int key)
{
	unsigned call = ending->calls[key]++ * 2 + (unsigned)key;

	if (ending->toggles >> call & 1)
		toggle(ending->held);
	must_be_counted(libreplace_depth());
	MUST(pthread_setspecific(keys[key], ending) == 0);
	if (ending->last_call != NULL && call == 2 * ROUNDS - 1) {
		pthread_barrier_wait(ending->last_call);
		pthread_barrier_wait(ending->last_call);
	}
}

static void destroy_earlier(void *ending)
{
	destroy(ending, 0);
}

static void destroy_later(void *ending)
{
	destroy(ending, 1);
}

__attribute__((constructor(101))) static void make_earlier_key(void)
{
	MUST(pthread_key_create(&keys[0], destroy_earlier) == 0);
}

static void *end_with_destructors(void *argument)
{
	struct ending *ending = argument;

	MUST(pthread_setspecific(keys[0], ending) == 0);
	MUST(pthread_setspecific(keys[1], ending) == 0);
	if (ending->toggles >> 2 * ROUNDS & 1)
		toggle(ending->held);
	return NULL;
}

static void destructors_enter_and_leave_in_every_order(void)
{
	static struct ending ending;
	static entry held;
	pthread_t thread;

	MUST(pthread_key_create(&keys[1], destroy_later) == 0);
	for (unsigned toggles = 0; toggles < 2U << 2 * ROUNDS; toggles++) {
		ending = (struct ending){.toggles = toggles, .held = &held};
		MUST(pthread_create(&thread, NULL, end_with_destructors, &ending) == 0);
		MUST(pthread_join(thread, NULL) == 0);
		MUST(ending.calls[0] == ROUNDS && ending.calls[1] == ROUNDS);
		must_be_counted(0);
	}
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void thread_is_counted_until_its_last_destructor_returns(void)
{
	static struct ending ending;
	static entry held;
	pthread_barrier_t last_call;
	pthread_t thread;

	MUST(pthread_key_create(&keys[1], destroy_later) == 0);
	MUST(pthread_barrier_init(&last_call, NULL, 2) == 0);
	/* it enters before it ends, or in its last destructor */
	for (unsigned when = 2 * ROUNDS; when >= 2 * ROUNDS - 1; when--) {
		ending =
		    (struct ending){.toggles = 1U << when, .held = &held, .last_call = &last_call};
		MUST(pthread_create(&thread, NULL, end_with_destructors, &ending) == 0);
		pthread_barrier_wait(&last_call);
		must_be_counted(1);
		pthread_barrier_wait(&last_call);
		MUST(pthread_join(thread, NULL) == 0);
		must_be_counted(0);
	}
}

static void *end_while_switched(void *held)
{
	toggle(held);
	return NULL;
}

static void end_a_switched_thread(void)
{
	static entry held;
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, end_while_switched, &held) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

/* More threads than the table has places end while they are switched. */
static void drop_frees_the_places_of_ended_threads(void)
{
	for (int i = 0; i < (is_emulated ? 20 : CROWD); i++) {
		end_a_switched_thread();
		must_be_counted(0);
	}
}

static pthread_barrier_t all_entered, may_leave;

static void *wait_while_switched(void *unused)
{
	entry held;

	toggle(&held);
	pthread_barrier_wait(&all_entered);
	pthread_barrier_wait(&may_leave);
	toggle(&held);
	return unused;
}

static void hang(int number)
{
	_exit(number);
}

/* Run @body in a forked child. The first process of a PID namespace does not get signals without a
 * handler, so the alarm needs one. */
static void in_limited_child(void (*body)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGALRM, hang);
		alarm(HANG);
		body();
		exit(0);
	}
	MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void nobody_must_be_counted(void)
{
	must_be_counted(0);
	end_a_switched_thread();
	must_be_counted(0);
}

static void each_thread_of_a_crowd_is_counted(void)
{
	static pthread_t threads[CROWD];
	pthread_attr_t small;

	MUST(pthread_barrier_init(&all_entered, NULL, CROWD + 1) == 0);
	MUST(pthread_barrier_init(&may_leave, NULL, CROWD + 1) == 0);
	MUST(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 1 << 17) == 0);
	for (int i = 0; i < CROWD; i++)
		MUST(pthread_create(&threads[i], &small, wait_while_switched, NULL) == 0);
	pthread_barrier_wait(&all_entered);
	must_be_counted(CROWD);
	in_limited_child(nobody_must_be_counted);
	pthread_barrier_wait(&may_leave);
	for (int i = 0; i < CROWD; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	nobody_must_be_counted();
}

static void *count_with_pending_cancellation(void *has_counted)
{
	entry held;
	unsigned number;
	int state;

	toggle(&held);
	MUST(pthread_cancel(pthread_self()) == 0);
	number = libreplace_active(); /* opens files, which is a cancellation point */
	MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0);
	*(int *)has_counted = number == 1 && state == PTHREAD_CANCEL_ENABLE;
	toggle(&held);
	MUST(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0);
	pthread_testcancel();
	return NULL;
}

static void cancellation_waits_until_the_threads_are_counted(void)
{
	int has_counted = 0;
	void *result;
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, count_with_pending_cancellation, &has_counted) == 0);
	MUST(pthread_join(thread, &result) == 0 && has_counted);
	MUST(result == PTHREAD_CANCELED);
	must_be_counted(0);
}

static void child_without_fork_handlers_cannot_drop(void)
{
	static entry held;
	int status = 0;
	long child;

	must_be_counted(0);
	toggle(&held);
	child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* as _Fork(3) */
	if (child == 0) {
		if (libreplace_active() != 1 || libreplace_drop_begin() == 0)
			_exit(1);
		_exit(0);
	}
	MUST(waitpid((pid_t)child, &status, 0) == child && status == 0);
	toggle(&held);
	must_be_counted(0);
}

/* ---- In a PID namespace of its own, a process chooses the ids of its threads. */

static int may_choose_ids; /* /proc/sys/kernel/ns_last_pid can be written */

/* Let the next thread or process of this namespace get this id. */
static void choose_next_id(long id)
{
	FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");

	MUST(last != NULL && fprintf(last, "%ld", id - 1) > 0 && fclose(last) == 0);
}

/* Wait until the kernel has forgotten a thread that has ended. */
static void wait_until_free(long id)
{
	while (syscall(SYS_tgkill, getpid(), id, 0) == 0)
		sched_yield();
}

static long own_id(void)
{
	return syscall(SYS_gettid);
}

/* Run @body in a PID namespace. Its /proc is that of the outer namespace. */
static void in_pid_namespace(void (*body)(void))
{
	may_choose_ids = access("/proc/sys/kernel/ns_last_pid", W_OK) == 0;
	if (!may_choose_ids || unshare(CLONE_NEWPID) != 0)
		printf("# thread ids cannot be chosen here\n");
	else
		in_limited_child(body);
}

static void *check_id(void *id)
{
	MUST(own_id() == *(long *)id);
	must_be_counted(0);
	return NULL;
}

static void *end_with_id(void *place)
{
	static entry held;

	*(long *)place = own_id();
	return end_while_switched(&held);
}

/* A thread gets the id of a thread that ended while it was switched. */
static void use_id_again(void)
{
	pthread_t thread;
	long id = 0;

	MUST(pthread_create(&thread, NULL, end_with_id, &id) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	wait_until_free(id);
	must_be_counted(0);
	choose_next_id(id);
	MUST(pthread_create(&thread, NULL, check_id, &id) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

static void thread_is_not_taken_for_an_ended_one_with_the_same_id(void)
{
	in_pid_namespace(use_id_again);
}

static int pipe_to_child[2];
static long id_in_parent;

static void *wait_with_id(void *unused)
{
	id_in_parent = own_id();
	return wait_while_switched(unused);
}

static void use_id_of_the_parent(void)
{
	pthread_t thread;
	char byte;

	MUST(read(pipe_to_child[0], &byte, 1) == 1);
	choose_next_id(id_in_parent);
	MUST(pthread_create(&thread, NULL, check_id, &id_in_parent) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

/* A child's thread gets the id that a thread of the parent had during the fork. */
static void use_id_in_child(void)
{
	int status = 0;
	pthread_t thread;
	pid_t child;

	MUST(pipe(pipe_to_child) == 0);
	MUST(pthread_barrier_init(&all_entered, NULL, 2) == 0);
	MUST(pthread_barrier_init(&may_leave, NULL, 2) == 0);
	MUST(pthread_create(&thread, NULL, wait_with_id, NULL) == 0);
	pthread_barrier_wait(&all_entered);
	MUST((child = fork()) >= 0);
	if (child == 0) {
		use_id_of_the_parent();
		exit(0);
	}
	pthread_barrier_wait(&may_leave);
	MUST(pthread_join(thread, NULL) == 0);
	wait_until_free(id_in_parent);
	MUST(write(pipe_to_child[1], "", 1) == 1);
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void thread_is_not_taken_for_one_of_the_parent(void)
{
	in_pid_namespace(use_id_in_child);
}

/* In a forked child of musl 1.2.3, the initial thread keeps a lock of musl when it ends. */
#ifdef __GLIBC__

/* The initial thread stays a zombie after its end, so the kernel still knows its id. */
static pthread_t initial;

static void *check_after_the_initial_thread(void *unused)
{
	(void)unused;
	MUST(pthread_join(initial, NULL) == 0);
	/* In glibc 2.43, the join can return before the kernel's thread ends. */
	while (libreplace_active() != 0)
		sched_yield();
	must_be_counted(0);
	exit(0);
}

static void end_initial_thread(void)
{
	static entry held;
	pthread_t other;

	initial = pthread_self();
	toggle(&held);
	must_be_counted(1);
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(pthread_create(&other, NULL, check_after_the_initial_thread, NULL) == 0);
	toggle(&held);
	pthread_exit(NULL);
}

static void ended_initial_thread_is_not_counted(void)
{
	in_limited_child(end_initial_thread);
}

static void *check_while_switched(void *id)
{
	entry held;

	MUST(own_id() == *(long *)id && pthread_join(initial, NULL) == 0);
	toggle(&held);
	must_be_counted(1);
	toggle(&held);
	exit(0);
}

/* This /proc shows the initial thread, which has ended, under an id that a running thread has in
 * this namespace. */
static void use_id_of_another_namespace(void)
{
	static long id;
	char path[32] = "";
	pthread_t thread;

	MUST(readlink("/proc/self", path, sizeof path - 1) > 0);
	id = atol(path);
	MUST(id > 1);
	initial = pthread_self();
	choose_next_id(id);
	MUST(pthread_create(&thread, NULL, check_while_switched, &id) == 0);
	pthread_exit(NULL);
}

static void thread_is_not_taken_for_one_of_another_namespace(void)
{
	in_pid_namespace(use_id_of_another_namespace);
}

#endif

int main(int argc, char **argv)
{
	int failed = 0;

	(void)argv;
	is_emulated = argc > 1;
	needs_root();
	needs_proc();
	RUN(destructors_enter_and_leave_in_every_order);
	RUN(thread_is_counted_until_its_last_destructor_returns);
	RUN(drop_frees_the_places_of_ended_threads);
	RUN(cancellation_waits_until_the_threads_are_counted);
	RUN(child_without_fork_handlers_cannot_drop);
	if (is_emulated)
		return failed != 0;
	RUN(each_thread_of_a_crowd_is_counted);
	RUN(thread_is_not_taken_for_an_ended_one_with_the_same_id);
	RUN(thread_is_not_taken_for_one_of_the_parent);
#ifdef __GLIBC__
	RUN(ended_initial_thread_is_not_counted);
	RUN(thread_is_not_taken_for_one_of_another_namespace);
#endif
	return failed != 0;
}
