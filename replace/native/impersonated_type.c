/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The iterators that impersonated() returns. An iterator holds a body: an iterable and its
 * iterator, for example a generator. A body runs and ends as its user or not at all: code of it
 * runs in next(), in close(), and when the last reference to it goes.
 *
 * - The identity is entered before a reference to the body is taken or released. A refused call
 *   changes nothing.
 * - The garbage collector does not see the body, because this type has no tp_traverse. So it never
 *   ends a body: the reference counts show a reference from outside. It never frees a body that
 *   refers to its own iterator, either.
 * - An iterator that is freed closes its body. If this thread cannot enter, another thread does it.
 *   If that is impossible, the body is abandoned: its references are never released.
 */
#include <pthread.h>
#include <time.h>
#include "native.h"

#ifndef Py_BEGIN_CRITICAL_SECTION /* before Python 3.13, there is always a GIL */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* How many milliseconds finish() waits while another thread changes the ids of the process. */
enum { LONGEST_WAIT = 10000 };

/*
 * @source: the iterable
 * @iterator: its iterator, or NULL before the first next()
 * @is_exhausted: next() has come to the end
 */
struct body {
	PyObject *source, *iterator;
	int is_exhausted;
};

typedef struct {
	PyObject_HEAD
	struct native_entry entry; /* owns its references */
	PyObject *options;         /* of impersonated(), a dictionary */
	struct body body;          /* no references after the end */
	int users;                 /* calls of next() and close() that are inside the body */
	int is_closed;             /* no more calls may begin; the last user ends the body */
	int is_handed_over;        /* start() got it, so start() does not get it again */
	int is_counted;            /* in closing */
} Impersonated;

/* How many iterators other threads close, for which the interpreter waits when it exits. A forked
 * child has no such threads. */
static int closing;
/* The interpreter exits, and waits for no new ones. */
static int is_exiting;

static void forget_threads(void)
{
	closing = 0;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_threads);
}

/* Count an iterator, until stop_counting() is called in whatever thread is first. */
static void count(Impersonated *self)
{
	if (__atomic_load_n(&is_exiting, __ATOMIC_ACQUIRE))
		return;
	self->is_counted = 1;
	__atomic_add_fetch(&closing, 1, __ATOMIC_ACQ_REL);
}

static void stop_counting(Impersonated *self)
{
	if (__atomic_exchange_n(&self->is_counted, 0, __ATOMIC_ACQ_REL))
		__atomic_sub_fetch(&closing, 1, __ATOMIC_ACQ_REL);
}

/* An exception that is set aside. */
struct error {
	PyObject *kind, *value, *trace;
};

static struct error fetch(void)
{
	struct error error;

	PyErr_Fetch(&error.kind, &error.value, &error.trace);
	return error;
}

/* Fetch an exception as an object with its traceback. */
static struct error fetch_object(void)
{
	struct error error = fetch();

	PyErr_NormalizeException(&error.kind, &error.value, &error.trace);
	if (error.trace != NULL)
		PyException_SetTraceback(error.value, error.trace);
	return error;
}

static void restore(struct error error)
{
	PyErr_Restore(error.kind, error.value, error.trace);
}

static struct native_state *state_of(Impersonated *self)
{
	return PyType_GetModuleState(Py_TYPE(self));
}

static int is_closed(Impersonated *self)
{
	return __atomic_load_n(&self->is_closed, __ATOMIC_ACQUIRE);
}

/* ---- Who uses the body */

/* Become a user of the body. @last: nobody else may. Return: whether that was possible. */
static int begin(Impersonated *self, int last)
{
	int may;

	Py_BEGIN_CRITICAL_SECTION(self);
	may = !self->is_closed;
	self->users += may;
	if (last)
		__atomic_store_n(&self->is_closed, 1, __ATOMIC_RELEASE);
	Py_END_CRITICAL_SECTION();
	return may;
}

/* Stop using the body. Return: the body, if it is closed and nobody else uses it. */
static struct body stop(Impersonated *self)
{
	struct body body = {NULL, NULL, 0};

