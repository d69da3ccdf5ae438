/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A Python extension module. who(uid, call) calls `call` as this user, in the calling thread only.
 * It returns the effective uid during the call, and after it.
 */
#include <Python.h>
#include <libreplace/replace.h>
#include <unistd.h>

static PyObject *who(PyObject *module, PyObject *args)
{
	LIBREPLACE_GUARD(held, 64);
	struct libreplace_identity user = {0, 80011, 0, NULL};
	unsigned inside;
	PyObject *call, *result;

	(void)module;
	if (!PyArg_ParseTuple(args, "IO", &user.uid, &call))
		return NULL;
	libreplace_guard_init(&held.guard, sizeof held);
	if (libreplace_enter(&held.guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	inside = geteuid();
	result = PyObject_CallNoArgs(call);
	if (libreplace_leave(&held.guard) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (result == NULL)
		return NULL;
	Py_DECREF(result);
	return Py_BuildValue("(II)", inside, (unsigned)geteuid());
}

static PyMethodDef methods[] = {{"who", who, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_whoami", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__whoami(void)
{
	return PyModule_Create(&definition);
}
