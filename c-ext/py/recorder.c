/* SPDX-License-Identifier: MIT */
/* BranchRecorder: record/pipeline.h for Python. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "record/pipeline.h"
#include "relay.h"
#include "trace.h"
#include "window_hints.h"

struct recorder_object {
	INSTANCE_HEAD
	bool busy;           /* a thread is in a call; guarded by the GIL, which that call may have given up */
	struct relay *relay; /* all held until it is stopped */
	struct store *store;
	struct pipeline *pipeline; /* NULL: it was stopped */
};

#define SELF(OBJECT) ((struct recorder_object *)(OBJECT))

static struct recorder *recorder_of(PyObject *object)
{
	return pipeline_recorder(SELF(object)->pipeline);
}

static PyObject *describe(const struct pipeline_function *added)
{
	const struct analysis *analysis = added->analysis;
	const struct plan *plan = analysis->plan;

	return Py_BuildValue("{s:L,s:N,s:K,s:I,s:I,s:O,s:I,s:O,s:s,s:d,s:d}", "id", (long long)added->id, "name",
			     string_to_object(analysis->symbol.name), "address",
			     (unsigned long long)analysis->symbol.address, "probes", plan->count, "windows",
			     analysis->windows->count, "measures", analysis->windows->measures ? Py_True : Py_False,
			     "branches", plan->naive_count, "determined", plan->determined ? Py_True : Py_False, "note",
			     added->note, "cost", plan->cost, "naive_cost", plan->naive_cost);
}

/* --- Calls --- */

/* Begins a call: false with an exception set where the recorder was stopped, or another thread is in one. */
static bool enter(PyObject *object)
{
	struct recorder_object *self = SELF(object);

	if (self->busy)
		raise_error(cs_error_create(CS_ERROR_STATE, "this recorder is in use by another thread"));
	else if (!self->pipeline)
		raise_error(cs_error_create(CS_ERROR_STATE, "this recorder was stopped"));
	else
		self->busy = true;
	return !PyErr_Occurred();
}

/* The same for what is of use only while the relay is there. */
static bool enter_connected(PyObject *object)
{
	if (!enter(object))
		return false;
	if (relay_state(SELF(object)->relay) != RELAY_CLOSED)
		return true;
	SELF(object)->busy = false;
	raise_error(relay_closed(SELF(object)->relay));
	return false;
}

/* Ends a call: None, or the exception. */
static PyObject *leave(PyObject *object, struct cs_error *error)
{
	SELF(object)->busy = false;
	return relay_outcome(error);
}

static PyObject *add_all(struct recorder_object *self, const char *name)
{
	const struct elf_symbol *symbol = NULL;
	PyObject *list = PyList_New(0);

	while (list) {
		struct pipeline_function added = {0};
		struct cs_error *error;

		WITHOUT_GIL(error, pipeline_find(self->pipeline, name, &symbol));
		if (!error && !symbol)
			return list;
		if (!error)
			WITHOUT_GIL(error, pipeline_add(self->pipeline, symbol, &added));
		Py_XDECREF(relay_outcome(error));
		if (list_take(list, PyErr_Occurred() ? NULL : describe(&added)) < 0)
			Py_CLEAR(list);
	}
	return NULL;
}

static PyObject *add(PyObject *object, PyObject *args)
{
	PyObject *list;
	const char *name;

	if (!PyArg_ParseTuple(args, "s", &name) || !enter_connected(object))
		return NULL;
	list = add_all(SELF(object), name);
	SELF(object)->busy = false;
	return list;
}

static PyObject *within(PyObject *object, PyObject *args)
{
	long long child, parent;

	if (!PyArg_ParseTuple(args, "LL", &child, &parent) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_within(recorder_of(object), child, parent));
}

static PyObject *gate(PyObject *object, PyObject *args)
{
	struct link_address address;
	long long id;
	int opens;

	if (!PyArg_ParseTuple(args, "LKp", &id, &address.value, &opens) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_gate(recorder_of(object), id, address, opens));
}

static PyObject *note(PyObject *object, PyObject *args)
{
	const char *text;
	long long id;

	if (!PyArg_ParseTuple(args, "Ls", &id, &text) || !enter(object))
		return NULL;
	return leave(object, store_note(SELF(object)->store, id, text));
}

static PyObject *replaced(PyObject *object, PyObject *args)
{
	long long id;

	if (!PyArg_ParseTuple(args, "L", &id) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_replaced(recorder_of(object), id));
}

struct refusals {
	int64_t ids[64];
	size_t count;
};

static void note_refusal(void *context, int64_t id)
{
	struct refusals *refusals = context;

	if (refusals->count < ARRAY_SIZE(refusals->ids))
		refusals->ids[refusals->count++] = id;
}

static PyObject *arm(PyObject *object, PyObject *unused)
{
	struct refusals refusals = {.count = 0};
	struct cs_error *error;
	PyObject *list, *none;

	(void)unused;
	if (!enter_connected(object))
		return NULL;
	WITHOUT_GIL(error, recorder_arm(recorder_of(object), note_refusal, &refusals));
	none = leave(object, error);
	Py_XDECREF(none);
	list = none ? PyList_New((Py_ssize_t)refusals.count) : NULL;
	for (size_t i = 0; list && i < refusals.count; i++)
		if (PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLongLong(refusals.ids[i])) < 0)
			Py_CLEAR(list);
	return list;
}

/* --- Life --- */

/* Without the GIL. Waits for the stub. */
static void release(void *context)
{
	struct recorder_object *self = context;

	pipeline_destroy(TAKE_PTR(self->pipeline));
	store_destroy(TAKE_PTR(self->store));
	relay_destroy(TAKE_PTR(self->relay));
}

