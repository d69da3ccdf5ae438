/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the files of native/ share; not installed. module.c has the module and its functions,
 * guard_type.c the type Guard, frame.c who enters one, open_beneath.c a function, peer_linux.c who
 * is at the other end of a socket, convert.c the conversions.
 */
#ifndef LIBREPLACE_NATIVE_H
#define LIBREPLACE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <libreplace/replace.h>

/*
 * @LONG_LIST: for more groups than these the GIL is released; 65536 groups take the kernel 25 ms
 * @MAX_GROUPS: NGROUPS_MAX of Linux; a kernel may accept fewer
 */
enum { LONG_LIST = 1024, MAX_GROUPS = 65536 };

/* CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of cpython/code.h, which the limited API does
 * not have: code that stops in the middle, and that another thread may resume. */
enum { NATIVE_LAZY_CODE = 0x20 | 0x80 | 0x200 };

/*
 * The module's own. setup() stores what Python gives the guard to call:
 * @before: before(identity), which raises if __enter__() is refused in this thread
 * @before_call: the same for run(), which leaves before it returns
 * @loops: names of modules; the two are called only if one of them has been imported
 * @lazily: lazily(identity, co_flags) -> the exception for an entry by a generator or coroutine
 * @failure: failure(errno, identity, step, state, thread that entered) -> the exception to raise
 * @audit: sys.audit, which is told of the events @entering and @leaving
 */
struct native_state {
	PyTypeObject *guard;
	PyObject *before, *before_call, *loops, *lazily, *failure, *audit;
	PyObject *entering, *leaving;
	PyObject *co_flags, *f_globals, *f_back, *name; /* of attributes */
};

/*
 * Run a statement, and release the GIL around it if it may block. Raw setters never block, so they
 * keep it: beside 4 busy threads a switch there and back costs 58 us with the GIL and 31 ms
 * without. libc's setters wait for other threads.
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

/* Whether a function got as many arguments as it wants; if not, an exception is set. */
int native_arity(const char *name, Py_ssize_t given, Py_ssize_t wanted);
/* Convert an object to an id; @kind is "uid" or "gid", for messages. Return: 1, or 0 with an
 * exception set. */
int native_to_id(PyObject *object, unsigned *id, const char *kind);
/*
 * Whether fakeroot(1) answers in place of libc. This looks for its library, because children that
 * run without the library inherit the environment variables too.
 */
int native_fakeroot_is_loaded(void);
/* Return None if a call returned 0. Otherwise set OSError from errno, which must still be the
 * call's. */
PyObject *native_nothing(int result);
/* Return a tuple of ids. */
PyObject *native_ids(Py_ssize_t count, const unsigned *values);

/* guard_type.c */

extern PyType_Spec native_guard_spec;
/* The functions make() and run() of the module. */
PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* frame.c */

/*
 * What the code is whose frame calls __enter__(): its co_flags, or -1 with an exception set. Frames
 * of contextlib are passed over, so that ExitStack.enter_context() is seen as the one who calls it.
 * A call from C without any frame is a plain function's.
 */
long native_flags_of_caller(struct native_state *state);

/* open_beneath.c */

extern const char native_open_beneath_doc[];
PyObject *native_open_beneath(PyObject *module, PyObject *args, PyObject *kwargs);

/* peer_linux.c or peer_none.c */

/*
 * The function peer() of the module: (uid, gid, groups) of the process that made the other end of a
 * connected Unix socket, given as an object with fileno(). groups: bytes, each group a gid_t, or
 * None if the headers or the kernel lack SO_PEERGROUPS. Every other socket is refused. Source:
 * unix(7), socket(7), sk_getsockopt() in net/core/sock.c.
 */
PyObject *native_peer(PyObject *module, PyObject *socket);

#endif
