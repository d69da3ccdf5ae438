/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The Python module _native: functions that must be fast, or that an interrupt must not stop
 * half-way. The build writes the functions for ids from detect/calls.py into native_calls.h, and
 * the build report into native_report.h. The functions for lists of groups are here. The type Guard
 * is in guard_type.c, the iterators of impersonated() are in impersonated_type.c, open_beneath() is
 * in open_beneath.c. Uses the limited API of Python 3.10.
 */
#include <errno.h>
#include <fcntl.h>
#include "native.h"

/* Raise the exception of os.setgroups(). */
static PyObject *too_many_groups(void)
{
	PyErr_SetString(PyExc_ValueError, "too many groups");
	return NULL;
}

static PyObject *native_setgroups(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *sequence = count == 1 ? args[0] : NULL, *whole, *item, *result = NULL;
	gid_t few[64], *list = few;
	Py_ssize_t size, i;
	int status;

	(void)module;
	if (!native_arity("setgroups", count, 1))
		return NULL;
	if (!PySequence_Check(sequence)) {
		PyErr_SetString(PyExc_TypeError, "setgroups argument must be a sequence");
		return NULL;
	}
	size = PySequence_Size(sequence);
	if (size < 0)
		return NULL;
	if (size > MAX_GROUPS)
		return too_many_groups();
	whole = PySequence_Tuple(sequence); /* read everything before the first system call */
	if (whole == NULL)
		return NULL;
	size = PyTuple_Size(whole);
	if (size > MAX_GROUPS) { /* the sequence has grown */
		Py_DECREF(whole);
		return too_many_groups();
	}
	if (size > 64 && (list = PyMem_Malloc((size_t)size * sizeof *list)) == NULL) {
		Py_DECREF(whole);
		return PyErr_NoMemory();
	}
	for (i = 0; i < size; i++) {
		item = PyTuple_GetItem(whole, i);
		if (item == NULL || !native_to_id(item, &list[i], "gid"))
			goto out;
	}
	UNLOCKED_IF(!LIBREPLACE_THREAD_SCOPE || size > LONG_LIST,
	            status = libreplace_setgroups((size_t)size, list));
	result = native_nothing(status);
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
	/* EINVAL: the list is too short. This is a loop because another thread may add groups if
	 * all threads share them. */
	while (size < 0 && errno == EINVAL) {
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

/* Releases the GIL, because the name service may take seconds. */
static PyObject *native_initgroups(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *name, *result;
	unsigned group;
	int status;

	(void)module;
	if (!native_arity("initgroups", count, 2) || !PyUnicode_FSConverter(args[0], &name))
		return NULL;
	if (!native_to_id(args[1], &group, "gid")) {
		Py_DECREF(name);
		return NULL;
	}
	UNLOCKED_IF(1, status = libreplace_initgroups(PyBytes_AsString(name), group));
	result = native_nothing(status);
	Py_DECREF(name);
	return result;
}

#include "native_calls.h"

/* ---- State of threads, for the other modules of the package */

static PyObject *native_active(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromUnsignedLong(libreplace_active());
}

static PyObject *native_main_is_switched(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(libreplace_main_is_switched());
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

static PyObject *native_is_itself(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(libreplace_depth() == 0 && !libreplace_tainted());
}

static PyObject *native_step_name(PyObject *module, PyObject *number)
{
	int step = (int)PyLong_AsLong(number);

	(void)module;
	return PyErr_Occurred() ? NULL : PyUnicode_FromString(libreplace_step_name(step));
}

static PyObject *native_state_name(PyObject *module, PyObject *number)
{
	int state = (int)PyLong_AsLong(number);

	(void)module;
	return PyErr_Occurred() ? NULL : PyUnicode_FromString(libreplace_state_name(state));
}

static PyObject *native_fakeroot(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(native_fakeroot_is_loaded());
}

static PyObject *native_drop_capabilities(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return native_nothing(libreplace_drop_capabilities());
}

/* Keeps the GIL, so that no Python code runs while only some threads have changed. */
static PyObject *native_drop_privileges(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct libreplace_identity user;
	struct libreplace_drop result;
	Py_ssize_t size;
	char *groups;
	int flags;

	(void)module;
	if (!native_arity("drop_privileges", count, 4) ||
	    !native_to_id(args[0], &user.uid, "uid") || !native_to_id(args[1], &user.gid, "gid") ||
	    PyBytes_AsStringAndSize(args[2], &groups, &size) != 0)
		return NULL;
	flags = (int)PyLong_AsLong(args[3]);
	if (PyErr_Occurred())
		return NULL;
	user.size = (size_t)size / sizeof(gid_t);
	user.groups = (const gid_t *)(const void *)groups;
	libreplace_drop_privileges(&user, flags, &result);
	return Py_BuildValue("iiil", result.step, result.error, result.state, (long)result.thread);
}

static PyObject *native_private_fs(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return native_nothing(libreplace_private_fs());
}

/* This is in C because in Python an interrupt could come before libreplace_drop_end(). Then no
 * thread could enter any more. */
static PyObject *native_alone(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *result;

	(void)module;
	if (!native_arity("alone", count, 2))
		return NULL;
	if (libreplace_drop_begin() != 0) {
		/* no exception, because the function itself might raise the same one */
		Py_INCREF(Py_NotImplemented);
		return Py_NotImplemented;
	}
	result = PyObject_Call(args[0], args[1], NULL);
	libreplace_drop_end();
	return result;
}

#include "native_report.h"

static PyObject *native_report(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyUnicode_FromStringAndSize(build_report, (Py_ssize_t)sizeof build_report - 1);
}

static PyObject *native_setup(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_state *state = PyModule_GetState(module);

	if (!native_arity("setup", count, 7))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++)
		Py_INCREF(args[i]);
	state->before = args[0];
	state->before_call = args[1];
	state->lazy_frame = args[2];
	state->await_refused = args[3];
	state->failure = args[4];
	state->audit = args[5];
	state->loops = args[6];
	Py_RETURN_NONE;
}

/* An object that this function got is never freed. */
static PyObject *native_keep(PyObject *module, PyObject *object)
{
	(void)module;
	Py_INCREF(object);
	Py_RETURN_NONE;
}

static PyObject *native_setup_impersonated(PyObject *module, PyObject *const *args,
                                           Py_ssize_t count)
{
	struct native_state *state = PyModule_GetState(module);

	if (!native_arity("setup_impersonated", count, 6))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++)
		Py_INCREF(args[i]);
	state->generator = args[0];
	state->is_over = args[1];
	state->clear_locals = args[2];
	state->reduce = args[3];
	state->start = args[4];
	state->abandoned = args[5];
	Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL

static PyMethodDef methods[] = {
    NATIVE_CALLS{"active", native_active, METH_NOARGS, "How many threads are switched."},
    {"main_is_switched", native_main_is_switched, METH_NOARGS,
     "Whether the main thread holds an entry."},
    {"depth", native_depth, METH_NOARGS, "How many entries the calling thread holds."},
    {"tainted", native_tainted, METH_NOARGS, "Whether the calling thread is tainted."},
    {"is_itself", native_is_itself, METH_NOARGS,
     "Whether the calling thread holds no identity and is not tainted."},
    {"step_name", native_step_name, METH_O, "step_name(number): the name of a step."},
    {"state_name", native_state_name, METH_O, "state_name(number): the name of a state."},
    {"fakeroot_is_loaded", native_fakeroot, METH_NOARGS,
     "Whether fakeroot's library replaces libc's calls."},
    {"drop_capabilities", native_drop_capabilities, METH_NOARGS,
     "Drop all capabilities of the calling thread for good."},
    {"drop_privileges", FAST(native_drop_privileges),
     "drop_privileges(uid, gid, groups, flags): (step, error, state, thread); step is 0 after "
     "success."},
    {"claim", FAST(native_claim),
     "claim(workers, task): give a task, or None, to the last of these idle workers."},
    {"private_fs", native_private_fs, METH_NOARGS,
     "Give the calling thread its own working directory and umask."},
    {"alone", FAST(native_alone),
     "alone(function, args): call the function while no thread can enter. Return its result, or "
     "NotImplemented if a thread is switched."},
    {"report", native_report, METH_NOARGS, "The build report, in JSON."},
    {"setup", FAST(native_setup),
     "setup(before, before_call, lazy_frame, await_refused, failure, audit, loops): set the "
     "functions that a guard calls."},
    {"make", FAST(native_make),
     "make(identity, uid, gid, groups, level, flags, across_yield): make a Guard."},
    {"peer", native_peer, METH_O, "peer(socket): (uid, gid, groups) of the peer of a Unix socket."},
    {"thread_settings", native_thread_settings, METH_NOARGS,
     "The calling thread's signal mask, name, locale and floating point environment."},
    {"restore_settings", native_restore_settings, METH_O,
     "restore_settings(settings): restore what thread_settings() returned."},
    {"thread_state", native_thread_state, METH_NOARGS,
     "The calling thread's other settings, to compare."},
    {"join_keyring", native_join_keyring, METH_NOARGS,
     "Join a new session keyring. Return (thread keyring, process keyring, default), or None."},
    {"run", FAST(native_run), "run(guard, function, args, kwargs): enter, call, leave."},
    {"start_child", FAST(native_start_child),
     "start_child(uid, gid, groups, flags, restore_signals, login, no_new_privs, home, paths, "
     "popen, function): call a function that starts the process of popen. Return (result, step, "
     "error, number of the path); step is 0 if the process became the user. Return (step, error) "
     "if it may not start."},
    {"keep", native_keep, METH_O, "keep(object): never free the object."},
    {"closing", native_closing, METH_O,
     "closing(last): how many threads close iterators. If last is True, later ones do not count."},
    {"setup_impersonated", FAST(native_setup_impersonated),
     "setup_impersonated(generator, is_over, clear_locals, reduce, start, abandoned): set what the "
     "iterators of impersonated() use."},
    {"make_impersonated", FAST(native_make_impersonated),
     "make_impersonated(identity, uid, gid, groups, level, flags, options, iterable): make an "
     "iterator."},
    {"finish", native_finish, METH_O,
     "finish(iterator): close an iterator that start() got, as its user."},
    {"open_beneath", (PyCFunction)(void (*)(void))native_open_beneath, METH_VARARGS | METH_KEYWORDS,
     native_open_beneath_doc},
    {NULL, NULL, 0, NULL},
};

/* The constants that the package needs, named as in C without LIBREPLACE_. */
static const struct {
	const char *name;
	long value;
} numbers[] = {
    {"LAZY_CODE", NATIVE_LAZY_CODE},
    {"MAX_GROUPS", MAX_GROUPS},
    {"ALLOW_ROOT", LIBREPLACE_ALLOW_ROOT},
    {"ALLOW_PROCESS", LIBREPLACE_ALLOW_PROCESS},
    {"ABORT_UNLESS_RESTORED", LIBREPLACE_ABORT_UNLESS_RESTORED},
    {"ALLOW_IO_URING", LIBREPLACE_ALLOW_IO_URING},
    {"STEP_REFUSED", LIBREPLACE_STEP_REFUSED},
    {"STEP_READ", LIBREPLACE_STEP_READ},
    {"STEP_PRIVILEGE", LIBREPLACE_STEP_PRIVILEGE},
    {"STEP_VERIFY", LIBREPLACE_STEP_VERIFY},
    {"STEP_THREADS", LIBREPLACE_STEP_THREADS},
    {"STEP_IO_URING", LIBREPLACE_STEP_IO_URING},
    {"STEP_CAPABILITIES", LIBREPLACE_STEP_CAPABILITIES},
    {"STEP_FOUND", LIBREPLACE_STEP_FOUND},
    {"STEP_ORDER", LIBREPLACE_STEP_ORDER},
    {"STEP_FORKED", LIBREPLACE_STEP_FORKED},
    {"STEP_RETURN", LIBREPLACE_STEP_RETURN},
    {"STATE_IDLE", LIBREPLACE_STATE_IDLE},
    {"STATE_ROLLED_BACK", LIBREPLACE_STATE_ROLLED_BACK},
    {"STATE_TAINTED", LIBREPLACE_STATE_TAINTED},
    {"RESOLVE_NO_XDEV", LIBREPLACE_RESOLVE_NO_XDEV},
    {"RESOLVE_NO_MAGICLINKS", LIBREPLACE_RESOLVE_NO_MAGICLINKS},
    {"RESOLVE_NO_SYMLINKS", LIBREPLACE_RESOLVE_NO_SYMLINKS},
    {"RESOLVE_BENEATH", LIBREPLACE_RESOLVE_BENEATH},
    {"RESOLVE_IN_ROOT", LIBREPLACE_RESOLVE_IN_ROOT},
    {"RESOLVE_CACHED", LIBREPLACE_RESOLVE_CACHED},
#ifdef O_PATH
    {"O_PATH", O_PATH}, /* PyPy has no os.O_PATH */
#else
    {"O_PATH", 0},
#endif
    {"RING_OPEN", LIBREPLACE_RING_OPEN},
    {"RING_STAT", LIBREPLACE_RING_STAT},
    {"RING_MKDIR", LIBREPLACE_RING_MKDIR},
    {"RING_UNLINK", LIBREPLACE_RING_UNLINK},
    {"RING_RENAME", LIBREPLACE_RING_RENAME},
    {"RING_LINK", LIBREPLACE_RING_LINK},
    {"RING_SYMLINK", LIBREPLACE_RING_SYMLINK},
};

static const int levels[] = {
    LIBREPLACE_LEVEL_SHIELDED,
    LIBREPLACE_LEVEL_EFFECTIVE,
    LIBREPLACE_LEVEL_REAL,
    LIBREPLACE_LEVEL_FILESYSTEM,
};

/* Add an object, which may be NULL with an exception set, and release it. Return: 0, or -1 with an
 * exception set. */
static int add(PyObject *module, const char *name, PyObject *object)
{
	int result = object == NULL ? -1 : PyModule_AddObjectRef(module, name, object);

	Py_XDECREF(object);
	return result;
}

/* Return a dictionary: name of a level -> its number. */
static PyObject *levels_by_name(void)
{
	PyObject *names = PyDict_New(), *number;

	for (size_t i = 0; names != NULL && i < sizeof levels / sizeof *levels; i++) {
		number = PyLong_FromLong(levels[i]);
		if (number == NULL ||
		    PyDict_SetItemString(names, libreplace_level_name(levels[i]), number) != 0)
			Py_CLEAR(names);
		Py_XDECREF(number);
	}
	return names;
}

static int native_exec(PyObject *module)
{
	struct native_state *state = PyModule_GetState(module);

	state->guard = (PyTypeObject *)PyType_FromModuleAndSpec(module, &native_guard_spec, NULL);
	state->modules = PyImport_GetModuleDict();
	Py_INCREF(state->modules);
	state->entering = PyUnicode_InternFromString("replace.enter");
	state->leaving = PyUnicode_InternFromString("replace.leave");
	state->co_flags = PyUnicode_InternFromString("co_flags");
	state->f_globals = PyUnicode_InternFromString("f_globals");
	state->f_back = PyUnicode_InternFromString("f_back");
	state->name = PyUnicode_InternFromString("__name__");
	state->pop = PyUnicode_InternFromString("pop");
	state->put = PyUnicode_InternFromString("put");
	state->task = PyUnicode_InternFromString("task");
	state->wake = PyUnicode_InternFromString("wake");
	state->impersonated =
	    (PyTypeObject *)PyType_FromModuleAndSpec(module, &native_impersonated_spec, NULL);
	if (PyErr_Occurred() || PyModule_AddType(module, state->guard) != 0 ||
	    PyModule_AddType(module, state->impersonated) != 0 ||
	    add(module, "Ring", PyType_FromModuleAndSpec(module, &native_ring_spec, NULL)) != 0)
		return -1;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value) != 0)
			return -1;
	if (PyModule_AddStringConstant(module, "SCOPE",
	                               LIBREPLACE_THREAD_SCOPE ? "thread" : "process") != 0 ||
	    PyModule_AddStringConstant(module, "VERSION", libreplace_build_info("version")) != 0 ||
	    add(module, "LEVELS", levels_by_name()) != 0)
		return -1;
	return add(module, "SETTERS", Py_BuildValue(NATIVE_SETTERS));
}