	Py_BEGIN_CRITICAL_SECTION(self);
	if (--self->users == 0 && self->is_closed) {
		body = self->body;
		self->body.source = self->body.iterator = NULL;
	}
	Py_END_CRITICAL_SECTION();
	return body;
}

/* ---- While the identity is held */

/* Whether an attribute is true. @unknown: the answer if there is no memory to read it. */
static int is_true(PyObject *object, const char *attribute, int unknown)
{
	PyObject *value = PyObject_GetAttrString(object, attribute);
	int result = value == NULL ? -1 : PyObject_IsTrue(value);

	Py_XDECREF(value);
	if (result < 0)
		PyErr_Clear();
	return result < 0 ? unknown : result;
}

/*
 * The body has raised the exception that is set. Its traceback refers to the body's frames, and
 * the frames to local variables: files, other generators. Whoever frees the exception would end
 * them, so end them now. If it fails, keep the exception for ever.
 */
static void clear_locals(const struct native_state *state)
{
	struct error error = fetch_object(), outer;
	PyObject *result;

	PyErr_GetExcInfo(&outer.kind, &outer.value, &outer.trace);
	result = PyObject_CallFunctionObjArgs(state->clear_locals, error.value,
	                                      outer.value == NULL ? Py_None : outer.value, NULL);
	if (result == NULL)
		Py_INCREF(error.value);
	PyErr_Clear();
	Py_XDECREF(result);
	Py_XDECREF(outer.kind);
	Py_XDECREF(outer.value);
	Py_XDECREF(outer.trace);
	restore(error);
}

/* An object to close, and whether its close() has returned. */
struct closing {
	PyObject *object;
	int is_done;
};

static void call_close(void *argument)
{
	struct closing *closing = argument;
	PyObject *close = PyObject_GetAttrString(closing->object, "close"), *result;

	if (close == NULL) {
		if (PyErr_ExceptionMatches(PyExc_AttributeError))
			PyErr_Clear();
		return;
	}
	result = PyObject_CallNoArgs(close);
	closing->is_done = result != NULL;
	Py_XDECREF(result);
	Py_DECREF(close);
}

/* Call close() of an object. An exception may be set before and afterwards. Return: whether it has
 * returned. */
static int close_object(PyObject *object)
{
	struct closing closing = {object, 0};

	if (PyErr_Occurred())
		native_after_error(call_close, &closing);
	else
		call_close(&closing);
	return closing.is_done;
}

/* Close the iterator and the iterable. An exception may be set before and afterwards. Return:
 * whether close() of the iterator has returned. */
static int close_body(const struct native_state *state, const struct body *body)
{
	int is_done = body->iterator != NULL && close_object(body->iterator);

	if (body->source != body->iterator)
		close_object(body->source);
	if (PyErr_Occurred())
		clear_locals(state);
	return is_done;
}

/*
 * Whether an iterator is not closed, and other objects refer to it. They would end it later as
 * somebody else. Either it is a generator that has caught GeneratorExit. Or it has no close(), like
 * that of map(), or close() has failed: an object that refers to itself, for example, would be left
 * to the garbage collector. An iterator of Python's own that has come to its end is over, unless a
 * paused generator is inside. @is_done: its close() has returned.
 */
static int stays_open(const struct native_state *state, const struct body *body, int is_done)
{
	PyObject *iterator = body->iterator, *result;
	int is_over;

	if (Py_REFCNT(iterator) == 1)
		return 0;
	if ((PyObject *)Py_TYPE(iterator) == state->generator)
		return is_true(iterator, "gi_frame", 1);
	if (is_done || !body->is_exhausted)
		return !is_done;
	result = PyObject_CallFunctionObjArgs(state->is_over, iterator, NULL);
	is_over = result == Py_True;
	Py_XDECREF(result);
	PyErr_Clear();
	return !is_over;
}

/* Close the body, and release it. An exception may be set before and afterwards. Return: whether
 * its iterator stays open. Then its reference is never released. */
