/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reproduces the lost wake-up of 2008 on a current kernel; docs/problem.md explains it. The program
 * becomes root, starts a POSIX AIO read that ends with a signal, becomes a user, and waits for the
 * signal. glibc changes one thread after the other, so the AIO helper may already be the user while
 * the waiting thread is still root. (musl holds all threads until the last one has changed.) Before
 * Linux 2.6.35 the helper then had no permission to send the signal. A supervisor applies that old
 * rule to rt_sigqueueinfo(2), through seccomp's user notification. The real kernel does everything
 * else.
 *
 * usage: lost_wakeup ours|libc OPERATIONS IDLE_THREADS [native]
 *        lost_wakeup bleed ours|libc SWITCHES
 * Prints one line of JSON. As root, Linux 5.5 or newer.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <libreplace/replace.h>

enum { USER = 80001 };
enum { CAP_KILL_BIT = 5 };

static int (*switch_to)(uid_t, uid_t, uid_t);

struct shared {
	atomic_int listener; /* descriptor of the filter; -1 until it exists */
	atomic_int denied;   /* number of signals that the supervisor refused */
	int ok, lost;
};

static void die(const char *call)
{
	perror(call);
	exit(1);
}

/* ---- The operations */

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Wait until the signal came or was denied. The limit of at least ten seconds only detects a hang.
 */
static int is_woken(const sigset_t *set, atomic_int *denied, int denied_before)
{
	struct timespec moment = {0, 1000 * 1000};

	for (int i = 0; i < 10000; i++) {
		if (sigtimedwait(set, NULL, &moment) > 0)
			return 1;
		if (atomic_load(denied) != denied_before)
			return 0;
	}
	return 0;
}

static void operate(struct shared *shared, int operations, int threads)
{
	struct timespec once = {0, 0};
	int zero = open("/dev/zero", O_RDONLY);
	struct aiocb request;
	pthread_t thread;
	char byte;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, idle, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < operations; i++) {
		int denied = atomic_load(&shared->denied);

		if (switch_to(0, 0, (uid_t)-1) != 0)
			die("become root");
		memset(&request, 0, sizeof request);
		request.aio_fildes = zero;
		request.aio_buf = &byte;
		request.aio_nbytes = 1;
		request.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
		request.aio_sigevent.sigev_signo = SIGRTMIN + 5;
		if (aio_read(&request) != 0)
			die("aio_read");
		if (switch_to(USER, USER, (uid_t)-1) != 0)
			die("become the user");
		if (is_woken(&set, &shared->denied, denied))
			shared->ok++;
		else
			shared->lost++;
		while (aio_error(&request) == EINPROGRESS)
			nanosleep(&once, NULL);
		aio_return(&request);
	}
}

static int install_filter(void)
{
	struct sock_filter lines[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigqueueinfo, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof lines / sizeof *lines, lines};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                    &program);
}

/* ---- The supervisor */

struct ids {
	unsigned r, e, s;
	unsigned long long capabilities;
};

static int read_ids(int tid, struct ids *ids)
{
	char path[64], line[256];
	FILE *file;
	int found = 0;

	snprintf(path, sizeof path, "/proc/%d/status", tid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		found += sscanf(line, "Uid: %u %u %u", &ids->r, &ids->e, &ids->s) == 3;
		found += sscanf(line, "CapEff: %llx", &ids->capabilities) == 1;
	}
	if (file != NULL)
		fclose(file);
	return found == 2 ? 0 : -1;
}

/* check_kill_permission() in kernel/signal.c before 2.6.35, without an exception for signals inside
 * one process. */
static int old_rule(const struct ids *sender, const struct ids *target)
{
	return sender->e == target->s || sender->e == target->r || sender->r == target->s ||
	       sender->r == target->r || (sender->capabilities >> CAP_KILL_BIT & 1) != 0;
}

