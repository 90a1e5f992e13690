/* SPDX-License-Identifier: MIT */
/* What an ELF file says of itself: sections, symbols, bytes, build id. */
#include "analyser.h"

#include <string.h>

#include "base/util.h"

static struct elf *elf_of(PyObject *self)
{
	return ((struct analyser_object *)self)->elf;
}

/* --- Symbols --- */

static PyObject *symbol_to_object(const struct elf_symbol *symbol)
{
	return Py_BuildValue("(N,K,K)", string_to_object(symbol->name), (unsigned long long)symbol->address,
			     (unsigned long long)symbol->size);
}

/* Whether the compiler made a function of another, the whole of it or a part, but for what it split off as cold. */
static bool is_variant(const struct elf_symbol *symbol, const char *name)
{
	return symbol->function && strcmp(symbol->name, name) != 0 && !elf_is_cold_part(symbol->name);
}

static PyObject *find(PyObject *self, PyObject *args, bool variants)
{
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error = NULL;
	PyObject *list = NULL;
	const char *name;

	if (!PyArg_ParseTuple(args, "s", &name) || !(list = PyList_New(0)))
		return NULL;
	while (list && !(error = (variants ? elf_find_variant : elf_find)(elf_of(self), name, symbol, &symbol)) &&
	       symbol) {
		if (variants && !is_variant(symbol, name))
			continue;
		if (list_take(list,
			      variants ? symbol_to_object(symbol) : PyLong_FromUnsignedLongLong(symbol->address)) < 0)
			Py_CLEAR(list);
	}
	if (!error)
		return list;
	Py_XDECREF(list);
	return raise_error(error);
}

PyObject *elf_find_method(PyObject *self, PyObject *args)
{
	return find(self, args, false);
}

PyObject *elf_variants_method(PyObject *self, PyObject *args)
{
	return find(self, args, true);
}

PyObject *elf_functions_method(PyObject *self, PyObject *unused)
{
	const struct elf_symbol *symbols = NULL;
	PyObject *list = PyList_New(0);
	uint64_t last = 0;
	size_t count = 0;
	struct cs_error *error = elf_symbols(elf_of(self), &symbols, &count);

	(void)unused;
	for (size_t i = 0; list && !error && i < count; i++) {
		const struct elf_symbol *symbol = &symbols[i];

		if (!symbol->function || symbol->address == last || elf_is_cold_part(symbol->name))
			continue;
		last = symbol->address;
		if (list_take(list, symbol_to_object(symbol)) < 0)
			Py_CLEAR(list);
	}
	if (!error)
		return list;
	Py_XDECREF(list);
	return raise_error(error);
}

PyObject *elf_names(struct elf *elf, bool functions)
{
	const struct elf_symbol *symbols = NULL;
	PyObject *names = PySet_New(NULL);
	size_t count = 0;
	struct cs_error *error = elf_symbols(elf, &symbols, &count);

	for (size_t i = 0; names && !error && i < count; i++) {
		const struct elf_symbol *symbol = &symbols[i];

		if ((functions ? symbol->function : symbol->variable) &&
		    set_take(names, text_to_object(symbol->name, elf_base_name_length(symbol->name))) < 0)
			Py_CLEAR(names);
	}
	if (!error)
		return names;
	Py_XDECREF(names);
	return raise_error(error);
}

PyObject *elf_names_method(PyObject *self, PyObject *args)
{
	int functions;

	return PyArg_ParseTuple(args, "p", &functions) ? elf_names(elf_of(self), functions) : NULL;
}

/* The symbol that holds the address in ARGS, which may be none. False with an exception set. */
static bool holder(PyObject *self, PyObject *args, const struct elf_symbol **ret)
{
	unsigned long long address;
	struct cs_error *error;

	if (!PyArg_ParseTuple(args, "K", &address))
		return false;
	error = elf_symbol_at(elf_of(self), address, ret);
	if (error)
		raise_error(error);
	return !error;
}

PyObject *elf_symbol_at_method(PyObject *self, PyObject *args)
{
	const struct elf_symbol *symbol;

	return holder(self, args, &symbol) ? string_to_object(symbol ? symbol->name : "") : NULL;
}

