/* SPDX-License-Identifier: MIT */
/* emulate(): what the recorder does instead of a single step, for tests against a processor; condition_holds();
 * store_of(): where an instruction has written; disassemble(): what bytes are instructions. */
#include <string.h>

#include "convert.h"

#include "arch/arch.h"
#include "base/util.h"

/* The registers from a sequence of the general ones, PC and flags. -1 with an exception set. */
static int take_state(PyObject *sequence, struct emulate_state *ret)
{
	size_t count = arch_at(0)->general_count;
	uint64_t values[EMULATE_REGISTERS_MAX + 2];

	if (PySequence_Size(sequence) != (Py_ssize_t)count + 2) {
		if (!PyErr_Occurred())
			PyErr_Format(PyExc_ValueError, "registers: give the %zu general ones, PC, flags", count);
		return -1;
	}
	for (size_t i = 0; i < count + 2; i++) {
		PyObject *item = PySequence_GetItem(sequence, (Py_ssize_t)i);

		values[i] = item ? PyLong_AsUnsignedLongLong(item) : 0;
		Py_XDECREF(item);
		if (PyErr_Occurred())
			return -1;
	}
	*ret = (struct emulate_state){.pc = values[count], .flags = values[count + 1]};
	memcpy(ret->general, values, count * sizeof(values[0]));
	return 0;
}

static PyObject *give_state(const struct emulate_state *state)
{
	size_t count = arch_at(0)->general_count;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < count + 2; i++) {
		uint64_t value = i < count ? state->general[i] : i == count ? state->pc : state->flags;

		if (list_take(list, PyLong_FromUnsignedLongLong(value)) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *emulate(PyObject *module, PyObject *args)
{
	struct insn_decoder *decoder = NULL;
	struct emulate_effect effect;
	struct emulate_state state;
	struct cs_error *error;
	unsigned long long loaded = 0;
	struct insn insn;
	PyObject *sequence;
	const char *bytes;
	Py_ssize_t size;
	bool known;

	(void)module;
	if (!PyArg_ParseTuple(args, "y#O|K", &bytes, &size, &sequence, &loaded) || take_state(sequence, &state) < 0)
		return NULL;
	error = insn_decoder_create(arch_at(0), &decoder);
	if (error)
		return raise_error(error);
	known = insn_decode(decoder, (const uint8_t *)bytes, (size_t)size, state.pc, &insn);
	insn_decoder_destroy(decoder);
	if (!known || emulate_need(&insn) == EMULATE_IMPOSSIBLE)
		Py_RETURN_NONE;
	emulate_run(&insn, &state, loaded, &effect);
	return give_state(&state);
}

static PyObject *condition_holds(PyObject *module, PyObject *args)
{
	struct insn insn = {.arch = arch_at(0), .kind = INSN_BRANCH, .condition = INSN_OVERFLOW};
	unsigned long long flags;
	const char *name;

	(void)module;
	if (!PyArg_ParseTuple(args, "sK", &name, &flags))
		return NULL;
	for (; insn_by_flags(insn.condition); insn.condition++)
		if (!strcmp(name, insn_condition_name(&insn)))
			return PyBool_FromLong(emulate_condition(&insn, flags, 0));
	return PyErr_Format(PyExc_ValueError, "%s: no condition of the flags", name);
}

static const char *register_name(int number)
{
	const struct arch *arch = arch_at(0);

	return number >= 0 && (unsigned)number < arch->general_count ? arch->general[number] : "";
}

static PyObject *give_store(const struct written *store)
{
	const struct operands_memory *place = &store->place;

	return Py_BuildValue("{s:O,s:O,s:s,s:i,s:s,s:s,s:i,s:L}", "updates", store->updates ? Py_True : Py_False,
			     "string", store->string ? Py_True : Py_False, "segment", store->segment, "width",
			     store->width, "base", store->string ? "" : register_name(place->base), "index",
			     store->string ? "" : register_name(place->index), "scale", place->scale, "displacement",
			     (long long)place->displacement);
}

/* Machine code, and a decoder for it: what functions of bytes and an address begin with. */
struct machine_code {
	const char *bytes;
	Py_ssize_t size;
	unsigned long long address;
	struct insn_decoder *decoder;
};

/* False with an exception set. */
static bool take_code(PyObject *args, struct machine_code *ret)
{
	struct cs_error *error;

	if (!PyArg_ParseTuple(args, "y#K", &ret->bytes, &ret->size, &ret->address))
		return false;
	error = insn_decoder_create(arch_at(0), &ret->decoder);
	if (error)
		raise_error(error);
	return !error;
}

static bool decode_at(const struct machine_code *code, Py_ssize_t at, struct insn *ret)
{
	return at < code->size && insn_decode(code->decoder, (const uint8_t *)code->bytes + at,
					      (size_t)(code->size - at), code->address + (uint64_t)at, ret);
}

static PyObject *store_of_code(PyObject *module, PyObject *args)
{
	struct machine_code code;
	struct written store;
	struct insn insn;
	bool stores;

	(void)module;
	if (!take_code(args, &code))
		return NULL;
	stores = decode_at(&code, 0, &insn) && written_by(code.decoder, &insn, &store);
	insn_decoder_destroy(code.decoder);
	if (!stores)
		Py_RETURN_NONE;
	return give_store(&store);
}

static int append_insn(PyObject *list, struct insn_decoder *decoder, const struct insn *insn)
{
	char text[128];

	insn_text(decoder, insn, text, sizeof(text));
	return list_take(list, Py_BuildValue("(Kis)", (unsigned long long)insn->address, (int)insn->length, text));
}

static PyObject *disassemble(PyObject *module, PyObject *args)
{
	struct machine_code code;
	struct insn insn;
	Py_ssize_t at = 0;
	PyObject *list;

	(void)module;
	if (!take_code(args, &code))
		return NULL;
	list = PyList_New(0);
	for (; list && decode_at(&code, at, &insn); at += insn.length)
		if (append_insn(list, code.decoder, &insn) < 0)
			Py_CLEAR(list);
	insn_decoder_destroy(code.decoder);
	return list;
}

static PyMethodDef methods[] = {
	{"condition_holds", condition_holds, METH_VARARGS, NULL},
	{"disassemble", disassemble, METH_VARARGS, NULL},
	{"emulate", emulate, METH_VARARGS, NULL},
	{"store_of", store_of_code, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

int emulate_register(PyObject *module)
{
	return PyModule_AddFunctions(module, methods);
}
