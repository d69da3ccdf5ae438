/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The type Ring: a thin layer over libreplace/ring.h for replace/_file_requests.py. A request has a
 * number, which is its address in C. It is valid until results() returns it or cancel() gets it.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include "native.h"

struct ring_object {
	PyObject_HEAD
	struct libreplace_ring *ring; /* NULL if it is closed */
};

enum { AT_ONCE = 64, TRIES = 2000 };

static struct libreplace_ring *ring_of(PyObject *self)
{
	struct libreplace_ring *ring = ((struct ring_object *)self)->ring;

	if (ring == NULL)
		PyErr_SetString(PyExc_ValueError, "the ring is closed");
	return ring;
}

static PyObject *ring_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"workers", "allow_root", "entries", "identities", NULL};
	struct libreplace_ring_options options = {0};
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct libreplace_ring **ring;
	int allow_root = 0;
	PyObject *self;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|pII:Ring", names, &options.workers,
	                                 &allow_root, &options.entries, &options.identities))
		return NULL;
	options.flags = allow_root ? LIBREPLACE_ALLOW_ROOT : 0;
	self = allocate(type, 0);
	if (self == NULL)
		return NULL;
	ring = &((struct ring_object *)self)->ring;
	*ring = NULL;
	if (libreplace_ring_open(ring, &options) != 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		Py_CLEAR(self);
	}
	return self;
}

/* Somebody who did not call close() has to wait for the kernel here, usually 20 ms. Other threads
 * run meanwhile. After TRIES ms, or in another thread, the ring stays. */
static void ring_dealloc(PyObject *self)
{
	static const struct timespec pause = {0, 1000000};
	struct libreplace_ring *ring = ((struct ring_object *)self)->ring;
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	for (int i = 0; i < TRIES && libreplace_ring_close(ring) != 0 && errno == EAGAIN; i++)
		UNLOCKED_IF(1, nanosleep(&pause, NULL));
	release(self);
	Py_DECREF(type);
}

static PyObject *ring_fileno(PyObject *self, PyObject *unused)
{
	struct libreplace_ring *ring = ring_of(self);

	(void)unused;
	return ring == NULL ? NULL : PyLong_FromLong(libreplace_ring_fd(ring));
}

/* The numbers of a status, for _file_requests.py. */
static PyObject *status_of(const struct libreplace_ring_status *found)
{
	return Py_BuildValue(
	    "IKKKIIKLLLIIIKKK", (unsigned)found->mode, (unsigned long long)found->ino,
	    (unsigned long long)found->dev, (unsigned long long)found->nlink, (unsigned)found->uid,
	    (unsigned)found->gid, (unsigned long long)found->size, (long long)found->atime,
	    (long long)found->mtime, (long long)found->ctime, (unsigned)found->atime_nsec,
	    (unsigned)found->mtime_nsec, (unsigned)found->ctime_nsec,
	    (unsigned long long)found->blksize, (unsigned long long)found->blocks,
	    (unsigned long long)found->rdev);
}

/* Return (value, status or None), or NULL with an exception set. */
static PyObject *to_pair(const struct libreplace_ring_result *result)
{
	PyObject *value = PyLong_FromLong(result->value), *status = Py_None, *pair = NULL;

	if (result->status.mode == 0) /* no status was read */
		Py_INCREF(status);
	else
		status = status_of(&result->status);
	if (value != NULL && status != NULL)
		pair = PyTuple_Pack(2, value, status);
	Py_XDECREF(value);
	Py_XDECREF(status);
	return pair;
}

/* Return (number, (value, status or None)), or NULL with an exception set. */
static PyObject *to_result(const struct libreplace_ring_result *result)
{
	PyObject *number = PyLong_FromVoidPtr(result->request), *pair = to_pair(result);

	if (number != NULL && pair != NULL)
		return Py_BuildValue("NN", number, pair);
	Py_XDECREF(number);
	Py_XDECREF(pair);
	return NULL;
}

/* Refuse a bool, which is probably a mistake. Return: 1, or 0 with an exception set. */
static int is_number(PyObject *object)
{
	if (!PyBool_Check(object))
		return 1;
	PyErr_SetString(PyExc_TypeError, "an argument should be integer, not bool");
	return 0;
}

/* Convert an object to an int. Return: 1, or 0 with an exception set. */
static int to_int(PyObject *object, int *value)
{
	long number = is_number(object) ? PyLong_AsLong(object) : -1;

	*value = (int)number;
	if (number == *value)
		return !PyErr_Occurred();
	PyErr_SetString(PyExc_OverflowError, "number is out of range");
	return 0;
}

/* Convert a path; @keep gets a new reference, or NULL. An ASCII text needs no copy: its bytes are
 * the same in every encoding of file names. Return: 1, or 0 with an exception set. */
static int to_path(PyObject *object, const char **path, PyObject **keep)
{
	Py_ssize_t size = 0, i = 0;
	const char *text = NULL;

	*keep = NULL;
	if (PyUnicode_Check(object) && (text = PyUnicode_AsUTF8AndSize(object, &size)) == NULL)
		PyErr_Clear(); /* it has surrogates */
	while (i < size && (signed char)text[i] > 0)
		i++;
	if (text != NULL && i == size) {
		*path = text;
		return 1;
	}
	if (!PyUnicode_FSConverter(object, keep))
		return 0;
	*path = PyBytes_AsString(*keep);
	return 1;
}

/* Convert the arguments of run(); @paths get new references. Return: 1, or 0 with an exception
 * set. */
static int to_call(PyObject *const *args, struct libreplace_identity *identity,
                   struct libreplace_ring_call *call, PyObject **paths)
{
	PyObject *number;
	Py_ssize_t size;
	char *groups;
	int mode;

