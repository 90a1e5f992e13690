/* SPDX-License-Identifier: MIT */
/* The extension module clockscope._core: each type lives in a file of its own. */
#include "convert.h"

#include <signal.h>
#include <string.h>

#include "base/libraries.h"
#include "base/util.h"

static PyObject *do_nothing(PyObject *module, PyObject *args)
{
	(void)module;
	(void)args;
	Py_RETURN_NONE;
}

/* Python raises the exception of a Ctrl-C at the first instruction that it runs, where no Python code can catch it; and
 * where it ends itself. The program's own handler, which signal.signal() would replace, stays. */
static PyObject *end_interrupts(PyObject *module, PyObject *args)
{
	static PyMethodDef nothing = {"nothing", do_nothing, METH_VARARGS, NULL};
	PyObject *handler, *signals, *before;
	struct sigaction own;

	(void)module;
	(void)args;
	if (PyErr_CheckSignals() < 0)
		PyErr_Clear();
	sigaction(SIGINT, NULL, &own);
	handler = PyCFunction_New(&nothing, NULL);
	signals = handler ? PyImport_ImportModule("signal") : NULL;
	before = signals ? PyObject_CallMethod(signals, "signal", "iO", SIGINT, handler) : NULL;
	sigaction(SIGINT, &own, NULL);
	Py_XDECREF(signals);
	Py_XDECREF(handler);
	Py_XDECREF(before);
	if (!before)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *call_interruptible(PyObject *call, PyObject *none)
{
	PyObject *result = PyObject_CallObject(call, NULL);

	(void)none;
	if (result || !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
		return result;
	PyErr_Clear();
	Py_RETURN_TRUE;
}

/* What Python code is called for cannot catch the exception that is raised at its first instruction; its caller can. */
static PyObject *true_if_interrupted(PyObject *module, PyObject *call)
{
	static PyMethodDef interruptible = {"interruptible", call_interruptible, METH_NOARGS, NULL};

	(void)module;
	return PyCFunction_New(&interruptible, call);
}

static PyMethodDef functions[] = {
	{"end_interrupts", end_interrupts, METH_VARARGS, "Have no exception raised for a Ctrl-C any more."},
	{"true_if_interrupted", true_if_interrupted, METH_O, "Call something, and return True where Ctrl-C ends it."},
	{0},
};

static int (*const parts[])(PyObject *) = {
	errors_register, relay_register, recorder_register, writer_register,  trace_register,        xref_register,
	diff_register,   cfg_register,   elf_register,      emulate_register, intervention_register, quirks_register,
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "clockscope._core",
	.m_doc = "The C core of clockscope: relay, static analysis, trace store. Contract: _core.pyi.",
	.m_size = -1,
	.m_methods = functions,
};

/* As ImportError; that has the module's name, by which it is known whose error it is. */
static bool refuse_libraries(void)
{
	struct cs_error *misfit = libraries_check();
	PyObject *message, *name;

	if (!misfit)
		return false;
	message = PyUnicode_FromString(misfit->message);
	name = PyUnicode_FromString(definition.m_name);
	if (message && name)
		PyErr_SetImportError(message, name, NULL);
	Py_XDECREF(message);
	Py_XDECREF(name);
	cs_error_destroy(misfit);
	return true;
}

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
	PyObject *module;

	if (refuse_libraries())
		return NULL;
	module = PyModule_Create(&definition);
	for (size_t i = 0; module && i < ARRAY_SIZE(parts); i++) {
		if (parts[i](module) < 0) {
			Py_DECREF(module);
			return NULL;
		}
	}
	return module;
}
