/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels on which threads have no ids of their own: no pool runs there. thread_state_linux.c
 * is for Linux.
 */
#include <errno.h>
#include "native.h"

static PyObject *not_here(void)
{
	errno = ENOSYS;
	return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *native_thread_settings(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return not_here();
}

PyObject *native_restore_settings(PyObject *module, PyObject *settings)
{
	(void)module;
	(void)settings;
	return not_here();
}

PyObject *native_thread_state(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return not_here();
}

PyObject *native_join_keyring(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return not_here();
}

int native_new_keyring(void)
{
	return 0;
}
