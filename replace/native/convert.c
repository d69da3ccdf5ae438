/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Converts ids and results between Python and C, and checks the number of arguments. Raises the
 * same exceptions as CPython's own converters. native.h explains the functions.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include "native.h"

int native_arity(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
	if (given == wanted)
		return 1;
	PyErr_Format(PyExc_TypeError, "%s() takes exactly %zd argument%s (%zd given)", name, wanted,
	             wanted == 1 ? "" : "s", given);
	return 0;
}

/* Like _Py_Uid_Converter() in Modules/posixmodule.c, but 2**32-1 is an error and does not mean -1.
 */
int native_to_id(PyObject *object, unsigned *id, const char *kind)
{
	int overflow = 0;
	long long value;
	PyObject *number, *name;

	if (PyLong_CheckExact(object)) {
		value = PyLong_AsLongLongAndOverflow(object, &overflow);
	} else {
		number = PyNumber_Index(object);
		if (number == NULL) {
			if (!PyErr_ExceptionMatches(PyExc_TypeError))
				return 0;
			PyErr_Clear();
			name = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
			if (name != NULL)
				PyErr_Format(PyExc_TypeError, "%s should be integer, not %S", kind,
				             name);
			Py_XDECREF(name);
			return 0;
		}
		value = PyLong_AsLongLongAndOverflow(number, &overflow);
		Py_DECREF(number);
	}
	if (overflow < 0 || (overflow == 0 && value < -1)) {
		PyErr_Format(PyExc_OverflowError, "%s is less than minimum", kind);
		return 0;
	}
	if (overflow > 0 || value >= UINT_MAX) {
		PyErr_Format(PyExc_OverflowError, "%s is greater than maximum", kind);
		return 0;
	}
	*id = (unsigned)value;
	return 1;
}

int native_fakeroot_is_loaded(void)
{
	return dlsym(RTLD_DEFAULT, "fakeroot_isdisabled") != NULL;
}

PyObject *native_nothing(int result)
{
	PyObject *arguments;
	int error = errno;

	if (result == 0)
		Py_RETURN_NONE;
	if (!LIBREPLACE_THREAD_SCOPE || error != EPERM || !native_fakeroot_is_loaded()) {
		errno = error; /* dlsym(3) may have changed it */
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	arguments =
	    Py_BuildValue("is", EPERM,
	                  "Operation not permitted (fakeroot replaces libc's calls, but this "
	                  "call goes to the kernel; run it as real root)");
	PyErr_SetObject(PyExc_OSError, arguments);
	Py_XDECREF(arguments);
	return NULL;
}

PyObject *native_ids(Py_ssize_t count, const unsigned *values)
{
	PyObject *tuple = PyTuple_New(count), *id;

	for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
		id = PyLong_FromUnsignedLong(values[i]);
		if (id == NULL || PyTuple_SetItem(tuple, i, id) != 0)
			Py_CLEAR(tuple);
	}
	return tuple;
}