PyObject *elf_start_of_method(PyObject *self, PyObject *args)
{
	const struct elf_symbol *symbol;

	if (!holder(self, args, &symbol))
		return NULL;
	return symbol ? PyLong_FromUnsignedLongLong(symbol->address) : Py_NewRef(Py_None);
}

/* --- Bytes --- */

PyObject *elf_read_method(PyObject *self, PyObject *args)
{
	unsigned long long address, wanted;
	const uint8_t *bytes;
	size_t size = 0;

	if (!PyArg_ParseTuple(args, "KK", &address, &wanted))
		return NULL;
	bytes = elf_bytes_from(elf_of(self), address, &size);
	return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)(bytes && wanted < size ? wanted : size));
}

PyObject *elf_physical_method(PyObject *self, PyObject *args)
{
	struct elf_segment segment;
	unsigned long long address;

	if (!PyArg_ParseTuple(args, "K", &address))
		return NULL;
	for (size_t i = 0; elf_segment(elf_of(self), i, &segment); i++)
		if (address - segment.address < segment.size)
			return PyLong_FromUnsignedLongLong(address - segment.address + segment.physical);
	Py_RETURN_NONE;
}

/* --- Sections --- */

PyObject *elf_has_section_method(PyObject *self, PyObject *args)
{
	const char *name;

	return PyArg_ParseTuple(args, "s", &name) ? PyBool_FromLong(elf_has_section(elf_of(self), name)) : NULL;
}

static PyObject *sections(PyObject *self, void *closure)
{
	size_t count;
	const struct elf_section *items = elf_sections(elf_of(self), &count);
	PyObject *list = PyList_New(0);

	(void)closure;
	for (size_t i = 0; list && i < count; i++)
		if (list_take(list,
			      Py_BuildValue("(N,K,K,N)", string_to_object(items[i].name),
					    (unsigned long long)items[i].address, (unsigned long long)items[i].size,
					    PyBool_FromLong(items[i].executable))) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *stripped(PyObject *self, void *closure)
{
	(void)closure;
	return PyBool_FromLong(elf_is_stripped(elf_of(self)));
}

/* --- Identity --- */

static PyObject *digits(const uint8_t *bytes, size_t size)
{
	PyObject *object = bytes ? PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size) : NULL;
	PyObject *text = object ? PyObject_CallMethod(object, "hex", NULL) : NULL;

	Py_XDECREF(object);
	return bytes ? text : string_to_object("");
}

static PyObject *build_id(PyObject *self, void *closure)
{
	size_t size;
	const uint8_t *bytes = elf_build_id(elf_of(self), &size);

	(void)closure;
	return digits(bytes, size);
}

static PyObject *build_id_notes(PyObject *self, void *closure)
{
	const struct elf_section *notes = elf_build_id_notes(elf_of(self));

	(void)closure;
	if (!notes)
		Py_RETURN_NONE;
	return Py_BuildValue("(KK)", (unsigned long long)notes->address, (unsigned long long)notes->size);
}

PyGetSetDef elf_properties[] = {
	{"build_id", build_id, NULL, NULL, NULL},
	{"build_id_notes", build_id_notes, NULL, NULL, NULL},
	{"sections", sections, NULL, NULL, NULL},
	{"stripped", stripped, NULL, NULL, NULL},
	{0},
};

/* --- Functions of the module --- */

static PyObject *build_id_in(PyObject *module, PyObject *args)
{
	const uint8_t *found;
	const char *notes;
	Py_ssize_t size;
	size_t length;

	(void)module;
	if (!PyArg_ParseTuple(args, "y#", &notes, &size))
		return NULL;
	found = elf_find_build_id((const uint8_t *)notes, (size_t)size, &length);
	return digits(found, found ? length : 0);
}

static PyObject *base_name(PyObject *module, PyObject *args)
{
	const char *name;

	(void)module;
	return PyArg_ParseTuple(args, "s", &name) ? text_to_object(name, elf_base_name_length(name)) : NULL;
}

static PyMethodDef functions[] = {
	{"base_name", base_name, METH_VARARGS, NULL},
	{"build_id_in", build_id_in, METH_VARARGS, NULL},
	{0},
};

int elf_register(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}
