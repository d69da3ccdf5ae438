/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The Python module replace._native: what must be as fast as C, and what no interrupt may
 * leave half-way. The functions for ids are written by the build, from detect/calls.py,
 * into native_calls.h; those for lists are here; the type that holds an identity is in
 * guard.c. Calls that wait (initgroups) go through cffi, which lets the GIL go.
 * Limited API of Python 3.10.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "native.h"

/*
 * The raw setters never block, so the GIL is kept: with 4 busy threads a switch there and
 * back costs 58 us this way and 31 ms the other. libc's calls wait for other threads.
 */
#if LIBREPLACE_THREAD_SCOPE
#define CALL(statement) statement
#else
#define CALL(statement)                                                                            \
	Py_BEGIN_ALLOW_THREADS                                                                     \
	statement;                                                                                 \
	Py_END_ALLOW_THREADS
#endif

static int arity(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
	if (given == wanted)
		return 1;
	PyErr_Format(PyExc_TypeError, "%s() takes exactly %zd argument%s (%zd given)", name, wanted,
	             wanted == 1 ? "" : "s", given);
	return 0;
}

/* An id as CPython's own converters take it (Modules/posixmodule.c), but for 2**32-1, which is
 * refused. */
static int to_id(PyObject *object, unsigned *id, const char *kind)
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

static PyObject *nothing(int result)
{
	PyObject *arguments;

	if (result == 0)
		Py_RETURN_NONE;
	if (!LIBREPLACE_THREAD_SCOPE || errno != EPERM || getenv("FAKEROOTKEY") == NULL)
		return PyErr_SetFromErrno(PyExc_OSError);
	arguments = Py_BuildValue("is", EPERM,
	                          "Operation not permitted (fakeroot fakes libc's calls, not the "
	                          "kernel's; this needs real root)");
	PyErr_SetObject(PyExc_OSError, arguments);
	Py_XDECREF(arguments);
	return NULL;
}

static PyObject *ids(Py_ssize_t count, const unsigned *values)
{
	PyObject *tuple = PyTuple_New(count), *id;

	for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
		id = PyLong_FromUnsignedLong(values[i]);
		if (id == NULL || PyTuple_SetItem(tuple, i, id) != 0)
			Py_CLEAR(tuple);
	}
	return tuple;
}

static int set_groups(Py_ssize_t count, const gid_t *list)
{
	int result;

	if (count > LONG_LIST) {
		Py_BEGIN_ALLOW_THREADS
		result = libreplace_setgroups((size_t)count, list);
		Py_END_ALLOW_THREADS
	} else {
		CALL(result = libreplace_setgroups((size_t)count, list));
	}
	return result;
}

static PyObject *native_setgroups(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *sequence = count == 1 ? args[0] : NULL, *whole, *item, *result = NULL;
	gid_t few[64], *list = few;
	Py_ssize_t size, i;

	(void)module;
	if (!arity("setgroups", count, 1))
		return NULL;
	if (!PySequence_Check(sequence)) {
		PyErr_SetString(PyExc_TypeError, "setgroups argument must be a sequence");
		return NULL;
	}
	size = PySequence_Size(sequence);
	if (size < 0)
		return NULL;
	if (size > MOST_GROUPS) {
		PyErr_SetString(PyExc_ValueError, "too many groups");
		return NULL;
	}
	whole = PySequence_Tuple(sequence); /* all of it is read, as it is now */
	if (whole == NULL)
		return NULL;
	size = PyTuple_Size(whole);
	if (size > MOST_GROUPS) { /* it grew while it was read */
		Py_DECREF(whole);
		PyErr_SetString(PyExc_ValueError, "too many groups");
		return NULL;
	}
	if (size > 64 && (list = PyMem_Malloc((size_t)size * sizeof *list)) == NULL) {
		Py_DECREF(whole);
		return PyErr_NoMemory();
	}
	for (i = 0; i < size; i++) {
		item = PyTuple_GetItem(whole, i);
		if (item == NULL || !to_id(item, &list[i], "gid"))
			goto out;
	}
	result = nothing(set_groups(size, list));
out:
	Py_DECREF(whole);
	if (list != few)
		PyMem_Free(list);
	return result;
}

