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
	struct body body;          /* body.source is NULL after close() */
	int is_handed_over;        /* start() got it, so start() does not get it again */
} Impersonated;

static struct native_state *state_of(Impersonated *self)
{
	return PyType_GetModuleState(Py_TYPE(self));
}

static int is_closed(Impersonated *self)
{
	return __atomic_load_n(&self->body.source, __ATOMIC_ACQUIRE) == NULL;
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
	PyObject *kind, *value, *trace, *outer_kind, *outer, *outer_trace, *result;

	PyErr_Fetch(&kind, &value, &trace);
	PyErr_NormalizeException(&kind, &value, &trace);
	if (trace != NULL)
		PyException_SetTraceback(value, trace);
	PyErr_GetExcInfo(&outer_kind, &outer, &outer_trace);
	result = PyObject_CallFunctionObjArgs(state->clear_locals, value,
	                                      outer == NULL ? Py_None : outer, NULL);
	if (result == NULL)
		Py_INCREF(value);
	PyErr_Clear();
	Py_XDECREF(result);
	Py_XDECREF(outer_kind);
	Py_XDECREF(outer);
	Py_XDECREF(outer_trace);
	PyErr_Restore(kind, value, trace);
}

/*
 * Whether an iterator is still open after closing, and other objects refer to it. They would end it
 * later as somebody else. Either it is a generator that has caught GeneratorExit; one that is
 * running is closed again by the thread that runs it. Or it has no close(), like that of map(): an
 * object that refers to itself, for example, would then be left to the garbage collector.
 */
static int stays_open(const struct native_state *state, const struct body *body)
{
	PyObject *iterator = body->iterator;

	if (Py_REFCNT(iterator) == 1)
		return 0;
	if ((PyObject *)Py_TYPE(iterator) == state->generator)
		return is_true(iterator, "gi_frame", 1) && !is_true(iterator, "gi_running", 0);
	return !body->is_exhausted && !PyObject_HasAttrString(iterator, "close");
}

static void call_close(void *object)
{
	PyObject *close = PyObject_GetAttrString(object, "close"), *result;

	if (close == NULL) {
		if (PyErr_ExceptionMatches(PyExc_AttributeError))
			PyErr_Clear();
		return;
	}
	result = PyObject_CallNoArgs(close);
	Py_XDECREF(result);
	Py_DECREF(close);
}

/* Close the iterator and the iterable, and release them. An exception may be set afterwards.
 * Return: whether the iterator stays open. Then its reference is never released. */
static int end_body(const struct native_state *state, struct body *body)
{
	PyObject *kind, *value, *trace;
	int is_open;

	if (body->iterator != NULL)
		call_close(body->iterator);
	if (body->source != NULL && body->source != body->iterator) {
		if (PyErr_Occurred())
			native_after_error(call_close, body->source);
		else
			call_close(body->source);
	}
	if (PyErr_Occurred())
		clear_locals(state);
	PyErr_Fetch(&kind, &value, &trace);
	if (body->source != body->iterator)
		Py_XDECREF(body->source);
	else
		Py_XDECREF(body->iterator); /* stays_open() looks at the references of others */
	is_open = body->iterator != NULL && stays_open(state, body);
	if (!is_open)
		Py_XDECREF(body->iterator);
	PyErr_Restore(kind, value, trace);
	return is_open;
}

/* Take the body out of the iterator. Another call gets nothing. */
static struct body take_body(Impersonated *self)
{
	static const struct body nothing;
	struct body body;

	Py_BEGIN_CRITICAL_SECTION(self);
	body = self->body;
	self->body = nothing;
	Py_END_CRITICAL_SECTION();
	return body;
}

/* Return the body's iterator, a new reference. The first call makes it. Return NULL if another
 * thread has closed the body, or with an exception set. */
static PyObject *get_iterator(Impersonated *self)
{
	PyObject *iterator, *source, *made, *unused, *kind, *value, *trace;
	struct body late = {NULL, NULL, 0};

	Py_BEGIN_CRITICAL_SECTION(self);
	iterator = self->body.iterator;
	source = self->body.source;
	Py_XINCREF(iterator);
	Py_XINCREF(source);
	Py_END_CRITICAL_SECTION();
	if (iterator == NULL && source != NULL) {
		made = PyObject_GetIter(source);
		unused = made;
		Py_BEGIN_CRITICAL_SECTION(self);
		if (made != NULL && self->body.source == NULL) {
			late.iterator = made;
			unused = NULL;
		} else if (made != NULL) {
			if (self->body.iterator == NULL) {
				self->body.iterator = made;
				unused = NULL;
			}
			iterator = self->body.iterator;
			Py_INCREF(iterator);
		}
		Py_END_CRITICAL_SECTION();
		Py_XDECREF(unused); /* another thread has made the iterator */
		if (late.iterator != NULL)
			(void)end_body(state_of(self), &late);
	}
	PyErr_Fetch(&kind, &value, &trace);
	Py_XDECREF(source);
	PyErr_Restore(kind, value, trace);
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

/* If the body was closed during next(), it could not end then. End it now. */
static void end_if_closed(Impersonated *self, PyObject *iterator)
{
	struct body late = {NULL, iterator, 0};
	PyObject *kind, *value, *trace;

	PyErr_Fetch(&kind, &value, &trace);
	if (!is_closed(self)) {
		Py_DECREF(iterator);
	} else {
		(void)end_body(state_of(self), &late);
		if (PyErr_Occurred())
			PyErr_WriteUnraisable(self->entry.identity);
	}
	PyErr_Restore(kind, value, trace);
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
	Impersonated *self = (Impersonated *)object;
	PyObject *result;

	Py_BEGIN_CRITICAL_SECTION(self);
	result = describe(self, &self->body);
	Py_END_CRITICAL_SECTION();
	return result;
}

/* Report that a body never ends, with the exception that is set as the reason. @before: why an
 * earlier thread could not close it, or NULL. */
static void report(Impersonated *self, const struct body *body, PyObject *before)
{
	struct native_state *state = state_of(self);
	PyObject *kind, *value, *trace, *text, *made = NULL;

	PyErr_Fetch(&kind, &value, &trace);
	PyErr_NormalizeException(&kind, &value, &trace);
	text = describe(self, body);
	if (state != NULL && state->abandoned != NULL && text != NULL)
		made = PyObject_CallFunctionObjArgs(state->abandoned, self->entry.identity, text,
		                                    value, before == NULL ? Py_None : before, NULL);
	Py_XDECREF(text);
	if (made != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(made), made);
		Py_DECREF(made);
		Py_XDECREF(kind);
		Py_XDECREF(value);
		Py_XDECREF(trace);
	} else {
		PyErr_Clear();
		PyErr_Restore(kind, value, trace);
	}
	PyErr_WriteUnraisable(self->entry.identity);
}

