/* SPDX-License-Identifier: MIT */
/* The one table that maps the core's errors to Python's exceptions. */
#include "convert.h"

#include <string.h>

#include "base/util.h"

static PyObject *base_error;

static struct {
	enum cs_error_code code;
	const char *name; /* NULL: the base class itself */
	PyObject *type;
} classes[] = {
	{CS_ERROR_NO_MEMORY, NULL, NULL},
	{CS_ERROR_ARGUMENT, "clockscope._core.ArgumentError", NULL},
	{CS_ERROR_SYSTEM, "clockscope._core.SystemError", NULL},
	{CS_ERROR_CONNECT, "clockscope._core.ConnectError", NULL},
	{CS_ERROR_CLOSED, "clockscope._core.ClosedError", NULL},
	{CS_ERROR_TIMEOUT, "clockscope._core.TimeoutError", NULL},
	{CS_ERROR_PROTOCOL, "clockscope._core.ProtocolError", NULL},
	{CS_ERROR_REFUSED, "clockscope._core.RefusedError", NULL},
	{CS_ERROR_STATE, "clockscope._core.StateError", NULL},
	{CS_ERROR_FORMAT, "clockscope._core.FormatError", NULL},
	{CS_ERROR_EXISTS, "clockscope._core.ExistsError", NULL},
	{CS_ERROR_NOT_FOUND, "clockscope._core.NotFoundError", NULL},
};

static PyObject *class_of(enum cs_error_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (classes[i].code == code && classes[i].type)
			return classes[i].type;
	return base_error;
}

PyObject *raise_error(struct cs_error *error)
{
	PyObject *text;

	if (error->code == CS_ERROR_NO_MEMORY) {
		cs_error_destroy(error);
		return PyErr_NoMemory();
	}
	/* The message may quote a guest's bytes, which need not be UTF-8. */
	text = string_to_object(error->message);
	if (text) {
		PyErr_SetObject(class_of(error->code), text);
		Py_DECREF(text);
	}
	cs_error_destroy(error);
	return NULL;
}

static int add_class(PyObject *module, const char *qualified, PyObject *type)
{
	return PyModule_AddObjectRef(module, strrchr(qualified, '.') + 1, type);
}

int errors_register(PyObject *module)
{
	base_error = PyErr_NewException("clockscope._core.Error", PyExc_Exception, NULL);
	if (!base_error || add_class(module, "clockscope._core.Error", base_error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (!classes[i].name)
			continue;
		classes[i].type = PyErr_NewException(classes[i].name, base_error, NULL);
		if (!classes[i].type || add_class(module, classes[i].name, classes[i].type) < 0)
			return -1;
	}
	return 0;
}