static int end_body(const struct native_state *state, const struct body *body)
{
	int is_done = close_body(state, body), is_open;
	struct error error = fetch();

	/* stays_open() looks at the references of others */
	Py_DECREF(body->source == body->iterator ? body->iterator : body->source);
	is_open = body->iterator != NULL && stays_open(state, body, is_done);
	if (!is_open)
		Py_XDECREF(body->iterator);
	restore(error);
	return is_open;
}

/* Return the body's iterator, a borrowed reference, or NULL with an exception set. The first call
 * makes it. */
static PyObject *get_iterator(Impersonated *self)
{
	PyObject *iterator, *made = NULL;

	Py_BEGIN_CRITICAL_SECTION(self);
	iterator = self->body.iterator;
	Py_END_CRITICAL_SECTION();
	if (iterator != NULL || (made = PyObject_GetIter(self->body.source)) == NULL)
		return iterator;
	Py_BEGIN_CRITICAL_SECTION(self);
	iterator = self->body.iterator;
	if (iterator == NULL)
		iterator = self->body.iterator = made;
	Py_END_CRITICAL_SECTION();
	if (iterator != made)
		Py_DECREF(made); /* another thread was faster */
	return iterator;
}

/* Call __next__(). Return NULL without an exception, or with StopIteration, at the end. */
static PyObject *call_next(PyObject *iterator)
{
#ifdef PYPY_VERSION
	return PyObject_CallMethod(iterator, "__next__", NULL);
#else
	iternextfunc next = (iternextfunc)PyType_GetSlot(Py_TYPE(iterator), Py_tp_iternext);

	if (next != NULL)
		return next(iterator);
	PyErr_SetString(PyExc_TypeError, "the class of the iterator has no __next__() any more");
	return NULL;
#endif
}

/* After call_next() returned NULL: whether the iterator has come to its end. */
static int is_end(void)
{
	return !PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_StopIteration);
}

/* ---- Reports */

/* Return a text that shows the body and its user. Takes no reference to the body, and runs no code
 * of it. */
static PyObject *describe(Impersonated *self, const struct body *body)
{
	struct native_state *state = state_of(self);
	PyObject *type = NULL, *kind = NULL, *name = NULL, *result;
	const char *now = "closed";

	if (body->source != NULL) {
		now = body->iterator == NULL ? "not started" : "started";
		type = (PyObject *)Py_TYPE(body->source);
		Py_INCREF(type);
		if (state != NULL && type == state->generator)
			name = PyObject_GetAttrString(body->source, "__qualname__");
		kind = PyObject_GetAttrString(type, "__name__"); /* other threads may run now */
		Py_DECREF(type);
		if (kind != NULL && !PyUnicode_Check(kind))
			Py_CLEAR(kind);
		PyErr_Clear();
	}
	result =
	    PyUnicode_FromFormat("<" PACKAGE ".impersonated%s%V%s%V uid=%u gid=%u level=%s, %s>",
	                         kind == NULL ? "" : " ", kind, "", name == NULL ? "" : " ", name,
	                         "", (unsigned)self->entry.uid, (unsigned)self->entry.gid,
	                         libreplace_level_name(self->entry.level), now);
	Py_XDECREF(kind);
	Py_XDECREF(name);
	return result;
}

static PyObject *impersonated_repr(PyObject *object)
{
	static const struct body none;
	Impersonated *self = (Impersonated *)object;
	PyObject *result;

	Py_BEGIN_CRITICAL_SECTION(self);
	result = describe(self, self->is_closed ? &none : &self->body);
	Py_END_CRITICAL_SECTION();
	return result;
}

/* Report that a body never ends, with the exception that is set as the reason. @before: why an
 * earlier thread could not close it, or NULL. */
