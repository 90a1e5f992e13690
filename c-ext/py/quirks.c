/* SPDX-License-Identifier: MIT */
/* The table of what stubs do beside the manual, for STUBS.md and for the tests that play it. */
#include "convert.h"

#include "base/util.h"
#include "rsp/quirks.h"

static PyObject *quirk_to_object(const struct quirk *quirk)
{
	PyObject *features = PyList_New(0);

	for (size_t i = 0; features && i < ARRAY_SIZE(quirk->features) && quirk->features[i]; i++)
		if (list_take(features, string_to_object(quirk->features[i])) < 0)
			Py_CLEAR(features);
	if (!features)
		return NULL;
	return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:N}", "name", quirk->name, "stub", quirk->stub, "what", quirk->what,
			     "where", quirk->where, "sign", quirk_sign_name(quirk->sign), "features", features);
}

static PyObject *stub_quirks(PyObject *module, PyObject *unused)
{
	PyObject *list = PyList_New((Py_ssize_t)quirk_count);

	(void)module;
	(void)unused;
	for (size_t i = 0; list && i < quirk_count; i++) {
		PyObject *object = quirk_to_object(&quirks[i]);

		if (!object || PyList_SetItem(list, (Py_ssize_t)i, object) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyMethodDef functions[] = {
	{"stub_quirks", stub_quirks, METH_NOARGS, "What stubs do beside the manual."},
	{0},
};

int quirks_register(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}
