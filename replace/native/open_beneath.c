/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The Python function open_beneath(). It is in C because an interrupt between two lines of Python
 * could lose the descriptor. It raises the same exceptions as os.open().
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include "native.h"

const char native_open_beneath_doc[] =
    "open_beneath($module, /, dir_fd, path, flags, mode=0o600, *, resolve=10, regular=True)\n--\n\n"
    "Open a file below a folder by a path that a client sent.\n"
    "\n"
    "The kernel resolves the path in one call, openat2(2), so the path cannot change between a\n"
    "check and the opening. The kernel checks the permissions of the calling thread: call this\n"
    "function while the thread holds an identity.\n"
    "\n"
    "Args:\n"
    "    dir_fd: Descriptor of the folder. AT_FDCWD (-100) is the working directory, which\n"
    "        all threads share.\n"
    "    path: The path, relative to the folder: str, bytes or a path object.\n"
    "    flags: Flags of os.open(). O_CLOEXEC and O_NOCTTY are always added.\n"
    "    mode: Permissions of a new file; ignored without O_CREAT and O_TMPFILE.\n"
    "    resolve: How the kernel resolves the path; see Resolve. The default is\n"
    "        Resolve.BENEATH | Resolve.NO_MAGICLINKS. Without BENEATH or IN_ROOT the path may\n"
    "        lead anywhere.\n"
    "    regular: Open only a regular file, or with O_DIRECTORY a folder, and do not block.\n"
    "        With False, open any kind of file. A FIFO can then block the thread until another\n"
    "        process opens its other end.\n"
    "\n"
    "Returns:\n"
    "    A file descriptor, which child processes do not inherit. os.fdopen() makes a file of\n"
    "    it.\n"
    "\n"
    "Raises:\n"
    "    OSError: An errno of os.open(), or one of these. EXDEV: the path leads out of the\n"
    "        folder. ELOOP: a magic link (see Resolve.NO_MAGICLINKS), or another link that\n"
    "        resolve or O_NOFOLLOW forbids. ENXIO: regular is true, and the file is a FIFO, a\n"
    "        socket or a device. EISDIR: regular is true, the file is a folder, and flags has\n"
    "        no O_DIRECTORY. EAGAIN: each of 17 attempts failed because a file or folder\n"
    "        somewhere was renamed at the same time, or because another process holds a lease\n"
    "        on the file. ENOSYS: Linux before 5.6, a seccomp filter, another system, or a\n"
    "        build without SYS_openat2; no weaker method is tried. EINVAL: unknown flags, or\n"
    "        flags that contradict each other. The exception's filename is the path.\n"
    "    TypeError: An argument has the wrong type; a bool is not accepted as an integer.\n"
    "    ValueError: The path has a null byte.\n"
    "    OverflowError: A number is out of range.\n"
    "\n"
    "Source: openat2(2), open(2).\n";

/* Convert an object to an integer, or return NULL with an exception set. Refuses a bool, which is
 * probably a mistake. */
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

/* Run the handlers of signals that have arrived. Return: 0, or -1 if one raised an exception.
 * PyPy's PyErr_CheckSignals() does nothing: handlers run there between two bytecodes, so also while
 * an expression is evaluated. */
static int run_signal_handlers(PyObject *module)
{
#ifdef PYPY_VERSION
	PyObject *names = PyModule_GetDict(module);
	PyObject *none = PyRun_String("None", Py_eval_input, names, names);

	Py_XDECREF(none);
	return none == NULL ? -1 : 0;
#else
	(void)module;
	return PyErr_CheckSignals();
#endif
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
	path = PyOS_FSPath(file); /* os.open() shows this object in audit events and errors */
	if (path == NULL || !PyUnicode_FSConverter(path, &name) ||
	    !audit(PyModule_GetState(module), path, flags))
		goto out;
	do {
		UNLOCKED_IF(1, fd = libreplace_open_beneath(dir_fd, PyBytes_AsString(name), flags,
		                                            (mode_t)mode, resolve, regular));
	} while (fd < 0 && errno == EINTR && !(interrupted = run_signal_handlers(module)));
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
