/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What native.c (the module and its calls) and guard.c (the type) share; not installed.
 */
#ifndef LIBREPLACE_NATIVE_H
#define LIBREPLACE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <libreplace/replace.h>

/* From here on a list takes the kernel so long that other Python threads may run (25 ms at 65 536).
 */
enum { LONG_LIST = 1024, MOST_GROUPS = 65536 };

struct native_state {
	PyTypeObject *guard;
	PyObject
	    *before;     /* before(identity): raises what refuses the entry; asked only if one of */
	PyObject *loops; /* the names in this tuple has been imported */
	PyObject *failure; /* failure(errno, identity, step, state): the exception to raise */
	PyObject *audit;   /* sys.audit */
	PyObject *entering, *leaving; /* the names of its events */
};

extern PyType_Spec native_guard_spec;
PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
