/* SPDX-License-Identifier: MIT */
#include "convert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

PyObject *none_or_raise(struct cs_error *error)
{
	return error ? raise_error(error) : Py_NewRef(Py_None);
}

PyObject *text_to_object(const char *text, size_t length)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "backslashreplace");
}

PyObject *string_to_object(const char *text)
{
	return text_to_object(text, strlen(text));
}

int dict_take(PyObject *dict, const char *name, PyObject *value)
{
	int result = value ? PyDict_SetItemString(dict, name, value) : -1;

	Py_XDECREF(value);
	return result;
}

int list_take(PyObject *list, PyObject *item)
{
	int result = item ? PyList_Append(list, item) : -1;

	Py_XDECREF(item);
	return result;
}

int set_take(PyObject *set, PyObject *item)
{
	int result = item ? PySet_Add(set, item) : -1;

	Py_XDECREF(item);
	return result;
}

PyObject *hexadecimal(uint64_t address)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	return string_to_object(text);
}

int take_placement(PyObject *value, void *placement)
{
	struct placement *ret = placement;
	unsigned long long offset, low, last;

	*ret = (struct placement){0};
	if (value == Py_None)
		return 1;
	if (!PyTuple_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "a placement is (offset, first address, last address), or None");
		return 0;
	}
	if (!PyArg_ParseTuple(value, "KKK:placement", &offset, &low, &last))
		return 0;
	*ret = (struct placement){offset, low, last};
	return 1;
}