static void report(Impersonated *self, const struct body *body, PyObject *before)
{
	struct native_state *state = state_of(self);
	struct error error = fetch_object();
	PyObject *text = describe(self, body), *made = NULL;

	if (state != NULL && state->abandoned != NULL && text != NULL)
		made = PyObject_CallFunctionObjArgs(state->abandoned, self->entry.identity, text,
		                                    error.value, before == NULL ? Py_None : before,
		                                    NULL);
	Py_XDECREF(text);
	restore(error);
	if (made != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(made), made);
		Py_DECREF(made);
	}
	PyErr_WriteUnraisable(self->entry.identity);
}

/* Report that the iterator of a body stays open after closing. */
static void report_open(Impersonated *self, const struct body *body)
{
	const struct body open = {body->iterator, body->iterator, 0}; /* the iterable may be gone */
	struct error error = fetch();

	PyErr_SetString(PyExc_RuntimeError,
	                "other objects refer to its iterator, and it has no close() that ends it");
	report(self, &open, NULL);
	restore(error);
}

/* Take the body from an iterator that nobody uses, to end it elsewhere or never. */
static struct body take_body(Impersonated *self)
{
	static const struct body none;

	return begin(self, 1) ? stop(self) : none;
}

/* Give up: nobody releases the references of the body, so it never ends. There is nothing to report
 * if it has neither started nor a close(), like a list. Return: whether another thread does not end
 * it. */
static int abandon(Impersonated *self, PyObject *before)
{
	struct body body = take_body(self);

	if (body.source == NULL)
		PyErr_WriteUnraisable(self->entry.identity); /* another thread ends it */
	else if (body.iterator != NULL ||
	         PyObject_HasAttrString((PyObject *)Py_TYPE(body.source), "close"))
		report(self, &body, before);
	else
		PyErr_Clear();
	return body.source != NULL;
}

/* ---- Entering */

/* Make a guard and enter it. Return: the guard, or NULL with an exception set. @elsewhere: after
 * a refusal, whether another thread may succeed; @busy: whether this thread may succeed later. */
static PyObject *enter(Impersonated *self, int *elsewhere, int *busy)
{
	struct native_state *state = state_of(self);
	PyObject *guard;

	*busy = 0;
	*elsewhere = 1;
	/* an iterator in an iterator in an iterator: the stack has an end */
	if (Py_EnterRecursiveCall(" in an iterator of impersonated()"))
		return NULL;
	*elsewhere = 0;
	guard = state == NULL ? NULL : native_new_guard(state, &self->entry, 0);
	if (guard != NULL && native_enter(guard) != 0) {
		*busy = native_is_busy(guard);
		*elsewhere = native_is_refused_here(guard);
		Py_CLEAR(guard);
	}
	if (guard == NULL) {
		Py_LeaveRecursiveCall();
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
	}
	return guard;
}

/* As native_leave(), and release the guard. */
static PyObject *leave(PyObject *guard, PyObject *result)
{
	result = native_leave(guard, result);
	Py_DECREF(guard);
	Py_LeaveRecursiveCall();
	return result;
}

static PyObject *impersonated_next(PyObject *object)
{
	Impersonated *self = (Impersonated *)object;
	PyObject *guard, *iterator, *result = NULL;
	struct error error, late = {NULL, NULL, NULL};
	struct body body = {NULL, NULL, 0};
	int is_open = 0, unused;

	if (is_closed(self))
		return NULL;
	guard = enter(self, &unused, &unused);
	if (guard == NULL)
		return NULL;
	if (begin(self, 0)) {
		iterator = get_iterator(self);
		if (iterator != NULL)
			result = call_next(iterator);
		if (iterator != NULL && result == NULL && is_end())
			self->body.is_exhausted = 1;
		if (PyErr_Occurred())
			clear_locals(state_of(self));
		body = stop(self);
	}
	if (body.source != NULL) { /* it was closed during next() */
		error = fetch();
		is_open = end_body(state_of(self), &body);
		late = fetch();
		restore(error);
	}
	result = leave(guard, result);
	if (late.kind != NULL || is_open) {
		error = fetch();
		restore(late);
		if (PyErr_Occurred())
			PyErr_WriteUnraisable(self->entry.identity);
		if (is_open)
			report_open(self, &body);
		restore(error);
	}
	return result;
}

