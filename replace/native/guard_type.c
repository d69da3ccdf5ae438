/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The type Guard: one entry as a context manager. It is in C because an interrupt can stop a Python
 * __enter__ or __exit__ half-way. A guard that its thread frees while it is held restores the ids.
 * If another thread frees it, the thread that entered keeps the identity, and is tainted.
 * _impersonate.py makes the guards, _errors.py the exceptions.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "native.h"

/*
 * @ROOM: groups that fit into the object; memory for more is allocated. With this number, the
 * object has at most 512 bytes, for which Python's allocator is fast
 * @SHOWN: groups that repr() shows at most
 */
enum { ROOM = 14, SHOWN = 16 };

typedef struct {
	PyObject_HEAD
	PyObject *identity, *groups; /* an Identity, and its groups as bytes */
	struct libreplace_identity user;
	struct libreplace_guard *guard; /* has the flags; make_room() may replace it */
	int level;                      /* enum libreplace_level */
	int used;                       /* was entered, so it cannot be entered again */
	int across_yield;               /* a generator or coroutine may enter */
	int state;                      /* a copy of guard->state, for other threads */
	unsigned forks;                 /* the number of forks on entry */
	unsigned long thread;           /* the thread that entered, as threading.get_ident() */
	LIBREPLACE_GUARD(inside, ROOM);
} Guard;

_Static_assert(sizeof(Guard) <= 512 || sizeof(PyObject) > 16, "choose a smaller ROOM");

static struct native_state *state_of(Guard *self)
{
	return PyType_GetModuleState(Py_TYPE(self));
}

/* How often fork(2) copied this process since the module was loaded. */
static unsigned forks;

static void count_fork(void)
{
	forks++;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, count_fork);
}

/* Raise @error and release it. If @error is NULL, an exception is set already. */
static void raise_made(PyObject *error)
{
	if (error != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
		Py_DECREF(error);
	}
}

/* Raise the exception for a failure. @now: what the calling thread is, enum libreplace_state. */
static void raise_error(Guard *self, int error, int step, int now)
{
	struct native_state *state = state_of(self);

	if (state == NULL || state->failure == NULL) { /* the interpreter is shutting down */
		errno = error;
		PyErr_SetFromErrno(PyExc_OSError);
		return;
	}
	raise_made(PyObject_CallFunction(state->failure, "iOiik", error, self->identity, step, now,
	                                 self->thread));
}

/* Whether another thread tried to leave the entry, or freed the guard. */
static int is_orphaned(const Guard *self)
{
	return __atomic_load_n(&self->guard->state, __ATOMIC_ACQUIRE) == LIBREPLACE_STATE_ORPHANED;
}

/* Raise the exception for the failure that is stored in the guard. The guard of another thread
 * stores none. */
static void raise_failure(Guard *self)
{
	if (is_orphaned(self))
		raise_error(self, EPERM, LIBREPLACE_STEP_ORDER, LIBREPLACE_STATE_TAINTED);
	else
		raise_error(self, self->guard->error, self->guard->step, self->guard->state);
}

/* Replace the guard, which must not be entered, by a larger one. Return: 0, or -1 with an exception
 * set. */
static int make_room(Guard *self, size_t room)
{
	size_t size = sizeof(struct libreplace_guard) + 3 * room * sizeof(gid_t);
	struct libreplace_guard *larger = PyMem_Malloc(size);

	if (larger == NULL || libreplace_guard_init(larger, size) != 0) {
		PyMem_Free(larger);
		PyErr_NoMemory();
		return -1;
	}
	larger->flags = self->guard->flags;
	if (self->guard != &self->inside.guard)
		PyMem_Free(self->guard);
	self->guard = larger;
	return 0;
}

/* Copy the state for other threads: while the thread enters, make_room() may free the guard. */
static void copy_state(Guard *self)
{
	__atomic_store_n(&self->state, self->guard->state, __ATOMIC_RELEASE);
}

/* Whether the calling thread may read the guard. While a thread enters, no other one may: see
 * copy_state(). */
static int is_readable(const Guard *self)
{
	return self->thread == PyThread_get_thread_ident() ||
	       __atomic_load_n(&self->state, __ATOMIC_ACQUIRE) != LIBREPLACE_STATE_IDLE;
}

