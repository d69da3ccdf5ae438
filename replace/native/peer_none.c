/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels without SO_PEERCRED and SO_PEERGROUPS. peer_linux.c is for Linux.
 */
#include <errno.h>
#include "native.h"

PyObject *native_peer(PyObject *module, PyObject *socket)
{
	(void)module;
	(void)socket;
	errno = ENOSYS;
	return PyErr_SetFromErrno(PyExc_OSError);
}
