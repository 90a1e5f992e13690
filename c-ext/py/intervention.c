/* SPDX-License-Identifier: MIT */
/* Interventions: branches that are forced, functions that return at once. */
#include "record/intervention.h"
#include "base/util.h"
#include "relay.h"
#include "trace.h"

struct interventions_object {
	PyObject_HEAD PyObject *relay; /* kept alive: the interventions use what they hold */
	PyObject *writer;
	struct interventions *core;
};

#define SELF(OBJECT) ((struct interventions_object *)(OBJECT))

static int interventions_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"relay", "writer", NULL};
	struct interventions_object *self = SELF(object);
	PyObject *relay, *writer;
	struct cs_error *error;
	struct relay *core;
	struct store *store;

	if (self->core) {
		PyErr_SetString(PyExc_TypeError, "Interventions are made once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO", names, &relay, &writer))
		return -1;
	core = relay_object_relay(relay);
	store = core ? trace_writer_store(writer) : NULL;
	if (!store)
		return -1;
	error = interventions_create(core, store, &self->core);
	if (error) {
		raise_error(error);
		return -1;
	}
	self->relay = Py_NewRef(relay);
	self->writer = Py_NewRef(writer);
	return 0;
}

static struct cs_error *decode(const char *code, size_t size, uint64_t address, struct insn *ret)
{
	struct insn_decoder *decoder = NULL;
	bool known;

	CS_TRY(insn_decoder_create(&decoder));
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
	Py_BEGIN_ALLOW_THREADS error = interventions_force(SELF(object)->core, number, &insn, taken, times);
	Py_END_ALLOW_THREADS return relay_outcome(error);
}

static PyObject *have_return(PyObject *object, PyObject *args)
{
	unsigned long long entry, value, ret;
	struct cs_error *error;
	long long number;

	if (!PyArg_ParseTuple(args, "LKKK", &number, &entry, &value, &ret))
		return NULL;
	Py_BEGIN_ALLOW_THREADS error = interventions_return(SELF(object)->core, number, entry, value, ret);
	Py_END_ALLOW_THREADS return relay_outcome(error);
}

static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct cs_error *error;

	(void)unused;
	Py_BEGIN_ALLOW_THREADS error = interventions_stop(SELF(object)->core);
	Py_END_ALLOW_THREADS return relay_outcome(error);
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
	PyObject *dict = PyDict_New();

	(void)unused;
	if (dict)
		interventions_each(SELF(object)->core, add_state, dict);
	if (PyErr_Occurred())
		Py_CLEAR(dict);
	return dict;
}

static void interventions_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
	struct interventions_object *self = SELF(object);
	PyObject *kind, *value, *trace;
	struct cs_error *error = NULL;

	PyErr_Fetch(&kind, &value, &trace);
	if (self->core && relay_object_relay(self->relay)) /* a closed connection has no probes */
		error = interventions_stop(self->core);
	PyErr_Restore(kind, value, trace);
	/* A guest that runs still meets the probes: what they use is never released then. */
	if (!error) {
		interventions_destroy(self->core);
		Py_CLEAR(self->relay);
		Py_CLEAR(self->writer);
	}
	cs_error_destroy(error);
	release_object(object);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"force", force, METH_VARARGS, NULL},
	{"have_return", have_return, METH_VARARGS, NULL},
	{"stop", stop, METH_NOARGS, NULL},
	{"states", states, METH_NOARGS, NULL},
	{0},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, "Forces branches, and has functions return at once; see _core.pyi."},
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_init, interventions_init},
	{Py_tp_dealloc, interventions_dealloc},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "clockscope._core.Interventions",
	.basicsize = sizeof(struct interventions_object),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

int intervention_register(PyObject *module)
{
	return type_register(module, &spec, NULL);
}
