/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What popen_as() does in the child between fork(2) and execve(2), in handlers of
 * pthread_atfork(3): Python code cannot run there safely. If the calls of this build change one
 * thread, the parent thread holds the identity, and core/fork.c makes the child the user. If they
 * change the whole process, the child drops its privileges here. If something fails, the child
 * aborts before it runs the program, and the parent learns why from shared memory.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "native.h"

/* @done: the child has become the user, and runs the program; or it is called off, and ends */
enum { DONE = 1, CALLED_OFF = 2 };

/*
 * Shared with one child, which writes it.
 * @pid: the child's own number; IN_OTHER_NAMESPACE if it is in a new PID namespace, where it has
 *	another one; THE_SERVERS if it was forked outside of the identity
 * @done: 0 at first; whoever sets it first has decided
 * @seen: what find_program() returned
 */
struct outcome {
	pid_t pid;
	int done, step, error, seen;
};

enum { IN_OTHER_NAMESPACE = -1, THE_SERVERS = -2 };

/* Almost always, the thread forks once. A signal handler, a finalizer or an audit hook may fork
 * other children meanwhile, which become the user, too. */
enum { OUTCOMES = 64 };

/*
 * What the calling thread starts at this moment.
 * @flags: enum libreplace_flag
 * @login: the child gets what a login gives: no capability in any set, its own session keyring
 * @home: the working directory, unless the user cannot enter it; NULL keeps the server's
 * @paths: see find_program(); NULL if nobody asks
 * @end: the end of @paths
 * @forks: how many children the thread has forked since
 * @outcomes: one for each of the first children; further ones share the last
 */
struct start {
	struct libreplace_identity user;
	int flags, restore_signals, login, no_new_privs;
	const char *home, *paths, *end;
	unsigned forks;
	struct outcome *outcomes;
};

static _Thread_local struct start *starting;

/* In the parent, before each fork */
static void begin(void)
{
	if (starting != NULL)
		starting->forks++;
}

/* Return: whether this side has decided. */
static int decide(struct outcome *outcome, int done)
{
	int undecided = 0;

	return __atomic_compare_exchange_n(&outcome->done, &undecided, done, 0, __ATOMIC_ACQ_REL,
	                                   __ATOMIC_ACQUIRE);
}

static struct outcome *last_outcome(const struct start *this)
{
	return &this->outcomes[(this->forks < OUTCOMES ? this->forks : OUTCOMES) - 1];
}

/* The user can signal the child, so no handler of the server may run in it. Ignored and blocked
 * signals would stay so in the program. */
