/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Declarations that the files of native/ share; not installed. module.c has the module and most of
 * its functions. guard_type.c has the type Guard, and frame.c looks at the code that enters.
 * impersonated_type.c has the iterators of impersonated(). open_beneath.c opens files, peer_linux.c
 * reads the peer of a socket, ring_type.c has the type Ring, and child.c changes a child of
 * popen_as(). pool.c and thread_state_linux.c are for the workers of a pool. convert.c converts
 * arguments and results.
 */
#ifndef LIBREPLACE_NATIVE_H
#define LIBREPLACE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <libreplace/replace.h>

/*
 * @LONG_LIST: for more groups than this, release the GIL; the kernel needs 25 ms for 65536 groups
 * @MAX_GROUPS: NGROUPS_MAX of Linux; a kernel may accept fewer groups
 */
enum { LONG_LIST = 1024, MAX_GROUPS = 65536 };

/* CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of cpython/code.h: code that can pause, and
 * that another thread may resume. The limited API does not have these constants. */
enum { NATIVE_LAZY_CODE = 0x20 | 0x80 | 0x200 };

/*
 * The state of the module. setup() stores the functions that a guard calls:
 * @before: before(identity) raises if __enter__() is refused in this thread
 * @before_call: before_call(identity) does the same for run(), which leaves before it returns
 * @loops: names of modules; a guard calls @before and @before_call only if one of them is imported
 * @lazy_frame: lazy_frame(identity, co_flags) -> the exception for an entry by a generator or
 *	coroutine
 * @await_refused: await_refused() -> the exception for `async with`
 * @failure: failure(errno, identity, step, state, thread that entered) -> the exception to raise
 * @audit: sys.audit, called with the events @entering and @leaving
 * @modules: sys.modules; during the exit of the interpreter, PyImport_GetModuleDict() ends the
 * process
 * @plain: the code of the last caller that was a plain function, which need not be looked at again
 *
 * setup_impersonated() stores what the iterators of impersonated() use:
 * @generator: the type of generators
 * @is_over: is_over(iterator) -> whether nothing in an iterator that came to its end can still run
 * @clear_locals: clear_locals(exception, outer exception) clears the frames of a traceback
 * @reduce: reduce(identity, iterable, options) -> the result of __reduce__()
 * @start: start(iterator) calls finish(iterator) in a new thread
 * @abandoned: abandoned(identity, description, error, earlier error) -> the exception that reports
 * it
 */
struct native_state {
	PyTypeObject *guard, *impersonated;
	PyObject *before, *before_call, *loops, *lazy_frame, *await_refused, *failure, *audit;
	PyObject *generator, *is_over, *clear_locals, *reduce, *start, *abandoned;
	PyObject *modules, *entering, *leaving;
	PyObject *co_flags, *f_globals, *f_back, *name; /* names of attributes */
	PyObject *plain;
	PyObject *pop, *put, *task, *wake; /* names of attributes, for claim() */
};

/*
 * Run a statement, and release the GIL around it if it may block. Raw setters never block, so they
 * keep the GIL: while 4 other threads are busy, entering and leaving takes 58 us with the GIL, and
 * 31 ms if it is released. libc's setters wait for other threads.
 */
#define UNLOCKED_IF(blocks, statement)                                                             \
	do {                                                                                       \
		if (blocks) {                                                                      \
			Py_BEGIN_ALLOW_THREADS                                                     \
			statement;                                                                 \
			Py_END_ALLOW_THREADS                                                       \
		} else {                                                                           \
			statement;                                                                 \
		}                                                                                  \
	} while (0)

/* convert.c */

/* Whether a function got the right number of arguments; if not, an exception is set. */
int native_arity(const char *name, Py_ssize_t given, Py_ssize_t wanted);
/* Convert an object to an id; @kind is "uid" or "gid", for messages. Return: 1, or 0 with an
 * exception set. */
int native_to_id(PyObject *object, unsigned *id, const char *kind);
/*
 * Whether the library of fakeroot(1) is loaded, which replaces libc's calls. fakeroot's environment
 * variables prove nothing: children that run without the library inherit them, too.
 */
int native_fakeroot_is_loaded(void);
/* Return None if @result, the result of a call, is 0. Otherwise set OSError from errno, which must
 * still have the value that the call set. */
PyObject *native_nothing(int result);
/* Return a tuple of ids. */
PyObject *native_ids(Py_ssize_t count, const unsigned *values);

/* guard_type.c */

extern PyType_Spec native_guard_spec;
/* The functions make() and run() of the module. */
PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count);

/*
 * What a guard needs to enter:
 * @identity: an Identity
 * @groups: its groups, as bytes
 * @level: enum libreplace_level
 * @flags: enum libreplace_flag
 */
struct native_entry {
	PyObject *identity, *groups;
	uid_t uid;
	gid_t gid;
	int level, flags;
};

/* Convert the arguments (identity, uid, gid, groups, level, flags); the references are borrowed.
 * Return: 1, or 0 with an exception set. */