/* Call libreplace_enter(), with room for all groups of the thread. */
static int switch_in(Guard *self)
{
	int result, groups;

	for (;;) {
		UNLOCKED_IF(self->guard->room > LONG_LIST,
		            result = libreplace_enter(self->guard, &self->user, self->level));
		copy_state(self);
		if (result == 0 || self->guard->step != LIBREPLACE_STEP_READ ||
		    self->guard->error != ENOBUFS)
			return result;
		groups = libreplace_getgroups(0, NULL); /* the thread's groups did not fit */
		if (groups <= (int)self->guard->room)
			return result;
		if (make_room(self, (size_t)groups) != 0)
			return -1;
	}
}

/* Call libreplace_leave(). */
static int switch_out(Guard *self)
{
	int result;

	UNLOCKED_IF(self->guard->room > LONG_LIST, result = libreplace_leave(self->guard));
	copy_state(self);
	return result;
}

/* Whether one of the modules in state->loops has been imported; -1 with an exception set. */
static int loops_imported(const struct native_state *state)
{
	Py_ssize_t count = PyTuple_Size(state->loops);

	for (Py_ssize_t i = 0; i < count; i++) {
		int found = PyDict_Contains(state->modules, PyTuple_GetItem(state->loops, i));

		if (found != 0)
			return found;
	}
	return 0;
}

/* Raise an audit event with the identity and the level. Return: 1, or 0 if a hook raised an
 * exception. */
static int audit(Guard *self, PyObject *event)
{
	PyObject *level = PyLong_FromLong(self->level), *result = NULL;

	if (level != NULL)
		result = PyObject_CallFunctionObjArgs(state_of(self)->audit, event, self->identity,
		                                      level, NULL);
	Py_XDECREF(level);
	Py_XDECREF(result);
	return result != NULL;
}

/* Call @function(identity), a function of setup() that may refuse the entry. Return: 1, or 0 with
 * an exception set. */
static int permits(Guard *self, PyObject *function)
{
	PyObject *result = PyObject_CallFunctionObjArgs(function, self->identity, NULL);

	Py_XDECREF(result);
	return result != NULL;
}

/* Whether the thread may enter; if not, an exception is set. Changes no ids. @plain: the entry ends
 * before the called function returns, so it cannot be held across an await. */
static int may_enter(Guard *self, int plain)
{
	struct native_state *state = state_of(self);
	int loops = loops_imported(state);

	if (loops != 0 && (loops < 0 || !permits(self, plain ? state->before_call : state->before)))
		return 0;
	if (!plain && !self->across_yield) {
		long flags = native_flags_of_caller(state);

		if (flags < 0)
			return 0;
		if (flags & NATIVE_LAZY_CODE) {
			raise_made(
			    PyObject_CallFunction(state->lazy_frame, "Ol", self->identity, flags));
			return 0;
		}
	}
	return audit(self, state->entering);
}

/* Enter; @plain as for may_enter(). Return: 0, or -1 with an exception set. */
static int enter(Guard *self, int plain)
{
	if (__atomic_exchange_n(&self->used, 1, __ATOMIC_SEQ_CST)) {
		PyErr_SetString(
		    PyExc_RuntimeError,
		    "this guard was entered before, and each guard can be entered once; call "
		    "impersonate() again");
		return -1;
	}
	if (!may_enter(self, plain))
		return -1;
	self->thread = PyThread_get_thread_ident();
	self->forks = forks;
	if (switch_in(self) == 0)
		return 0;
	if (!PyErr_Occurred())
		raise_failure(self);
	return -1;
}

/* Whether a thread holds the identity. */
static int is_held(const Guard *self)
{
	return is_orphaned(self) ||
	       __atomic_load_n(&self->guard->state, __ATOMIC_ACQUIRE) == LIBREPLACE_STATE_ENTERED;
}

/* Leave. Return: 0, or -1 with an exception set. */
static int leave(Guard *self)
{
	struct native_state *state = state_of(self);
	int held;

	if (!is_readable(self))
		return 0;
	held = is_held(self);
	if (switch_out(self) != 0) {
		raise_failure(self);
		return -1;
	}
	if (!held || self->guard->state != LIBREPLACE_STATE_LEFT || state == NULL ||
	    state->audit == NULL)
		return 0;
	return audit(self, state->leaving) ? 0 : -1;
}