static void reset_signals(void)
{
	struct sigaction found, usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &found) == 0 &&
		    (starting->restore_signals || found.sa_handler != SIG_IGN))
			(void)sigaction(number, &usual, NULL);
	if (starting->restore_signals && sigemptyset(&none) == 0)
		(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Say which step failed, and end. @error: errno */
static void give_up(int step, int error)
{
	struct outcome *outcome = last_outcome(starting);

	outcome->step = step;
	outcome->error = error;
	abort();
}

/* In the child, before core/fork.c */
static void forked_first(void)
{
	pid_t pid;

	if (starting == NULL)
		return;
	pid = getppid() == 0 ? IN_OTHER_NAMESPACE : getpid();
	/* an audit hook forks before the entry */
	if (LIBREPLACE_THREAD_SCOPE && libreplace_depth() == 0) {
		pid = THE_SERVERS;
		starting->login = 0;
		starting->no_new_privs = 0;
	}
	__atomic_store_n(&last_outcome(starting)->pid, pid, __ATOMIC_RELEASE);
	native_forbid_tracing();
	reset_signals();
	if (starting->login && native_empty_bounding_set() != 0)
		give_up(LIBREPLACE_STEP_CAPABILITIES, errno);
}

static int drop(struct outcome *outcome)
{
	struct libreplace_drop result;

	if (LIBREPLACE_THREAD_SCOPE ||
	    libreplace_drop_privileges(&starting->user, starting->flags | LIBREPLACE_ALLOW_IO_URING,
	                               &result) == 0)
		return 0;
	outcome->step = result.step;
	outcome->error = result.error;
	return -1;
}

/*
 * The keyring belongs to the user, who is the real user now, and counts as one of the user's keys.
 * The kernel frees the keyrings of ended children some milliseconds late, so a full quota may be
 * empty soon.
 */
static int join_keyring(void)
{
	static const struct timespec pause = {0, 10000000};
	int joined = native_new_keyring();

	for (int attempts = 100; joined < 0 && errno == EDQUOT && attempts > 0; attempts--) {
		nanosleep(&pause, NULL);
		joined = native_new_keyring();
	}
	return joined < 0 ? -1 : 0;
}

/* Become like a process of the user's own login. Ends the child if a step fails. */
static void log_in(void)
{
	/* a user 0 has kept its capabilities until here */
	if (native_has_no_capability() != 0 &&
	    (libreplace_drop_capabilities() != 0 || native_has_no_capability() != 0))
		give_up(LIBREPLACE_STEP_CAPABILITIES, errno);
	if (join_keyring() != 0)
		give_up(LIBREPLACE_STEP_KEYRING, errno);
	if (starting->home != NULL && (*starting->home != '/' || chdir(starting->home) != 0) &&
	    chdir("/") != 0)
		give_up(LIBREPLACE_STEP_VERIFY, errno);
}

/*
 * Find the program as the user. execve(2) fails with EACCES for a program that may not be executed,
 * and also for a path through a folder that the user cannot search. access(2) fails only for the
 * second.
 * @starting->paths are paths that end with a null byte: first one inside the working directory,
 * then each path that subprocess tries. Return: the number of the first of these that exists,
 * counted from 1; -1 if none exists; 0 if the user cannot enter the working directory, or nobody
 * asks.
 */
static int find_program(void)
{
	const char *path = starting->paths;

	if (path == NULL || access(path, F_OK) != 0)
		return 0;
	path += strlen(path) + 1;
	for (int number = 1; path < starting->end; number++, path += strlen(path) + 1)
		if (access(path, F_OK) == 0)
			return number;
	return -1;
}

/* In the child, after core/fork.c */
static void forked_last(void)
{
	struct outcome *outcome;

	if (starting == NULL)
		return;
	outcome = last_outcome(starting);
	native_forbid_tracing(); /* if fs.suid_dumpable is 1, the change of ids has permitted it */
	if (native_reset_priority() != 0)
		give_up(LIBREPLACE_STEP_VERIFY, errno);
	if (drop(outcome) != 0)
		abort();
	if (starting->login)
		log_in();
	if (starting->no_new_privs && native_set_no_new_privs() != 0)
		give_up(LIBREPLACE_STEP_CAPABILITIES, errno);
	outcome->seen = find_program();
	if (!decide(outcome, DONE) && outcome->pid != THE_SERVERS)
		_exit(1);
	starting = NULL; /* the program's own children are its own affair */
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(begin, NULL, forked_first);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int not_installed;

static void install(void)
{
	not_installed = pthread_atfork(NULL, NULL, forked_last);
}

/* Look for what the child with this number has written. */
static struct outcome find(const struct start *this, long pid)
{
	struct outcome none = {.done = 0};

	for (unsigned i = 0; i < this->forks && i < OUTCOMES; i++)
		if (this->outcomes[i].pid == pid ||
		    (this->outcomes[i].pid == IN_OTHER_NAMESPACE && this->forks == 1))
			return this->outcomes[i];
	return none;
}

/*
 * An exception has ended the call. A signal handler may have raised it when fork(2) had returned,
 * but nobody had stored the child's number in @popen.pid. Keep this child from running the program,
 * and store the number, so that the child can be ended. The child tells its number at once, unless
 * it is ended or stopped before; then the number stays unknown.
 */
static void find_lost_child(const struct start *this, PyObject *popen)
{
	static const struct timespec pause = {0, 1000000};
	struct outcome *outcome;
	PyObject *pid = PyObject_GetAttrString(popen, "pid");
	pid_t found = 0;

	if (pid == Py_None && this->forks != 0) {
		outcome = last_outcome(this);
		(void)decide(outcome, CALLED_OFF);
		Py_BEGIN_ALLOW_THREADS
		for (int attempts = 1000; found == 0 && attempts > 0; attempts--) {
			found = __atomic_load_n(&outcome->pid, __ATOMIC_ACQUIRE);
			if (found == 0)
				nanosleep(&pause, NULL);
		}
		Py_END_ALLOW_THREADS
	}
	Py_XDECREF(pid);
	pid = found > 0 ? PyLong_FromLong(found) : NULL;
	if (pid != NULL)
		(void)PyObject_SetAttrString(popen, "pid", pid);
	Py_XDECREF(pid);
	PyErr_Clear();
}

/* Call the function, which starts a process and sets @popen.pid. Return: (the function's result,
 * step, error, seen), or NULL with the function's exception set. The step is 0 if that process may
 * run its program. The error is 0 if the process has not said what failed. */
static PyObject *start(struct start *this, PyObject *popen, PyObject *function)
{
	struct start *outer = starting;
	PyObject *result, *pid, *raised[3];
	struct outcome found = {.done = 0};
	int step = 0;

	starting = this;
	result = PyObject_CallObject(function, NULL);
	starting = outer;
	if (result == NULL) {
		PyErr_Fetch(&raised[0], &raised[1], &raised[2]);
		find_lost_child(this, popen);
		PyErr_Restore(raised[0], raised[1], raised[2]);
		return NULL;
	}
	pid = PyObject_GetAttrString(popen, "pid");
	if (pid != NULL && pid != Py_None)
		found = find(this, PyLong_AsLong(pid));
	Py_XDECREF(pid);
	if (PyErr_Occurred()) {
		Py_DECREF(result);
		return NULL;
	}
	if (found.done != DONE)
		step = found.step ? found.step : LIBREPLACE_STEP_VERIFY;
	return Py_BuildValue("Niii", result, step, step ? found.error : 0, found.seen);
}

/* Return the step and the error that forbid to start the child, or NULL if nothing does. */
static PyObject *forbidden(const struct start *this)
{
	int keeps = this->user.uid != 0 ? native_keeps_capabilities() : 0, can = 1;

	if (keeps != 0)
		return keeps < 0 ? Py_BuildValue("ii", LIBREPLACE_STEP_READ, errno)
		                 : Py_BuildValue("ii", LIBREPLACE_STEP_CAPABILITIES, EPERM);
	if (this->no_new_privs && !native_has_no_new_privs())
		return Py_BuildValue("ii", LIBREPLACE_STEP_REFUSED, ENOSYS);
	if (this->login)
		can = native_can_empty_bounding_set();
	if (can < 0)
		return Py_BuildValue("ii", LIBREPLACE_STEP_READ, errno);
	return can ? NULL : Py_BuildValue("ii", LIBREPLACE_STEP_PRIVILEGE, EPERM);
}

/* Store the bytes of an object, or NULL for None. Return: 1, or 0 with an exception set. */
static int to_bytes(PyObject *object, const char **start, const char **end)
{
	Py_ssize_t size = 0;
	char *bytes = NULL;

	if (object != Py_None && PyBytes_AsStringAndSize(object, &bytes, &size) != 0)
		return 0;
	*start = bytes;
	*end = bytes == NULL ? NULL : bytes + size;
	return 1;
}

/*
 * The handlers of a fork run in the order in which they were installed, and core/fork.c installs
 * its own one when the first guard is made. So forked_last() is installed after a guard was made.
 */
PyObject *native_start_child(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct start this = {.flags = 0};
	LIBREPLACE_GUARD(any, 0);
	PyObject *result;
	const char *groups, *end;

	(void)module;
	if (!native_arity("start_child", count, 11) ||
	    !native_to_id(args[0], &this.user.uid, "uid") ||
	    !native_to_id(args[1], &this.user.gid, "gid") || !to_bytes(args[2], &groups, &end) ||
	    !to_bytes(args[7], &this.home, &this.end) || !to_bytes(args[8], &this.paths, &this.end))
		return NULL; /* an exception is set */
	this.user.size = (size_t)(end - groups) / sizeof(gid_t);
	this.user.groups = (const gid_t *)(const void *)groups;
	this.flags = (int)PyLong_AsLong(args[3]);
	this.restore_signals = PyObject_IsTrue(args[4]);
	this.login = PyObject_IsTrue(args[5]);
	this.no_new_privs = PyObject_IsTrue(args[6]);
	if (PyErr_Occurred())
		return NULL;
	result = forbidden(&this);
	if (result != NULL || PyErr_Occurred())
		return result;
	if (libreplace_guard_init(&any.guard, sizeof any) != 0 ||
	    pthread_once(&once, install) != 0 || not_installed != 0)
		return PyErr_NoMemory();
	this.outcomes = mmap(NULL, OUTCOMES * sizeof *this.outcomes, PROT_READ | PROT_WRITE,
	                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (this.outcomes == MAP_FAILED)
		return PyErr_SetFromErrno(PyExc_OSError);
	result = start(&this, args[9], args[10]);
	munmap(this.outcomes, OUTCOMES * sizeof *this.outcomes);
	return result;
}
