/* SPDX-License-Identifier: MIT */
/* Interventions: branches that are forced, functions that return at once. */
#include "record/intervention.h"
#include "arch/arch.h"
#include "base/util.h"
#include "relay.h"
#include "trace.h"

struct interventions_object {
	INSTANCE_HEAD
	bool busy;           /* a thread is in a call; guarded by the GIL, which that call may have given up */
	struct relay *relay; /* held */
	struct interventions *core;
};

#define SELF(OBJECT) ((struct interventions_object *)(OBJECT))

static PyObject *interventions_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"relay", "writer", "placement", NULL};
	PyObject *relay_object, *writer;
	struct placement placement = {0};
	struct interventions_object *self;
	struct cs_error *error;
	struct relay *relay;
	struct store *store;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O&:Interventions", names, &relay_object, &writer,
					 take_placement, &placement))
		return NULL;
	relay = relay_object_relay(relay_object);
	store = relay ? trace_writer_store(writer) : NULL;
	self = store ? SELF(instance_create(type)) : NULL;
	if (!self)
		return NULL;
	self->relay = relay_hold(relay);
	error = interventions_create(relay, store, &placement, &self->core);
	if (!error)
		return (PyObject *)self;
	Py_DECREF(self);
	return raise_error(error);
}

/* Begins a call: false with an exception set where another thread is in one. */
static bool enter(PyObject *object)
{
	if (SELF(object)->busy)
		raise_error(cs_error_create(CS_ERROR_STATE, "these interventions are in use by another thread"));
	else
		SELF(object)->busy = true;
	return !PyErr_Occurred();
}

/* Ends a call: None, or the exception. */
static PyObject *leave(PyObject *object, struct cs_error *error)
{
	SELF(object)->busy = false;
	return relay_outcome(error);
}

static struct cs_error *decode(const char *code, size_t size, uint64_t address, struct insn *ret)
{
	struct insn_decoder *decoder = NULL;
	bool known;

	CS_TRY(insn_decoder_create(arch_at(0), &decoder));
	known = insn_decode(decoder, (const uint8_t *)code, size, address, ret);
	insn_decoder_destroy(decoder);
	return known ? NULL
		     : cs_error_create(CS_ERROR_ARGUMENT, "0x%llx holds no instruction", (unsigned long long)address);
}

static PyObject *force(PyObject *object, PyObject *args)
{
	unsigned long long address, times = INTERVENTION_ALWAYS;
	struct cs_error *error;
	struct insn insn;
	const char *code;
	long long number;
	Py_ssize_t size;
	int taken;

	if (!PyArg_ParseTuple(args, "LKy#p|K", &number, &address, &code, &size, &taken, &times))
		return NULL;
	error = decode(code, (size_t)size, address, &insn);
	if (error)
		return raise_error(error);
	if (!enter(object))
		return NULL;
	WITHOUT_GIL(error, interventions_force(SELF(object)->core, number, &insn, taken, times));
	return leave(object, error);
}

static PyObject *have_return(PyObject *object, PyObject *args)
{
	struct link_address entry, ret;
	unsigned long long value;
	struct cs_error *error;
	long long number;

	if (!PyArg_ParseTuple(args, "LKKK", &number, &entry.value, &value, &ret.value) || !enter(object))
		return NULL;
	WITHOUT_GIL(error, interventions_return(SELF(object)->core, number, entry, value, ret));
	return leave(object, error);
}

static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct cs_error *error;

	(void)unused;
	if (!enter(object))
		return NULL;
	WITHOUT_GIL(error, interventions_stop(SELF(object)->core));
	return leave(object, error);
}

static void add_state(const struct intervention_state *state, void *context)
{
	PyObject *number = PyLong_FromLongLong(state->number);
	PyObject *item =
		Py_BuildValue("{s:K,s:O,s:O}", "uses", (unsigned long long)state->uses, "other_text",
			      state->other_text ? Py_True : Py_False, "refused", state->refused ? Py_True : Py_False);

	if (number && item)
		PyDict_SetItem(context, number, item);
	Py_XDECREF(number);
	Py_XDECREF(item);
}

static PyObject *states(PyObject *object, PyObject *unused)
{
	PyObject *dict = enter(object) ? PyDict_New() : NULL;

	(void)unused;
	if (dict) {
		interventions_each(SELF(object)->core, add_state, dict);
		SELF(object)->busy = false;
	}
	if (PyErr_Occurred())
		Py_CLEAR(dict);
	return dict;
}

/* Without the GIL. Waits for the stub. */
static void release(void *context)
{
	struct interventions_object *self = context;

	interventions_destroy(self->core);
	relay_destroy(self->relay);
}

static PyMethodDef methods[] = {
	{"force", force, METH_VARARGS, NULL},
	{"have_return", have_return, METH_VARARGS, NULL},
	{"stop", stop, METH_NOARGS, NULL},
	{"states", states, METH_NOARGS, NULL},
	{0},
};

static struct type description = {
	.name = "clockscope._core.Interventions",
	.doc = "Forces branches, and has functions return at once; see _core.pyi.",
	.size = sizeof(struct interventions_object),
	.create = interventions_new,
	.release = release,
	.methods = methods,
};

int intervention_register(PyObject *module)
{
	return type_register(module, &description);
}