PyObject *native_new_guard(struct native_state *state, const struct native_entry *entry,
                           int across_yield)
{
	Guard *self;
	Py_ssize_t size;
	char *groups;

	if (PyBytes_AsStringAndSize(entry->groups, &groups, &size) != 0)
		return NULL;
	self = (Guard *)PyType_GenericAlloc(state->guard, 0);
	if (self == NULL)
		return NULL;
	Py_INCREF(entry->identity);
	Py_INCREF(entry->groups);
	self->identity = entry->identity;
	self->groups = entry->groups;
	self->guard = &self->inside.guard;
	if (libreplace_guard_init(self->guard, sizeof self->inside) != 0)
		PyErr_NoMemory();
	self->level = entry->level;
	self->guard->flags = entry->flags;
	self->across_yield = across_yield;
	self->user.uid = entry->uid;
	self->user.gid = entry->gid;
	self->user.size = (size_t)size / sizeof(gid_t);
	self->user.groups = (const gid_t *)(const void *)groups;
	if (PyErr_Occurred() || (self->user.size > ROOM && make_room(self, self->user.size) != 0)) {
		Py_DECREF(self);
		return NULL;
	}
	return (PyObject *)self;
}

int native_to_entry(PyObject *const *args, struct native_entry *entry)
{
	entry->identity = args[0];
	entry->uid = (uid_t)PyLong_AsUnsignedLong(args[1]);
	entry->gid = (gid_t)PyLong_AsUnsignedLong(args[2]);
	entry->groups = args[3];
	entry->level = (int)PyLong_AsLong(args[4]);
	entry->flags = (int)PyLong_AsLong(args[5]);
	if (!PyErr_Occurred() && !PyBytes_Check(entry->groups))
		PyErr_SetString(PyExc_TypeError, "groups should be bytes");
	return PyErr_Occurred() == NULL;
}

PyObject *native_make(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_entry entry;
	int across_yield;

	if (!native_arity("make", count, 7) || !native_to_entry(args, &entry))
		return NULL;
	across_yield = PyObject_IsTrue(args[6]);
	if (across_yield < 0)
		return NULL;
	return native_new_guard(PyModule_GetState(module), &entry, across_yield);
}

static PyObject *guard_enter(PyObject *object, PyObject *unused)
{
	Guard *self = (Guard *)object;

	(void)unused;
	if (enter(self, 0) != 0)
		return NULL;
	Py_INCREF(self->identity);
	return self->identity;
}