#define EACH_OBJECT(state, macro)                                                                  \
	do {                                                                                       \
		macro((state)->guard);                                                             \
		macro((state)->impersonated);                                                      \
		macro((state)->before);                                                            \
		macro((state)->before_call);                                                       \
		macro((state)->loops);                                                             \
		macro((state)->modules);                                                           \
		macro((state)->lazy_frame);                                                        \
		macro((state)->await_refused);                                                     \
		macro((state)->failure);                                                           \
		macro((state)->audit);                                                             \
		macro((state)->generator);                                                         \
		macro((state)->is_over);                                                           \
		macro((state)->clear_locals);                                                      \
		macro((state)->reduce);                                                            \
		macro((state)->start);                                                             \
		macro((state)->abandoned);                                                         \
		macro((state)->entering);                                                          \
		macro((state)->leaving);                                                           \
		macro((state)->co_flags);                                                          \
		macro((state)->f_globals);                                                         \
		macro((state)->f_back);                                                            \
		macro((state)->name);                                                              \
		macro((state)->plain);                                                             \
		macro((state)->pop);                                                               \
		macro((state)->put);                                                               \
		macro((state)->task);                                                              \
		macro((state)->wake);                                                              \
	} while (0)

static int native_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct native_state *state = PyModule_GetState(module);

	EACH_OBJECT(state, Py_VISIT);
	return 0;
}

static int native_clear(PyObject *module)
{
	struct native_state *state = PyModule_GetState(module);

	EACH_OBJECT(state, Py_CLEAR);
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
    "The calls for ids, the type Guard, and the iterators of impersonated().",
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
