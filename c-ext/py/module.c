/* SPDX-License-Identifier: MIT */
/* The extension module clockscope._core: each type lives in a file of its own. */
#include "convert.h"

#include <string.h>

#include "base/util.h"

int type_register(PyObject *module, PyType_Spec *spec, PyObject **type)
{
	PyObject *made = PyType_FromSpec(spec);
	int result = made ? PyModule_AddObjectRef(module, strrchr(spec->name, '.') + 1, made) : -1;

	if (type && result == 0)
		*type = Py_NewRef(made);
	Py_XDECREF(made);
	return result;
}

static int (*const parts[])(PyObject *) = {
	errors_register, relay_register, recorder_register, writer_register,  trace_register,
	xref_register,   diff_register,  cfg_register,      emulate_register, intervention_register,
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "clockscope._core",
	.m_doc = "The C core of clockscope: relay, static analysis, trace store. Contract: _core.pyi.",
	.m_size = -1,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
	PyObject *module = PyModule_Create(&definition);

	for (size_t i = 0; module && i < ARRAY_SIZE(parts); i++) {
		if (parts[i](module) < 0) {
			Py_DECREF(module);
			return NULL;
		}
	}
	return module;
}
