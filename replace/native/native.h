/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What module.c (the module and its calls) and guard_type.c (the type) share; not installed.
 */
#ifndef LIBREPLACE_NATIVE_H
#define LIBREPLACE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <libreplace/replace.h>

enum {
	LONG_LIST =
	    1024, /* groups; for longer lists the GIL is released (65 536 take the kernel 25 ms) */
	MAX_GROUPS = 65536 /* NGROUPS_MAX of Linux; the kernel has the last word */
};

/*
 * The module's own. setup() stores what Python gives the guard to call:
 * @before: before(identity), which raises if the entry is refused
 * @loops: names of modules; @before is called only if one of them has been imported
 * @failure: failure(errno, identity, step, state) -> the exception to raise
 * @audit: sys.audit, which is told of the events @entering and @leaving
 */
struct native_state {
	PyTypeObject *guard;
	PyObject *before, *loops, *failure, *audit;
	PyObject *entering, *leaving;
};

/*
 * The GIL is kept around raw setters, which never block: with 4 busy threads a switch there and
 * back costs 58 us this way and 31 ms the other. libc's calls wait for other threads.
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

/* Whether a function got as many arguments as it takes; else an exception is set. */
int native_arity(const char *name, Py_ssize_t given, Py_ssize_t wanted);
/* Store an id of this kind ("uid", "gid"). Return: 1, or 0 with an exception set. */
int native_to_id(PyObject *object, unsigned *id, const char *kind);
/*
 * Whether fakeroot(1) answers in place of libc. Its library is asked for, since its environment
 * variables are also there in children that run without it.
 */
int native_fakeroot_is_loaded(void);
/* None for 0, else OSError of errno. errno must still be that of the call. */
PyObject *native_nothing(int result);
/* A tuple of ids. */
PyObject *native_ids(Py_ssize_t count, const unsigned *values);

/* guard_type.c */

extern PyType_Spec native_guard_spec;
PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
