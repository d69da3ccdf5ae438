/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The C side of identity.py, an extension module that keeps the GIL. It switches there and back
 * with six bare system calls, with libreplace_enter() and libreplace_leave(), or with two calls.
 * The entry has the level that is impersonate()'s default. The argument of each function is the
 * number of repetitions. identity.py builds it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <libreplace/replace.h>

static const gid_t groups[] = {80011, 80021};
static const struct libreplace_identity alice = {80001, 80011, 2, groups};
static LIBREPLACE_GUARD(held, 64);

static int six(void)
{
	return syscall(SYS_setgroups, 2, groups) || syscall(SYS_setresgid, 80011, 80011, -1) ||
	       syscall(SYS_setresuid, -1, 80001, -1) || syscall(SYS_setresuid, -1, 0, -1) ||
	       syscall(SYS_setresgid, 0, 0, -1) || syscall(SYS_setgroups, 0, NULL);
}

static int enter_and_leave(void)
{
	return libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_SHIELDED) ||
	       libreplace_leave(&held.guard);
}

static int two(void)
{
	return syscall(SYS_setresuid, -1, 80001, -1) || syscall(SYS_setresuid, -1, 0, -1);
}

static PyObject *repeat(int (*body)(void), PyObject *count)
{
	for (long left = PyLong_AsLong(count); left > 0; left--)
		if (body() != 0)
			return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

#define FUNCTION(name)                                                                             \
	static PyObject *loop_##name(PyObject *module, PyObject *count)                            \
	{                                                                                          \
		(void)module;                                                                      \
		return repeat(name, count);                                                        \
	}
#define METHOD(name) {#name, loop_##name, METH_O, NULL}

FUNCTION(six)
FUNCTION(enter_and_leave)
FUNCTION(two)

static PyMethodDef methods[] = {METHOD(six), METHOD(enter_and_leave), METHOD(two), {0}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "loops", NULL, -1, methods, 0, 0, 0, 0};

PyMODINIT_FUNC PyInit_loops(void)
{
	libreplace_guard_init(&held.guard, sizeof held);
	return PyModule_Create(&definition);
}
