/* SPDX-License-Identifier: MIT */
/* An object for each kernel's file that is read. elf.c has what the file itself says, cfg.c what its code does. */
#ifndef CLOCKSCOPE_PY_ANALYSER_H
#define CLOCKSCOPE_PY_ANALYSER_H

#include "convert.h"

#include "elf/elf.h"

struct analyser_object {
	INSTANCE_HEAD
	struct elf *elf;

	/* Made when first asked for. */
	struct analyser *analyser;
	struct lines *lines;
};

/* The base names of all functions, or of all variables, as a set; NULL with an exception set. */
PyObject *elf_names(struct elf *elf, bool functions);

PyObject *elf_find_method(PyObject *self, PyObject *args);
PyObject *elf_functions_method(PyObject *self, PyObject *unused);
PyObject *elf_has_section_method(PyObject *self, PyObject *args);
PyObject *elf_names_method(PyObject *self, PyObject *args);
PyObject *elf_physical_method(PyObject *self, PyObject *args);
PyObject *elf_read_method(PyObject *self, PyObject *args);
PyObject *elf_start_of_method(PyObject *self, PyObject *args);
PyObject *elf_symbol_at_method(PyObject *self, PyObject *args);
PyObject *elf_variants_method(PyObject *self, PyObject *args);

/* clang-format off */
#define ELF_METHODS                                                                                                    \
	{"find", elf_find_method, METH_VARARGS, NULL},                                                                 \
	{"functions", elf_functions_method, METH_NOARGS, NULL},                                                        \
	{"has_section", elf_has_section_method, METH_VARARGS, NULL},                                                   \
	{"names", elf_names_method, METH_VARARGS, NULL},                                                               \
	{"physical", elf_physical_method, METH_VARARGS, NULL},                                                         \
	{"read", elf_read_method, METH_VARARGS, NULL},                                                                 \
	{"start_of", elf_start_of_method, METH_VARARGS, NULL},                                                         \
	{"symbol_at", elf_symbol_at_method, METH_VARARGS, NULL},                                                       \
	{"variants", elf_variants_method, METH_VARARGS, NULL}
/* clang-format on */

extern PyGetSetDef elf_properties[];

#endif