static struct cs_error *stop_and_release(struct recorder_object *self)
{
	struct recorder *recorder = pipeline_recorder(self->pipeline);
	struct cs_error *error = recorder_stop(recorder);

	/* While the guest runs, all is as before. */
	if (recorder_is_stopped(recorder))
		release(self);
	return error;
}

/* Lifts the probes and writes the rest. */
static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct recorder_object *self = SELF(object);
	struct cs_error *error;

	(void)unused;
	if (!self->pipeline && !self->busy)
		Py_RETURN_NONE;
	if (!enter(object))
		return NULL;
	WITHOUT_GIL(error, stop_and_release(self));
	return leave(object, error);
}

struct arguments {
	PyObject *relay, *writer;
	struct given_hints hints;
	const char *path;
	struct placement placement;
	int replay, intrusive, allow_patched, probe_returns, catch_returns;
	unsigned budget, hit_limit;
	unsigned long long task_pointer, task_name;
};

static bool parse(PyObject *args, PyObject *keywords, struct arguments *ret)
{
	static char *names[] = {
		"relay",         "writer",        "elf",      "replay",    "intrusive",    "allow_patched",
		"probe_returns", "catch_returns", "budget",   "hit_limit", "task_pointer", "task_name",
		"references",    "measuring",     "pointees", "noreturn",  "placement",    NULL};

	*ret = (struct arguments){.probe_returns = 1, .catch_returns = 1, .hit_limit = 1000};
	return PyArg_ParseTupleAndKeywords(
		args, keywords, "OOs|$pppppIIKKOOOOO&:BranchRecorder", names, &ret->relay, &ret->writer, &ret->path,
		&ret->replay, &ret->intrusive, &ret->allow_patched, &ret->probe_returns, &ret->catch_returns,
		&ret->budget, &ret->hit_limit, &ret->task_pointer, &ret->task_name, &ret->hints.references,
		&ret->hints.measuring, &ret->hints.pointees, &ret->hints.noreturn, take_placement, &ret->placement);
}

/* Frees what hints_create() made, in whatever thread the last use ends. */
static void hints_free(void *context)
{
	hints_release(context);
	free(context);
}

static struct hints *hints_create(const struct arguments *given)
{
	struct hints *hints = calloc(1, sizeof(*hints));

	if (!hints)
		PyErr_NoMemory();
	else if (hints_take(hints, &given->hints) < 0)
		hints_free(TAKE_PTR(hints));
	return hints;
}

static struct pipeline_options options_of(const struct arguments *given, struct hints *hints)
{
	return (struct pipeline_options){
		.recorder =
			{
				.placement = given->placement,
				.hit_limit = given->hit_limit,
				.intrusive = given->intrusive,
				.replay = given->replay,
				.catch_returns = given->catch_returns,
				.task_pointer = given->task_pointer,
				.task_name = given->task_name,
			},
		.plan =
			{
				.budget = given->budget,
				.intrusive = given->intrusive,
				.allow_patched = given->allow_patched,
				.probe_returns = given->probe_returns,
			},
		.hints = hints->known,
		.release = hints_free,
		.context = hints,
	};
}

static int begin_object(struct recorder_object *self, const struct arguments *given)
{
	struct relay *relay = relay_object_relay(given->relay);
	struct store *store = relay ? trace_writer_store(given->writer) : NULL;
	struct hints *hints = store ? hints_create(given) : NULL;
	struct pipeline_options options;
	struct cs_error *error;

	if (!hints)
		return -1;
	options = options_of(given, hints);
	self->relay = relay_hold(relay);
	self->store = store_hold(store);
	WITHOUT_GIL(error, pipeline_create(self->relay, self->store, given->path, &options, &self->pipeline));
	if (error)
		hints_free(hints);
	Py_XDECREF(relay_outcome(error));
	return PyErr_Occurred() ? -1 : 0;
}

static PyObject *recorder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	struct arguments given;
	PyObject *object;

	if (!parse(args, keywords, &given))
		return NULL;
	object = instance_create(type);
	if (object && begin_object(SELF(object), &given) < 0)
		Py_CLEAR(object);
	return object;
}

static PyObject *statistics(PyObject *object, PyObject *unused)
{
	struct recorder_statistics now = {0};

	(void)unused;
	if (SELF(object)->pipeline || SELF(object)->busy) {
		if (!enter(object))
			return NULL;
		recorder_get_statistics(recorder_of(object), &now);
		SELF(object)->busy = false;
	}
	return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "seen", now.seen, "stops", now.stops, "inside",
			     now.inside, "repeated", now.repeated, "invocations", now.invocations, "orphans",
			     now.orphans, "mismatches", now.mismatches, "lifted", now.lifted);
}

static PyMethodDef methods[] = {
	{"add", add, METH_VARARGS, NULL},
	{"within", within, METH_VARARGS, NULL},
	{"gate", gate, METH_VARARGS, NULL},
	{"note", note, METH_VARARGS, NULL},
	{"replaced", replaced, METH_VARARGS, NULL},
	{"arm", arm, METH_NOARGS, NULL},
	{"stop", stop, METH_NOARGS, NULL},
	{"statistics", statistics, METH_NOARGS, NULL},
	{0},
};

static struct type description = {
	.name = "clockscope._core.BranchRecorder",
	.doc = "Records the branches of functions; see _core.pyi.",
	.size = sizeof(struct recorder_object),
	.create = recorder_new,
	.release = release,
	.methods = methods,
};

int recorder_register(PyObject *module)
{
	return type_register(module, &description);
}
