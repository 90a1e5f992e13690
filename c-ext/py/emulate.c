/* SPDX-License-Identifier: MIT */
/* emulate(): what the recorder does instead of a single step, for tests against a processor; condition_holds(). */
#include <string.h>

#include "convert.h"

#include "arch/x86/emulate.h"
#include "base/util.h"

/* The registers from a sequence of sixteen, RIP and RFLAGS. -1 with an exception set. */
static int take_state(PyObject *sequence, struct emulate_state *ret)
{
	uint64_t values[EMULATE_REGISTERS + 2];

	if (PySequence_Size(sequence) != (Py_ssize_t)ARRAY_SIZE(values)) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "registers: give the sixteen general ones, RIP, RFLAGS");
		return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		PyObject *item = PySequence_GetItem(sequence, (Py_ssize_t)i);

		values[i] = item ? PyLong_AsUnsignedLongLong(item) : 0;
		Py_XDECREF(item);
		if (PyErr_Occurred())
			return -1;
	}
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		ret->gpr[i] = values[i];
	ret->rip = values[EMULATE_REGISTERS];
	ret->rflags = values[EMULATE_REGISTERS + 1];
	return 0;
}

static PyObject *give_state(const struct emulate_state *state)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < EMULATE_REGISTERS + 2; i++) {
		uint64_t value = i < EMULATE_REGISTERS    ? state->gpr[i]
				 : i == EMULATE_REGISTERS ? state->rip
							  : state->rflags;
		PyObject *item = PyLong_FromUnsignedLongLong(value);

		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
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
	error = insn_decoder_create(&decoder);
	if (error)
		return raise_error(error);
	known = insn_decode(decoder, (const uint8_t *)bytes, (size_t)size, state.rip, &insn);
	insn_decoder_destroy(decoder);
	if (!known || emulate_need(&insn) == EMULATE_IMPOSSIBLE)
		Py_RETURN_NONE;
	emulate_run(&insn, &state, loaded, &effect);
	return give_state(&state);
}

static PyObject *condition_holds(PyObject *module, PyObject *args)
{
	unsigned long long flags;
	const char *name;

	(void)module;
	if (!PyArg_ParseTuple(args, "sK", &name, &flags))
		return NULL;
	for (enum insn_condition condition = INSN_O; condition <= INSN_G; condition++)
		if (!strcmp(name, insn_condition_name(condition)))
			return PyBool_FromLong(emulate_condition(condition, false, flags, 0));
	return PyErr_Format(PyExc_ValueError, "%s: no condition of the flags", name);
}

static PyMethodDef methods[] = {
	{"condition_holds", condition_holds, METH_VARARGS, NULL},
	{"emulate", emulate, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

int emulate_register(PyObject *module)
{
	return PyModule_AddFunctions(module, methods);
}