static void supervise(int listener, atomic_int *denied)
{
	for (;;) {
		struct pollfd ready = {listener, POLLIN, 0};
		struct seccomp_notif request;
		struct seccomp_notif_resp answer;
		struct ids sender, target;

		if (poll(&ready, 1, -1) < 0 || !(ready.revents & POLLIN))
			return;
		memset(&request, 0, sizeof request);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
			continue;
		memset(&answer, 0, sizeof answer);
		answer.id = request.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (read_ids((int)request.pid, &sender) == 0 &&
		    read_ids((int)request.data.args[0], &target) == 0 &&
		    !old_rule(&sender, &target)) {
			answer.flags = 0;
			answer.error = -EPERM;
		}
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 && answer.error != 0)
			atomic_fetch_add(denied, 1);
	}
}

static int wakeups(const char *mode, int operations, int threads, int native)
{
	struct shared *shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t child;

	atomic_store(&shared->listener, -1);
	/* share the table of descriptors, so that the parent can use the child's listener */
	child = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_FILES, NULL, NULL, NULL, NULL);
	if (child == 0) {
		int listener = native ? 0 : install_filter();

		atomic_store(&shared->listener, listener < 0 ? -errno - 1 : listener);
		if (listener >= 0)
			operate(shared, operations, threads);
		_exit(listener < 0);
	}
	while (atomic_load(&shared->listener) == -1)
		usleep(100);
	if (!native && atomic_load(&shared->listener) >= 0)
		supervise(atomic_load(&shared->listener), &shared->denied);
	if (waitpid(child, &status, 0) != child || status != 0)
		return 1;
	printf("{\"mode\": \"%s\", \"rule\": \"%s\", \"threads\": %d, \"ok\": %d, \"lost\": %d, "
	       "\"denied\": %d}\n",
	       mode, native ? "this kernel's" : "that of 2008", threads, shared->ok, shared->lost,
	       atomic_load(&shared->denied));
	return 0;
}

/* ---- Effects on current kernels: interrupted sleeps, and ids that change in other threads */

static atomic_int stop;
static atomic_long interrupted[2], readings, wrong;

static void *sleeper(void *which)
{
	struct timespec long_time = {3600, 0};

	while (!atomic_load(&stop)) {
		int result =
		    which == NULL ? poll(NULL, 0, 3600 * 1000) : nanosleep(&long_time, NULL);

		if (result < 0 && errno == EINTR && !atomic_load(&stop))
			atomic_fetch_add(&interrupted[which != NULL], 1);
	}
	return NULL;
}

static void *reader(void *unused)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&readings, 1);
		if (syscall(SYS_geteuid) != 0)
			atomic_fetch_add(&wrong, 1);
	}
	return unused;
}

static void wake(int signal)
{
	(void)signal;
}

static int bleed(const char *mode, int switches)
{
	struct sigaction action = {.sa_handler = wake};
	pthread_t threads[3];

	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&threads[0], NULL, sleeper, NULL);
	pthread_create(&threads[1], NULL, sleeper, &stop);
	pthread_create(&threads[2], NULL, reader, NULL);
	usleep(20000);
	for (int i = 0; i < switches; i++)
		if (switch_to((uid_t)-1, USER, (uid_t)-1) != 0 ||
		    switch_to((uid_t)-1, 0, (uid_t)-1) != 0)
			die("switch");
	atomic_store(&stop, 1);
	for (int i = 0; i < 3; i++) {
		pthread_kill(threads[i], SIGUSR1);
		pthread_join(threads[i], NULL);
	}
	printf("{\"mode\": \"%s\", \"switches\": %d, \"poll_eintr\": %ld, \"sleep_eintr\": %ld, "
	       "\"readings\": %ld, \"wrong\": %ld}\n",
	       mode, switches, interrupted[0], interrupted[1], readings, wrong);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 && strcmp(argv[1], "bleed") == 0 ? argv[2] : argv[1];

	if (argc < 4 || geteuid() != 0) {
		fputs("usage: lost_wakeup ours|libc OPERATIONS IDLE_THREADS [native], as root\n",
		      stderr);
		return 77;
	}
	switch_to = strcmp(mode, "ours") == 0 ? libreplace_setresuid : setresuid;
	if (mode == argv[2])
		return bleed(mode, atoi(argv[3]));
	return wakeups(mode, atoi(argv[2]), atoi(argv[3]), argc > 4);
}