	if (!to_int(args[0], &call->kind) || !native_to_id(args[1], &identity->uid, "uid") ||
	    !native_to_id(args[2], &identity->gid, "gid") ||
	    PyBytes_AsStringAndSize(args[3], &groups, &size) != 0 ||
	    !to_int(args[4], &call->dir_fd) || !to_path(args[5], &call->path, &paths[0]) ||
	    !to_int(args[6], &call->flags) || !to_int(args[7], &mode) ||
	    !to_int(args[9], &call->new_dir_fd) ||
	    (args[10] != Py_None && !to_path(args[10], &call->new_path, &paths[1])) ||
	    !is_number(args[8]))
		return 0;
	identity->size = (size_t)size / sizeof(gid_t);
	identity->groups = (const gid_t *)(const void *)groups;
	call->mode = (mode_t)mode;
	number = PyLong_Check(args[8]) ? args[8] : PyNumber_Index(args[8]);
	if (number != NULL)
		call->resolve = PyLong_AsUnsignedLongLong(number);
	if (number != args[8])
		Py_XDECREF(number);
	return !PyErr_Occurred();
}

/* A path is copied, and the first request of a user takes 0.1 ms, so the GIL is kept; a long list
 * of groups takes longer. */
static PyObject *ring_run(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct libreplace_ring *ring;
	struct libreplace_identity identity = {0};
	struct libreplace_ring_request *request;
	struct libreplace_ring_call call = {0};
	struct libreplace_ring_result done;
	PyObject *paths[2] = {NULL, NULL}, *answer = NULL;
	int result = -1, is_long;

	if (!native_arity("run", count, 11))
		return NULL;
	/* an argument's method may close the ring */
	if (!to_call(args, &identity, &call, paths) || (ring = ring_of(self)) == NULL)
		goto out;
	is_long = identity.size > LONG_LIST;
	UNLOCKED_IF(is_long,
	            result = libreplace_ring_start(ring, &identity, &call, NULL, &request));
	if (result == 0)
		result = libreplace_ring_get_result(ring, request, &done);
	if (result < 0)
		PyErr_SetFromErrno(PyExc_OSError);
	else
		answer = result == 0 ? PyLong_FromVoidPtr(request) : to_pair(&done);
out:
	Py_XDECREF(paths[0]);
	Py_XDECREF(paths[1]);
	return answer;
}

static PyObject *ring_results(PyObject *self, PyObject *unused)
{
	struct libreplace_ring *ring = ring_of(self);
	struct libreplace_ring_result results[AT_ONCE];
	PyObject *list = ring == NULL ? NULL : PyList_New(0), *one;
	int count = AT_ONCE;

	(void)unused;
	while (list != NULL && count == AT_ONCE) {
		count = libreplace_ring_results(ring, results, AT_ONCE);
		if (count < 0) {
			PyErr_SetFromErrno(PyExc_OSError);
			Py_CLEAR(list);
		}
		for (int i = 0; list != NULL && i < count; i++) {
			one = to_result(&results[i]);
			if (one == NULL || PyList_Append(list, one) != 0)
				Py_CLEAR(list);
			Py_XDECREF(one);
		}
	}
	return list;
}

/* The next turn of the event loop calls results(), which gives the cancellation to the kernel. */
static PyObject *ring_cancel(PyObject *self, PyObject *number)
{
	struct libreplace_ring *ring = ring_of(self);
	void *request = PyLong_AsVoidPtr(number);
	const uint64_t one = 1;

	if (ring == NULL || PyErr_Occurred())
		return NULL;
	libreplace_ring_cancel(ring, request);
	if (write(libreplace_ring_fd(ring), &one, sizeof one) < 0) /* -1 in a forked child */
		errno = 0;                                         /* or it is readable already */
	Py_RETURN_NONE;
}

static PyObject *ring_close(PyObject *self, PyObject *unused)
{
	struct ring_object *object = (struct ring_object *)self;

	(void)unused;
	if (libreplace_ring_close(object->ring) == 0) {
		object->ring = NULL;
		Py_RETURN_TRUE;
	}
	if (errno == EAGAIN)
		Py_RETURN_FALSE;
	return PyErr_SetFromErrno(PyExc_OSError);
}

static PyMethodDef ring_methods[] = {
    {"fileno", ring_fileno, METH_NOARGS, "The eventfd: it is readable if there are results."},
    {"run", (PyCFunction)(void (*)(void))ring_run, METH_FASTCALL,
     "run(kind, uid, gid, groups, dir_fd, path, flags, mode, resolve, new_dir_fd, new_path): make "
     "a request. Return its result, a tuple, or if that is not there yet, the request's number."},
    {"results", ring_results, METH_NOARGS,
     "A list of (number of the request, result). A result is (value or negative errno, numbers of "
     "the status or None)."},
    {"cancel", ring_cancel, METH_O, "cancel(number): stop a request and forget it."},
    {"close", ring_close, METH_NOARGS,
     "Stop all requests. Return False if this takes longer; then call it again within 10 ms."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ring_slots[] = {
    {Py_tp_doc, (void *)"Ring(workers, allow_root=False, entries=0, identities=0): a ring of the "
                        "calling thread; 0 means the usual value."},
    {Py_tp_new, (void *)ring_new},
    {Py_tp_dealloc, (void *)ring_dealloc},
    {Py_tp_methods, ring_methods},
    {0, NULL},
};

PyType_Spec native_ring_spec = {
    .name = PACKAGE "._native.Ring",
    .basicsize = sizeof(struct ring_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = ring_slots,
};
