/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The step of IdentityExecutor.submit() that nothing may divide. In Python, a signal handler could
 * raise an exception, or call submit(), between two of its parts. Then a worker would be idle no
 * more, and would never get a task.
 */
#include "native.h"

/*
 * The function claim() of the module: remove the last worker from a list of idle workers, set its
 * attribute task unless @task is None, and wake it with worker.wake.put(True). Return False if the
 * list is empty.
 */
PyObject *native_claim(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_state *state = PyModule_GetState(module);
	PyObject *worker, *wake = NULL, *done = NULL;

	if (!native_arity("claim", count, 2))
		return NULL;
	worker = PyObject_CallMethodObjArgs(args[0], state->pop, NULL);
	if (worker == NULL) {
		if (!PyErr_ExceptionMatches(PyExc_IndexError))
			return NULL;
		PyErr_Clear();
		Py_RETURN_FALSE;
	}
	if (args[1] == Py_None || PyObject_SetAttr(worker, state->task, args[1]) == 0)
		wake = PyObject_GetAttr(worker, state->wake);
	if (wake != NULL)
		done = PyObject_CallMethodObjArgs(wake, state->put, Py_True, NULL);
	Py_DECREF(worker);
	Py_XDECREF(wake);
	if (done == NULL)
		return NULL;
	Py_DECREF(done);
	Py_RETURN_TRUE;
}
