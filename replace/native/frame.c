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

/* Return the co_flags of a code object, or -1 with an exception set. */
static long flags_of(struct native_state *state, PyObject *code)
{
	PyObject *number = PyObject_GetAttr(code, state->co_flags);
	long flags = number == NULL ? -1 : PyLong_AsLong(number);

	Py_XDECREF(number);
	return flags;
}

/* Whether the last caller had this code. Without the GIL, other threads change state->plain. */
static int is_plain(const struct native_state *state, const PyObject *code)
{
#ifdef Py_GIL_DISABLED
	return 0;
#else
	return code != NULL && code == state->plain;
#endif
}

/* Store the code of a plain function that is not in contextlib. Takes the reference. */
static void set_plain(struct native_state *state, PyObject *code)
{
#ifdef Py_GIL_DISABLED
	Py_DECREF(code);
#else
	PyObject *before = state->plain;

	state->plain = code;
	Py_XDECREF(before);
#endif
}

long native_flags_of_caller(struct native_state *state)
{
	PyObject *frame = (PyObject *)PyEval_GetFrame(), *back, *code;
	long flags = 0;
	int inside;

	Py_XINCREF(frame);
	while (frame != NULL && frame != Py_None) {
		code = code_of(frame);
		if (is_plain(state, code)) {
			Py_DECREF(code);
			break;
		}
		flags = code == NULL ? -1 : flags_of(state, code);
		if (flags < 0 || (flags & NATIVE_LAZY_CODE) != 0) {
			Py_XDECREF(code);
			break;
		}
		inside = in_contextlib(state, frame);
		if (inside == 0) {
			set_plain(state, code);
			break;
		}
		Py_DECREF(code);
		if (inside < 0) {
			flags = -1;
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
