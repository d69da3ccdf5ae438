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

/* From here on a list takes the kernel so long that other Python threads may run (25 ms at 65 536).
 */
enum {
	LONG_LIST = 1024,
	MAX_GROUPS = 65536 /* NGROUPS_MAX of Linux; the kernel has the last word */
};

struct native_state {
	PyTypeObject *guard;
	PyObject
	    *before;     /* before(identity): raises what refuses the entry; asked only if one of */
	PyObject *loops; /* the names in this tuple has been imported */
	PyObject *failure; /* failure(errno, identity, step, state): the exception to raise */
	PyObject *audit;   /* sys.audit */
	PyObject *entering, *leaving; /* the names of its events */
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
/* None for 0, else OSError of errno. errno must still be that of the call. */
PyObject *native_nothing(int result);
/* A tuple of ids. */
PyObject *native_ids(Py_ssize_t count, const unsigned *values);

/* guard_type.c */

extern PyType_Spec native_guard_spec;
PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
