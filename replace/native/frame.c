/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Finds out what calls __enter__(): a plain function, or a generator or coroutine. The limited API
 * has no functions for most properties of a frame, so this file reads the attributes that a frame
 * has in Python.
 */
#include "native.h"

/* Return the code of a frame: a new reference, or NULL with an exception set. */
static PyObject *code_of(PyObject *frame)
{
#ifdef PYPY_VERSION
	return PyObject_GetAttrString(frame, "f_code");
#else
	return (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
#endif
}

/* Whether a frame runs code of the module contextlib; -1 with an exception set. */
static int in_contextlib(struct native_state *state, PyObject *frame)
{
	PyObject *globals = PyObject_GetAttr(frame, state->f_globals), *name;
	int result = -1;

	if (globals == NULL)
		return -1;
	name = PyObject_GetItem(globals, state->name);
	if (name != NULL || PyErr_ExceptionMatches(PyExc_KeyError)) {
		PyErr_Clear();
		result = name != NULL && PyUnicode_Check(name) &&
		         PyUnicode_CompareWithASCIIString(name, "contextlib") == 0;
	}
	Py_XDECREF(name);
	Py_DECREF(globals);
	return result;
}

/* Return the co_flags of a frame's code, or -1 with an exception set. */
static long flags_of(struct native_state *state, PyObject *frame)
{
	PyObject *code = code_of(frame), *number;
	long flags;

	if (code == NULL)
		return -1;
	number = PyObject_GetAttr(code, state->co_flags);
	flags = number == NULL ? -1 : PyLong_AsLong(number);
	Py_XDECREF(number);
	Py_DECREF(code);
	return flags;
}

long native_flags_of_caller(struct native_state *state)
{
	PyObject *frame = (PyObject *)PyEval_GetFrame(), *back;
	long flags = 0;
	int inside;

	Py_XINCREF(frame);
	while (frame != NULL && frame != Py_None) {
		flags = flags_of(state, frame);
		if (flags < 0 || (flags & NATIVE_LAZY_CODE) != 0)
			break;
		inside = in_contextlib(state, frame);
		if (inside <= 0) {
			flags = inside < 0 ? -1 : flags;
			break;
		}
		back = PyObject_GetAttr(frame, state->f_back);
		Py_DECREF(frame);
		frame = back;
		if (back == NULL)
			flags = -1;
	}
	Py_XDECREF(frame);
	return flags;
}
