/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The Python function open_beneath(), around the C function of that name. It is in C because an
 * interrupt between two lines of Python could lose the descriptor. It raises what os.open() raises.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include "native.h"

const char native_open_beneath_doc[] =
    "open_beneath($module, /, dir_fd, path, flags, mode=0o600, *, resolve=10, regular=True)\n--\n\n"
    "Open a file that a client names: below a folder, by no magic link, and never a FIFO.\n"
    "\n"
    "The kernel walks the name as openat2(2) says, so nothing can be put in its way meanwhile. "
    "What the\n"
    "calling thread may do is asked as ever: call it inside of an identity.\n"
    "\n"
    "Args:\n"
    "    dir_fd: The folder, open. AT_FDCWD (-100) is the working directory, which all threads "
    "share.\n"
    "    path: The name, relative to the folder: str, bytes or a path object.\n"
    "    flags: Those of os.open(). O_CLOEXEC and O_NOCTTY are always added.\n"
    "    mode: Permissions of a new file; ignored without O_CREAT and O_TMPFILE.\n"
    "    resolve: How the name is walked, in place of Resolve.BENEATH | Resolve.NO_MAGICLINKS. "
    "Without\n"
    "        BENEATH and IN_ROOT the name may lead anywhere. See Resolve.\n"
    "    regular: Accept a regular file only, or with O_DIRECTORY a folder, and do not wait for "
    "others.\n"
    "        False opens whatever is there: a FIFO can then hold the thread for ever.\n"
    "\n"
    "Returns:\n"
    "    A file descriptor, which is not inherited. os.fdopen() makes a file of it.\n"
    "\n"
    "Raises:\n"
    "    OSError: With filename, and errno: EXDEV (the name leads out), ELOOP (a magic link, or "
    "another\n"
    "        link that resolve or O_NOFOLLOW forbids), ENXIO (regular: a FIFO, socket or device), "
    "EISDIR\n"
    "        (regular: a folder, and no O_DIRECTORY), EAGAIN (a rename elsewhere or a lease, 17 "
    "times),\n"
    "        ENOSYS (Linux before 5.6, a filter, another system, or a build without SYS_openat2:\n"
    "        nothing weaker is tried), EINVAL (flags that contradict each other, or an unknown "
    "one), and\n"
    "        those of os.open().\n"
    "    TypeError: A bool or another object that is no integer, or no path.\n"
    "    ValueError: The name has a null byte.\n"
    "    OverflowError: A number is out of range.\n"
    "\n"
    "Source: openat2(2), open(2).\n";

/* What __index__() of an object says, or NULL with an exception set. A bool is taken for a slip. */
static PyObject *to_integer(PyObject *object, const char *name)
{
	if (!PyBool_Check(object))
		return PyNumber_Index(object);
	PyErr_Format(PyExc_TypeError, "%s should be integer, not bool", name);
	return NULL;
}

/* Return: 1, or 0 with an exception set. */
static int to_int(PyObject *object, const char *name, int *value)
{
	PyObject *number = to_integer(object, name);
	int overflow = 0;
	long found;

	if (number == NULL)
		return 0;
	found = PyLong_AsLongAndOverflow(number, &overflow);
	Py_DECREF(number);
	if (overflow == 0 && found >= INT_MIN && found <= INT_MAX) {
		*value = (int)found;
		return 1;
	}
	PyErr_Format(PyExc_OverflowError, "%s is out of range", name);
	return 0;
}

/* Return: 1, or 0 with an exception set. */
static int to_resolve(PyObject *object, uint64_t *value)
{
	PyObject *number = to_integer(object, "resolve");

	if (number == NULL)
		return 0;
	*value = PyLong_AsUnsignedLongLong(number);
	Py_DECREF(number);
	return !PyErr_Occurred();
}

/* Raise the audit event of os.open(). Return: 1, or 0 if a hook raised an exception. */
static int audit(const struct native_state *state, PyObject *path, int flags)
{
	PyObject *result =
	    PyObject_CallFunction(state->audit, "sOOi", "open", path, Py_None, flags | O_CLOEXEC);

	Py_XDECREF(result);
	return result != NULL;
}

PyObject *native_open_beneath(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"dir_fd", "path", "flags", "mode", "resolve", "regular", NULL};
	PyObject *folder, *file, *how, *permissions = NULL, *walk = NULL;
	PyObject *path, *name = NULL, *result = NULL;
	uint64_t resolve = LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS;
	int dir_fd, flags, mode = 0600, regular = 1, fd, interrupted = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|O$Op:open_beneath", names, &folder,
	                                 &file, &how, &permissions, &walk, &regular) ||
	    !to_int(folder, "dir_fd", &dir_fd) || !to_int(how, "flags", &flags) ||
	    (permissions != NULL && !to_int(permissions, "mode", &mode)) ||
	    (walk != NULL && !to_resolve(walk, &resolve)))
		return NULL;
	path = PyOS_FSPath(file); /* what os.open() shows to hooks and in errors */
	if (path == NULL || !PyUnicode_FSConverter(path, &name) ||
	    !audit(PyModule_GetState(module), path, flags))
		goto out;
	do {
		UNLOCKED_IF(1, fd = libreplace_open_beneath(dir_fd, PyBytes_AsString(name), flags,
		                                            (mode_t)mode, resolve, regular));
	} while (fd < 0 && errno == EINTR && !(interrupted = PyErr_CheckSignals()));
	if (fd >= 0) {
		result = PyLong_FromLong(fd);
		if (result == NULL)
			close(fd);
	} else if (!interrupted) {
		PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
	}
out:
	Py_XDECREF(name);
	Py_XDECREF(path);
	return result;
}