/* Close the body as its user. Return: 0, with an exception set if closing failed; or -1 if the
 * thread could not enter. Then nothing has changed. */
static int finish(Impersonated *self, int *elsewhere, int *busy)
{
	PyObject *guard = enter(self, elsewhere, busy);
	struct body body = {NULL, NULL, 0};
	int is_open = 0;

	if (guard == NULL)
		return -1;
	if (begin(self, 1)) {
		if (__atomic_load_n(&self->users, __ATOMIC_ACQUIRE) > 1)
			close_body(state_of(self), &self->body); /* the others end it */
		body = stop(self);
		if (body.source != NULL)
			is_open = end_body(state_of(self), &body);
	}
	leave(guard, NULL);
	if (is_open)
		report_open(self, &body);
	return 0;
}

static PyObject *impersonated_close(PyObject *object, PyObject *none)
{
	Impersonated *self = (Impersonated *)object;
	int unused;

	(void)none;
	if (!is_closed(self) && (finish(self, &unused, &unused) != 0 || PyErr_Occurred()))
		return NULL;
	Py_RETURN_NONE;
}

/* ---- The end of an iterator that nobody closed */

static Impersonated *new_impersonated(struct native_state *state, const struct native_entry *entry,
                                      PyObject *options)
{
	Impersonated *self = (Impersonated *)PyType_GenericAlloc(state->impersonated, 0);

	if (self == NULL)
		return NULL;
	self->entry = *entry;
	self->options = options;
	Py_INCREF(entry->identity);
	Py_INCREF(entry->groups);
	Py_INCREF(options);
	return self;
}

static void call_start(void *other)
{
	PyObject *result =
	    PyObject_CallFunctionObjArgs(state_of(other)->start, (PyObject *)other, NULL);

	Py_XDECREF(result);
}

/* Move the body to an iterator that start() can get. Return NULL if no thread may start: a new
 * thread inherits the ids of this one, so they must be the server's. */
static Impersonated *move(Impersonated *self)
{
	struct native_state *state = state_of(self);
	Impersonated *other;

	if (self->is_handed_over || !LIBREPLACE_THREAD_SCOPE || libreplace_depth() > 0 ||
	    libreplace_tainted() || state->start == NULL)
		return NULL;
	other = new_impersonated(state, &self->entry, self->options);
	if (other != NULL) {
		other->is_handed_over = 1;
		count(other);
		other->body = take_body(self);
	}
	return other;
}

/* Have another thread call finish(). An exception is set: why this thread cannot. */
static void hand_over(Impersonated *self)
{
	struct error error = fetch_object(), now;
	PyObject *reason = error.value;
	Impersonated *other = move(self);

	Py_INCREF(reason);
	if (other == NULL)
		PyErr_Clear();
	restore(error);
	if (other == NULL) {
		abandon(self, NULL);
		Py_DECREF(reason);
		return;
	}
	native_after_error(call_start, other);
	now = fetch();
	restore(now);
	if (now.value == reason)
		PyErr_Clear(); /* the thread has started */
	else if (abandon(other, reason))
		stop_counting(other);
	Py_DECREF(reason);
	Py_DECREF(other);
}

/* The function finish() of the module, which the new thread calls. */
PyObject *native_finish(PyObject *module, PyObject *iterator)
{
	struct native_state *state = PyModule_GetState(module);
	Impersonated *self = (Impersonated *)iterator;
	int busy, unused, waited = 0, wait = 1, status;

	if (Py_TYPE(iterator) != state->impersonated) {
		PyErr_SetString(PyExc_TypeError, "finish(iterator)");
		return NULL;
	}
	while ((status = finish(self, &unused, &busy)) != 0 && busy && waited < LONGEST_WAIT) {
		const struct timespec pause = {0, wait * 1000000L};

		PyErr_Clear();
		UNLOCKED_IF(1, nanosleep(&pause, NULL));
		waited += wait;
		wait = wait < 100 ? 2 * wait : wait;
	}
	if (status != 0)
		abandon(self, NULL);
	else if (PyErr_Occurred())
		PyErr_WriteUnraisable(self->entry.identity);
	stop_counting(self);
	Py_RETURN_NONE;
}