/* Give up: nobody releases the references of the body, so it never ends. There is nothing to report
 * if it has neither started nor a close(), like a list. */
static void abandon(Impersonated *self, PyObject *before)
{
	struct body body = take_body(self);

	if (body.iterator != NULL || body.source == NULL ||
	    PyObject_HasAttrString((PyObject *)Py_TYPE(body.source), "close"))
		report(self, &body, before);
	else
		PyErr_Clear();
}

/* ---- Entering */

/* Make a guard and enter it. Return: the guard, or NULL with an exception set. @elsewhere: after
 * a refusal, whether another thread may succeed; @busy: whether this thread may succeed later. */
static PyObject *enter(Impersonated *self, int *elsewhere, int *busy)
{
	struct native_state *state = state_of(self);
	PyObject *guard = state == NULL ? NULL : native_new_guard(state, &self->entry, 0);

	*elsewhere = *busy = 0;
	if (guard == NULL) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
		return NULL;
	}
	if (native_enter(guard) != 0) {
		*busy = native_is_busy(guard);
		*elsewhere = native_is_refused_here(guard);
		Py_CLEAR(guard);
	}
	return guard;
}

static PyObject *impersonated_next(PyObject *object)
{
	Impersonated *self = (Impersonated *)object;
	PyObject *guard, *iterator, *result = NULL;
	int unused;

	if (is_closed(self))
		return NULL;
	guard = enter(self, &unused, &unused);
	if (guard == NULL)
		return NULL;
	iterator = get_iterator(self);
	if (iterator != NULL)
		result = call_next(iterator);
	if (result == NULL && iterator != NULL &&
	    (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_StopIteration)))
		self->body.is_exhausted = 1;
	if (result == NULL && PyErr_Occurred())
		clear_locals(state_of(self));
	if (iterator != NULL)
		end_if_closed(self, iterator);
	result = native_leave(guard, result);
	Py_DECREF(guard);
	return result;
}

/* Close the body as its user. Return: 0, with an exception set if closing failed; or -1 if the
 * thread could not enter. Then nothing has changed. */
static int finish(Impersonated *self, int *elsewhere, int *busy)
{
	PyObject *guard = enter(self, elsewhere, busy), *kind, *value, *trace;
	struct body body;
	int is_open;

	if (guard == NULL)
		return -1;
	body = take_body(self);
	is_open = end_body(state_of(self), &body);
	native_leave(guard, NULL);
	Py_DECREF(guard);
	if (is_open) {
		PyErr_Fetch(&kind, &value, &trace);
		PyErr_SetString(PyExc_RuntimeError,
		                "other objects refer to its iterator, which is still open");
		body.source = body.iterator; /* the iterable may be gone */
		report(self, &body, NULL);
		PyErr_Restore(kind, value, trace);
	}
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
		other->body = take_body(self);
	}
	return other;
}

/* Have another thread call finish(). An exception is set: why this thread cannot. */
static void hand_over(Impersonated *self)
{
	PyObject *kind, *reason, *trace, *value;
	Impersonated *other;

	PyErr_Fetch(&kind, &reason, &trace);
	PyErr_NormalizeException(&kind, &reason, &trace);
	other = move(self);
	if (other == NULL)
		PyErr_Clear();
	Py_INCREF(reason);
	PyErr_Restore(kind, reason, trace);
	if (other == NULL) {
		abandon(self, NULL);
		Py_DECREF(reason);
		return;
	}
	native_after_error(call_start, other);
	PyErr_Fetch(&kind, &value, &trace);
	if (value == reason) { /* the thread has started */
		Py_XDECREF(kind);
		Py_XDECREF(value);
		Py_XDECREF(trace);
	} else {
		PyErr_Restore(kind, value, trace);
		if (is_closed(other)) /* it has started nevertheless */
			PyErr_WriteUnraisable(self->entry.identity);
		else
			abandon(other, reason);
	}
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
	Py_RETURN_NONE;
}

static void impersonated_dealloc(PyObject *object)
{
	Impersonated *self = (Impersonated *)object;
	PyTypeObject *type = Py_TYPE(object);
	PyObject *kind, *value, *trace;
	int elsewhere, busy;

	if (!is_closed(self)) {
		PyErr_Fetch(&kind, &value, &trace);
		if (finish(self, &elsewhere, &busy) == 0) {
			if (PyErr_Occurred())
				PyErr_WriteUnraisable(self->entry.identity);
		} else if (elsewhere) {
			hand_over(self);
		} else {
			abandon(self, NULL);
		}
		PyErr_Restore(kind, value, trace);
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
