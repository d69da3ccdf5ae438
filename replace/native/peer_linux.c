/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Asks the kernel which user is at the other end of a Unix socket. This is in C because Python's
 * getsockopt() returns at most 1024 bytes (256 groups), and because Python has no SO_PEERGROUPS,
 * whose number differs between architectures. peer_none.c is for other kernels.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>
#include "native.h"

static int read_option(int fd, int name, int *value)
{
	socklen_t size = sizeof *value;

	return getsockopt(fd, SOL_SOCKET, name, value, &size);
}

/* Read the peer's ids, and refuse a socket that has no peer. Return: 1, or 0 with an exception set.
 */
static int read_credentials(int fd, struct ucred *peer)
{
	socklen_t size = sizeof *peer;
	int domain, type, listens;

	if (read_option(fd, SO_DOMAIN, &domain) != 0 || read_option(fd, SO_TYPE, &type) != 0) {
		if (errno == ENOTSOCK)
			PyErr_SetString(
			    PyExc_TypeError,
			    "socket should be a socket, but it is another kind of open file");
		else
			PyErr_SetFromErrno(PyExc_OSError);
		return 0;
	}
	if (domain != AF_UNIX) {
		PyErr_SetString(PyExc_ValueError, "this is not a Unix socket; the kernel knows the "
		                                  "peer's user only for Unix sockets");
		return 0;
	}
	if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
		PyErr_SetString(
		    PyExc_ValueError,
		    "a datagram socket has no single peer; use a stream or seqpacket socket");
		return 0;
	}
	/* A socket may begin to listen at any time, and never stops. So ask this last. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size) != 0 ||
	    read_option(fd, SO_ACCEPTCONN, &listens) != 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return 0;
	}
	if (listens) {
		PyErr_SetString(
		    PyExc_ValueError,
		    "a listening socket has no peer; use the socket that accept() returns");
		return 0;
	}
	if (peer->uid == (uid_t)-1 || peer->gid == (gid_t)-1) {
		errno = ENOTCONN;
		PyErr_SetFromErrno(PyExc_OSError);
		return 0;
	}
	return 1;
}

/* Return the peer's supplementary groups as bytes, an array of gid_t, or None if the headers or the
 * kernel lack SO_PEERGROUPS. On failure, return NULL with an exception set. */
static PyObject *read_groups(int fd)
{
#ifdef SO_PEERGROUPS /* Linux 4.13 */
	gid_t few[64], *list = few;
	socklen_t size = sizeof few;
	PyObject *result = NULL;
	int status = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &size);

	if (status != 0 && errno == ERANGE &&
	    size <= MAX_GROUPS * sizeof *list) { /* the kernel has set size to what it needs */
		list = PyMem_Malloc(size);
		if (list == NULL)
			return PyErr_NoMemory();
		status = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &size);
	}
	if (status == 0)
		result = PyBytes_FromStringAndSize((const char *)list, (Py_ssize_t)size);
	else if (errno != ENOPROTOOPT)
		PyErr_SetFromErrno(PyExc_OSError);
	if (list != few)
		PyMem_Free(list);
	if (result != NULL || PyErr_Occurred())
		return result;
#else
	(void)fd;
#endif
	Py_RETURN_NONE;
}

PyObject *native_peer(PyObject *module, PyObject *socket)
{
	PyObject *number = PyObject_CallMethod(socket, "fileno", NULL), *groups, *result = NULL;
	struct ucred peer;
	long fd;
	int own = -1;

	(void)module;
	if (number == NULL) {
		if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
			PyErr_Clear();
			PyErr_Format(PyExc_TypeError, "socket should be a socket, not %R",
			             (PyObject *)Py_TYPE(socket));
		}
		return NULL;
	}
	fd = PyLong_AsLong(number);
	Py_DECREF(number);
	if (fd == -1 && PyErr_Occurred())
		return NULL;
	/* Another thread may close the descriptor, and another client's socket may get its number.
	 * With a copy, all answers are about one socket. */
	errno = EBADF;
	if (fd >= 0 && fd <= INT_MAX)
		own = fcntl((int)fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (read_credentials(own, &peer)) {
		groups = read_groups(own);
		if (groups != NULL)
			result =
			    Py_BuildValue("IIN", (unsigned)peer.uid, (unsigned)peer.gid, groups);
	}
	close(own);
	return result;
}