/* The function closing() of the module. */
PyObject *native_closing(PyObject *module, PyObject *last)
{
	int number = __atomic_load_n(&closing, __ATOMIC_ACQUIRE);

	(void)module;
	if (last == Py_True)
		__atomic_store_n(&is_exiting, 1, __ATOMIC_RELEASE);
	return PyLong_FromLong(number > 0 ? number : 0); /* below 0: one has ended in a child */
}

static void impersonated_dealloc(PyObject *object)
{
	Impersonated *self = (Impersonated *)object;
	PyTypeObject *type = Py_TYPE(object);
	struct error error;
	int elsewhere, busy;

	if (!is_closed(self)) {
		error = fetch();
		if (finish(self, &elsewhere, &busy) == 0) {
			if (PyErr_Occurred())
				PyErr_WriteUnraisable(self->entry.identity);
		} else if (elsewhere) {
			hand_over(self);
		} else {
			abandon(self, NULL);
		}
		restore(error);
	}
	Py_XDECREF(self->entry.identity);
	Py_XDECREF(self->entry.groups);
	Py_XDECREF(self->options);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

/* ---- The type */

PyObject *native_make_impersonated(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	struct native_entry entry;
	Impersonated *self;

	if (!native_arity("make_impersonated", count, 8) || !native_to_entry(args, &entry))
		return NULL;
	self = new_impersonated(PyModule_GetState(module), &entry, args[6]);
	if (self != NULL) {
		Py_INCREF(args[7]);
		self->body.source = args[7];
	}
	return (PyObject *)self;
}

static PyObject *impersonated_iter(PyObject *object)
{
	Py_INCREF(object);
	return object;
}

static PyObject *impersonated_reduce(PyObject *object, PyObject *unused)
{
	Impersonated *self = (Impersonated *)object;
	PyObject *rest, *result;

	(void)unused;
	Py_BEGIN_CRITICAL_SECTION(self);
	rest = self->body.iterator != NULL ? self->body.iterator : self->body.source;
	Py_XINCREF(rest);
	Py_END_CRITICAL_SECTION();
	if (rest == NULL && (rest = PyTuple_New(0)) == NULL) /* it is closed */
		return NULL;
	result = PyObject_CallFunctionObjArgs(state_of(self)->reduce, self->entry.identity, rest,
	                                      self->options, NULL);
	Py_DECREF(rest);
	return result;
}

static PyMethodDef impersonated_methods[] = {
    {"close", impersonated_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Close the iterator of the iterable, and the iterable, as the user, and release them.\n"
     "\n"
     "What has no close() is only released. After the first call, do nothing.\n"
     "\n"
     "Raises:\n"
     "    IdentityRefused: As for impersonate(). Nothing changed: call close() again in another\n"
     "        place or thread.\n"
     "    IdentityError: A step failed. ``state`` says what the thread is now."},
    {"__reduce__", impersonated_reduce, METH_NOARGS, "__reduce__($self, /)\n--\n\nFor pickle."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot impersonated_slots[] = {
    {Py_tp_doc, (void *)"The iterator that impersonated() returns."},
    {Py_tp_dealloc, (void *)impersonated_dealloc},
    {Py_tp_repr, (void *)impersonated_repr},
    {Py_tp_iter, (void *)impersonated_iter},
    {Py_tp_iternext, (void *)impersonated_next},
    {Py_tp_methods, impersonated_methods},
    {0, NULL},
};

/* Meson defines PACKAGE: a vendored package has another name. */
PyType_Spec native_impersonated_spec = {
    .name = PACKAGE "._native.Impersonated",
    .basicsize = sizeof(Impersonated),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = impersonated_slots,
};