int native_to_entry(PyObject *const *args, struct native_entry *entry);
/* Return a new Guard, or NULL with an exception set. */
PyObject *native_new_guard(struct native_state *state, const struct native_entry *entry,
                           int across_yield);
/* Enter for a call that leaves before it returns. Return: 0, or -1 with an exception set. */
int native_enter(PyObject *guard);
/* Leave, after a call that returned @result or raised the exception that is set. Return: @result,
 * or NULL with an exception set if leaving failed. */
PyObject *native_leave(PyObject *guard, PyObject *result);
/* After native_enter() failed: whether another thread is changing the ids of the whole process. */
int native_is_busy(PyObject *guard);
/* After native_enter() failed: whether this place in the program is the reason, so that another
 * thread, or a later attempt, may succeed. */
int native_is_refused_here(PyObject *guard);
/*
 * Call a function after an exception was raised. As in an except block, that exception is the one
 * being handled. So the interpreter makes it the context of an exception that the function raises,
 * and makes no cycle if the function raises the same exception again. If the function raises none,
 * the first exception is set again.
 */
void native_after_error(void (*call)(void *), void *argument);

/* impersonated_type.c */

extern PyType_Spec native_impersonated_spec;
/* The functions make_impersonated(), finish() and closing() of the module. */
PyObject *native_make_impersonated(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_finish(PyObject *module, PyObject *iterator);
PyObject *native_closing(PyObject *module, PyObject *last);

/* child.c */

/*
 * The function start_child() of the module: call a function that starts a process. The children
 * that the calling thread forks meanwhile do not inherit what a user's program must not have, and
 * become the user if the calls of this build change the whole process.
 */
PyObject *native_start_child(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* child_linux.c or child_none.c */

/* Whether a set-user-ID program that gives root up would keep root's capabilities: in this thread,
 * and in every process that it starts. Return: -1 with errno set if nobody can tell. */
int native_keeps_capabilities(void);

/* Whether the calling thread's children can empty their bounding set: it has CAP_SETPCAP, or its
 * own set is empty. Return: -1 with errno set if nobody can tell. */
int native_can_empty_bounding_set(void);
/* Whether this system has PR_SET_NO_NEW_PRIVS. */
int native_has_no_new_privs(void);

/* The other functions are for a forked child. Those with a result return 0, or -1 with errno set.
 */

/* Keep the user from tracing the child, and from reading its memory, until it runs a program. */
void native_forbid_tracing(void);
/* Give up real-time scheduling and a nice value below 0, as SCHED_RESET_ON_FORK does. */
int native_reset_priority(void);
/* Empty the bounding set, before the child loses CAP_SETPCAP. */
int native_empty_bounding_set(void);
/* Check that no capability is left in any set: effective, permitted, inheritable, ambient,
 * bounding. */
int native_has_no_capability(void);
/* From now on, no program gets privileges by execve(2). */
int native_set_no_new_privs(void);

/* frame.c */

/*
 * Return the co_flags of the code that calls __enter__(), or -1 with an exception set. Skips frames
 * of contextlib, so that the caller of ExitStack.enter_context() is found. A call from C without
 * any frame counts as a plain function.
 */
long native_flags_of_caller(struct native_state *state);

/* pool.c */

PyObject *native_claim(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* open_beneath.c */

extern const char native_open_beneath_doc[];
PyObject *native_open_beneath(PyObject *module, PyObject *args, PyObject *kwargs);

/* ring_type.c */

extern PyType_Spec native_ring_spec;

/* peer_linux.c or peer_none.c */

/*
 * The function peer() of the module. The argument is a connected Unix socket: an object with
 * fileno(). Returns (uid, gid, groups) of the process that created the other end. groups is bytes,
 * an array of gid_t, or None if the headers or the kernel lack SO_PEERGROUPS. Raises an exception
 * for every other socket. Source: unix(7), socket(7), sk_getsockopt() in net/core/sock.c.
 */
PyObject *native_peer(PyObject *module, PyObject *socket);

/* thread_state_linux.c or thread_state_none.c: what a thread keeps besides its ids */

/*
 * thread_settings() and restore_settings(settings): the signal mask, the name, the locale and the
 * floating point environment of the calling thread, as opaque bytes.
 */
PyObject *native_thread_settings(PyObject *module, PyObject *unused);
PyObject *native_restore_settings(PyObject *module, PyObject *settings);
/*
 * thread_state(): lines of text, as bytes to compare, about all other settings that belong to one
 * thread. Raises OSError if one of them cannot be read, although a task may have changed it.
 */
PyObject *native_thread_state(PyObject *module, PyObject *unused);
/*
 * join_keyring(): give the thread a new session keyring without a name. Returns the serial numbers
 * of its thread keyring and process keyring (0: it has none), and its default keyring for
 * request_key(2). Returns None if keyctl(2) is refused. Source: keyrings(7), keyctl(2).
 */
PyObject *native_join_keyring(PyObject *module, PyObject *unused);
/* Do the same without Python's objects, so that a forked child may call it. Return: 1; 0 if
 * keyctl(2) is refused, by a filter or by a kernel without keyrings; -1 with errno set. */
int native_new_keyring(void);

#endif
