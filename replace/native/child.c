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
#include <sys/mman.h>
#include <unistd.h>
#include "native.h"

/*
 * Shared with one child, which writes it.
 * @pid: the child's own number, or 0 if it is in a new PID namespace, where it has another one
 * @done: the child has become the user, and may run the program
 */
struct outcome {
	pid_t pid;
	int done, step, error;
};

/* Almost always, the thread forks once. A signal handler, a finalizer or an audit hook may fork
 * other children meanwhile, which become the user, too. */
enum { OUTCOMES = 64 };

/*
 * What the calling thread starts at this moment.
 * @flags: enum libreplace_flag
 * @forks: how many children the thread has forked since
 * @outcomes: one for each of the first children; further ones share the last
 */
struct start {
	struct libreplace_identity user;
	int flags, restore_signals;
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

/* In the child, before core/fork.c */
static void forked_first(void)
{
	if (starting == NULL)
		return;
	last_outcome(starting)->pid = getppid() == 0 ? 0 : getpid();
	native_forbid_tracing();
	reset_signals();
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

/* In the child, after core/fork.c */
static void forked_last(void)
{
	struct outcome *outcome;

	if (starting == NULL)
		return;
	outcome = last_outcome(starting);
	native_forbid_tracing(); /* if fs.suid_dumpable is 1, the change of ids has permitted it */
	if (native_reset_priority() != 0) {
		outcome->error = errno;
		abort();
	}
	if (drop(outcome) != 0)
		abort();
	outcome->done = 1;
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
		    (this->outcomes[i].pid == 0 && this->forks == 1))
			return this->outcomes[i];
	return none;
}

/* Call the function, which starts a process and sets @popen.pid. Return: (True, step, error), or
 * NULL with the function's exception set. The step is 0 if that process may run its program. The
 * error is 0 if the process has not said what failed. */
static PyObject *start(struct start *this, PyObject *popen, PyObject *function, PyObject *args,
                       PyObject *kwargs)
{
	struct start *outer = starting;
	PyObject *result, *pid;
	struct outcome found;

	starting = this;
	result = PyObject_Call(function, args, kwargs == Py_None ? NULL : kwargs);
	starting = outer;
	if (result == NULL)
		return NULL;
	Py_DECREF(result);
	pid = PyObject_GetAttrString(popen, "pid");
	if (pid == NULL)
		return NULL;
	found = find(this, PyLong_AsLong(pid));
	Py_DECREF(pid);
	if (PyErr_Occurred())
		return NULL;
	if (found.done)
		return Py_BuildValue("Oii", Py_True, 0, 0);
	return Py_BuildValue("Oii", Py_True, found.step ? found.step : LIBREPLACE_STEP_VERIFY,
	                     found.error);
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
	Py_ssize_t size;
	char *groups;
	int keeps;

	(void)module;
	if (!native_arity("start_child", count, 9) ||
	    !native_to_id(args[0], &this.user.uid, "uid") ||
	    !native_to_id(args[1], &this.user.gid, "gid") ||
	    PyBytes_AsStringAndSize(args[2], &groups, &size) != 0)
		return NULL; /* an exception is set */
	this.user.size = (size_t)size / sizeof(gid_t);
	this.user.groups = (const gid_t *)(const void *)groups;
	this.flags = (int)PyLong_AsLong(args[3]);
	this.restore_signals = PyObject_IsTrue(args[4]);
	if (PyErr_Occurred())
		return NULL;
	keeps = this.user.uid != 0 ? native_keeps_capabilities() : 0;
	if (keeps != 0)
		return Py_BuildValue("Oii", Py_False,
		                     keeps < 0 ? LIBREPLACE_STEP_READ
		                               : LIBREPLACE_STEP_CAPABILITIES,
		                     keeps < 0 ? errno : EPERM);
	if (libreplace_guard_init(&any.guard, sizeof any) != 0 ||
	    pthread_once(&once, install) != 0 || not_installed != 0)
		return PyErr_NoMemory();
	this.outcomes = mmap(NULL, OUTCOMES * sizeof *this.outcomes, PROT_READ | PROT_WRITE,
	                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (this.outcomes == MAP_FAILED)
		return PyErr_SetFromErrno(PyExc_OSError);
	result = start(&this, args[5], args[6], args[7], args[8]);
	munmap(this.outcomes, OUTCOMES * sizeof *this.outcomes);
	return result;
}