static PyObject *guard_exit(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	(void)args;
	(void)count;
	if (leave((Guard *)object) != 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *guard_check(PyObject *object, PyObject *unused)
{
	Guard *self = (Guard *)object;

	(void)unused;
	return PyBool_FromLong(is_readable(self) && libreplace_check(self->guard) == 0);
}

static PyObject *guard_await(PyObject *object, PyObject *arguments)
{
	struct native_state *state = state_of((Guard *)object);

	(void)arguments;
	if (state == NULL || state->await_refused == NULL) /* the interpreter is shutting down */
		PyErr_SetString(PyExc_TypeError, "an identity cannot be held across await");
	else
		raise_made(PyObject_CallFunctionObjArgs(state->await_refused, NULL));
	return NULL;
}

void native_after_error(void (*call)(void *), void *argument)
{
	PyObject *kind, *value, *trace, *outer_kind, *outer, *outer_trace;

	PyErr_Fetch(&kind, &value, &trace);
	PyErr_NormalizeException(&kind, &value, &trace);
	if (trace != NULL)
		PyException_SetTraceback(value, trace);
	PyErr_GetExcInfo(&outer_kind, &outer, &outer_trace);
	Py_INCREF(kind);
	Py_INCREF(value);
	Py_XINCREF(trace);
	PyErr_SetExcInfo(kind, value, trace);
	call(argument);
	PyErr_SetExcInfo(outer_kind, outer, outer_trace);
	if (!PyErr_Occurred()) {
		PyErr_Restore(kind, value, trace);
		return;
	}
	Py_DECREF(kind);
	Py_DECREF(value);
	Py_XDECREF(trace);
}

static void leave_after_error(void *guard)
{
	(void)leave(guard);
}

int native_enter(PyObject *guard)
{
	return enter((Guard *)guard, 1);
}

PyObject *native_leave(PyObject *guard, PyObject *result)
{
	if (PyErr_Occurred())
		native_after_error(leave_after_error, guard);
	else if (leave((Guard *)guard) != 0)
		Py_CLEAR(result);
	return result;
}

int native_is_busy(PyObject *object)
{
	const struct libreplace_guard *guard = ((Guard *)object)->guard;

	return guard->step == LIBREPLACE_STEP_REFUSED && guard->error == EBUSY;
}

int native_is_refused_here(PyObject *object)
{
	return ((Guard *)object)->guard->step == LIBREPLACE_STEP_NONE || native_is_busy(object);
}

/* Enter, call and leave. No bytecode runs in between, so an interrupt comes either before the entry
 * or inside the function. */
PyObject *native_run(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_state *state = PyModule_GetState(module);

	if (count != 4 || Py_TYPE(args[0]) != state->guard) {
		PyErr_SetString(PyExc_TypeError, "run(guard, function, args, kwargs)");
		return NULL;
	}
	if (native_enter(args[0]) != 0)
		return NULL;
	return native_leave(args[0],
	                    PyObject_Call(args[1], args[2], args[3] == Py_None ? NULL : args[3]));
}

/*
 * Free a guard that is held. Its own thread restores the ids. Another thread cannot, so it leaves
 * the guard to the thread that entered, which then refuses further entries. The same happens if
 * another thread has tried to leave the guard, so that the outcome does not depend on the thread in
 * which Python frees it: a build without the GIL may choose the thread that entered. Return:
 * whether the memory is not needed any more.
 */
static int free_held(Guard *self)
{
	/* if the thread that entered has ended, another one may have its ident */
	int own = self->thread == PyThread_get_thread_ident() && libreplace_depth() > 0;
	int held = LIBREPLACE_STATE_ENTERED;
	PyObject *kind, *value, *trace;

	PyErr_Fetch(&kind, &value, &trace);
	if (own && !is_orphaned(self)) {
		if (leave(self) != 0)
			PyErr_WriteUnraisable(self->identity);
	} else if (__atomic_compare_exchange_n(&self->guard->state, &held,
	                                       LIBREPLACE_STATE_ORPHANED, 0, __ATOMIC_ACQ_REL,
	                                       __ATOMIC_ACQUIRE)) {
		raise_error(self, EPERM, LIBREPLACE_STEP_ORDER, LIBREPLACE_STATE_IDLE);
		PyErr_WriteUnraisable(self->identity);
	}
	PyErr_Restore(kind, value, trace);
	return !is_orphaned(self);
}

static void guard_dealloc(PyObject *object)
{
	Guard *self = (Guard *)object;
	PyTypeObject *type = Py_TYPE(object);

	if (self->guard != NULL && is_held(self) && !free_held(self))
		return; /* the thread that entered reads the guard */
	if (self->guard != NULL && self->guard != &self->inside.guard)
		PyMem_Free(self->guard);
	Py_XDECREF(self->identity);
	Py_XDECREF(self->groups);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

/* Write whether the guard is held, and by which thread. Makes no system call. */
static void describe_state(Guard *self, char *text, size_t size)
{
	int state = __atomic_load_n(&self->state, __ATOMIC_ACQUIRE);
	char thread[40] = "this thread";

	if (self->thread != PyThread_get_thread_ident())
		PyOS_snprintf(thread, sizeof thread, "thread %lu", self->thread);
	if (state == LIBREPLACE_STATE_FOR_GOOD)
		PyOS_snprintf(text, size, "this process is the user for good");
	else if (state == LIBREPLACE_STATE_ENTERED && self->forks != forks)
		PyOS_snprintf(text, size, "held in the parent process");
	else if (state == LIBREPLACE_STATE_ENTERED)
		PyOS_snprintf(text, size, "held by %s", thread);
	else if (state == LIBREPLACE_STATE_TAINTED)
		PyOS_snprintf(text, size, "tainted, entered by %s", thread);
	else if (state == LIBREPLACE_STATE_ORPHANED)
		PyOS_snprintf(text, size, "held by %s, which is tainted", thread);
	else if (state == LIBREPLACE_STATE_ROLLED_BACK)
		PyOS_snprintf(text, size, "rolled back");
	else
		PyOS_snprintf(text, size, state == LIBREPLACE_STATE_LEFT ? "left" : "not entered");
}

/* May run at any time and in any thread. It reads only fields that are set once, and @state. */
static PyObject *guard_repr(PyObject *object)
{
	Guard *self = (Guard *)object;
	char groups[SHOWN * 12 + 40] = "", state[80]; /* a gid has at most 10 digits */
	size_t count = self->user.size;
	int length = 0;

	for (size_t i = 0; i < count && i < SHOWN; i++)
		length += PyOS_snprintf(groups + length, sizeof groups - (size_t)length, "%s%u",
		                        i == 0 ? "" : ", ", (unsigned)self->user.groups[i]);
	if (count > SHOWN)
		PyOS_snprintf(groups + length, sizeof groups - (size_t)length, ", and %lu more",
		              (unsigned long)(count - SHOWN));
	describe_state(self, state, sizeof state);
	return PyUnicode_FromFormat("<" PACKAGE ".Guard uid=%u gid=%u groups=[%s] level=%s, %s>",
	                            (unsigned)self->user.uid, (unsigned)self->user.gid, groups,
	                            libreplace_level_name(self->level), state);
}

static PyObject *get_changes(PyObject *object, void *unused)
{
	Guard *self = (Guard *)object;

	(void)unused;
	return PyLong_FromLong(is_readable(self) ? self->guard->changes : 0);
}

static PyMethodDef guard_methods[] = {
    {"__enter__", guard_enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\n"
     "Switch the calling thread.\n"
     "\n"
     "Returns:\n"
     "    The identity.\n"
     "\n"
     "Raises:\n"
     "    IdentityRefused: As for impersonate(). Nothing changed.\n"
     "    IdentityError: A step failed. ``state`` says what the thread is now.\n"
     "    RuntimeError: The guard was entered before."},
    {"__exit__", (PyCFunction)(void (*)(void))guard_exit, METH_FASTCALL,
     "__exit__($self, kind, error, trace, /)\n--\n\n"
     "Restore the ids that the thread had on entry.\n"
     "\n"
     "Args:\n"
     "    kind: Not used.\n"
     "    error: Not used.\n"
     "    trace: Not used.\n"
     "\n"
     "Raises:\n"
     "    IdentityChanged: The thread's ids differed from those that the entry set. The ids from\n"
     "        before the entry are restored.\n"
     "    ThreadTainted: The guard was entered in another thread, or an inner identity is still "
     "held.\n"
     "    IdentityError: A step failed. ``state`` says what the thread is now."},
    {"check", guard_check, METH_NOARGS,
     "check($self, /)\n--\n\n"
     "Check the ids, groups and capabilities of the calling thread.\n"
     "\n"
     "If it finds a difference, leaving the guard raises an exception for it.\n"
     "\n"
     "Returns:\n"
     "    Whether the thread still has the ids, groups and capabilities that the entry set."},
    {"__aenter__", guard_await, METH_NOARGS,
     "__aenter__($self, /)\n--\n\nRaise TypeError: an identity cannot be held across await."},
    {"__aexit__", guard_await, METH_VARARGS,
     "__aexit__($self, /, *exception)\n--\n\nRaise TypeError: an identity cannot be held across "
     "await."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef guard_attributes[] = {
    {"changes", get_changes, NULL,
     "The number of credential-changing system calls that this guard has made.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot guard_slots[] = {
    {Py_tp_doc,
     (void *)"One entry into an identity: the context manager that impersonate() returns.\n\n"
             "A guard can be entered once. You cannot make one by hand or pickle it. Its repr\n"
             "shows its user and the thread that holds it."},
    {Py_tp_dealloc, (void *)guard_dealloc},
    {Py_tp_repr, (void *)guard_repr},
    {Py_tp_methods, guard_methods},
    {Py_tp_getset, guard_attributes},
    {0, NULL},
};

/* Meson defines PACKAGE: a vendored package has another name. */
PyType_Spec native_guard_spec = {
    .name = PACKAGE "._native.Guard",
    .basicsize = sizeof(Guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = guard_slots,
};