static PyObject *native_getgroups(PyObject *module, PyObject *unused)
{
	PyObject *result = NULL, *id;
	gid_t few[64], *list = few;
	int size;

	(void)module;
	(void)unused;
	size = libreplace_getgroups(64, list);
	while (size < 0 &&
	       errno == EINVAL) { /* more; and on a process-wide back end it may grow meanwhile */
		if (list != few)
			PyMem_Free(list);
		size = libreplace_getgroups(0, NULL);
		list = size < 0 ? NULL : PyMem_Malloc(((size_t)size + 1) * sizeof *list);
		if (list == NULL)
			return size < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyErr_NoMemory();
		size = libreplace_getgroups(size, list);
	}
	if (size < 0)
		PyErr_SetFromErrno(PyExc_OSError);
	else
		result = PyList_New(size);
	for (int i = 0; result != NULL && i < size; i++) {
		id = PyLong_FromUnsignedLong(list[i]);
		if (id == NULL || PyList_SetItem(result, i, id) != 0)
			Py_CLEAR(result);
	}
	if (list != few)
		PyMem_Free(list);
	return result;
}

#include "native_calls.h"

/* ---- The state of threads, for the other modules of the package */

static PyObject *native_active(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromUnsignedLong(libreplace_active());
}

static PyObject *native_depth(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromUnsignedLong(libreplace_depth());
}

static PyObject *native_tainted(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(libreplace_tainted());
}

static PyObject *native_drop_capabilities(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return nothing(libreplace_drop_capabilities());
}

static PyObject *native_private_fs(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return nothing(libreplace_private_fs());
}

/* alone(function, args): as drop_begin, call, drop_end in Python an interrupt could shut the door
 * for ever. */
static PyObject *native_alone(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *result;

	(void)module;
	if (!arity("alone", count, 2))
		return NULL;
	if (libreplace_drop_begin() != 0) {
		Py_INCREF(Py_NotImplemented); /* an exception could be the function's own */
		return Py_NotImplemented;
	}
	result = PyObject_Call(args[0], args[1], NULL);
	libreplace_drop_end();
	return result;
}

static PyObject *native_setup(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_state *state = PyModule_GetState(module);

	if (!arity("setup", count, 4))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++)
		Py_INCREF(args[i]);
	state->before = args[0];
	state->failure = args[1];
	state->audit = args[2];
	state->loops = args[3];
	Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL

static PyMethodDef methods[] = {
    NATIVE_CALLS{"active", native_active, METH_NOARGS, "How many threads are switched."},
    {"depth", native_depth, METH_NOARGS, "How many identities the calling thread holds."},
    {"tainted", native_tainted, METH_NOARGS, "Whether the calling thread refuses to enter."},
    {"drop_capabilities", native_drop_capabilities, METH_NOARGS, "The calling thread's, for good."},
    {"private_fs", native_private_fs, METH_NOARGS, "The calling thread's own cwd and umask."},
    {"alone", FAST(native_alone),
     "alone(function, args): call it while no thread can enter, or NotImplemented."},
    {"setup", FAST(native_setup), "setup(before, failure, audit, loops): what the guard calls."},
    {"make", FAST(native_make), "make(identity, uid, gid, groups, level, flags): a Guard."},
    {"run", FAST(native_run), "run(guard, function, args, kwargs): enter, call, leave."},
    {NULL, NULL, 0, NULL},
};

static int native_exec(PyObject *module)
{
	struct native_state *state = PyModule_GetState(module);

	state->guard = (PyTypeObject *)PyType_FromModuleAndSpec(module, &native_guard_spec, NULL);
	state->entering = PyUnicode_InternFromString("replace.enter");
	state->leaving = PyUnicode_InternFromString("replace.leave");
	if (state->entering == NULL || state->leaving == NULL || state->guard == NULL ||
	    PyModule_AddType(module, state->guard) != 0)
		return -1;
	return PyModule_AddIntConstant(module, "THREAD_SCOPE", LIBREPLACE_THREAD_SCOPE);
}

static int native_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct native_state *state = PyModule_GetState(module);

	Py_VISIT(state->guard);
	Py_VISIT(state->before);
	Py_VISIT(state->failure);
	Py_VISIT(state->audit);
	Py_VISIT(state->loops);
	Py_VISIT(state->entering);
	Py_VISIT(state->leaving);
	return 0;
}

static int native_clear(PyObject *module)
{
	struct native_state *state = PyModule_GetState(module);

	Py_CLEAR(state->guard);
	Py_CLEAR(state->before);
	Py_CLEAR(state->failure);
	Py_CLEAR(state->audit);
	Py_CLEAR(state->loops);
	Py_CLEAR(state->entering);
	Py_CLEAR(state->leaving);
	return 0;
}

static void native_free(void *module)
{
	native_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)native_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_native",
    "The calls for ids, and the type that holds an identity.",
    sizeof(struct native_state),
    methods,
    slots,
    native_traverse,
    native_clear,
    native_free,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
	return PyModuleDef_Init(&definition);
}
