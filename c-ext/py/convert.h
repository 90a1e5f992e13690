/* SPDX-License-Identifier: MIT */
/* What the files of the binding share: error conversion and the registration of each type. */
#ifndef CLOCKSCOPE_CONVERT_H
#define CLOCKSCOPE_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/placement.h"

/* Sets the Python exception for a core error, consumes the error, and returns NULL. A NULL error is
 * not allowed. The caller holds the GIL. */
PyObject *raise_error(struct cs_error *error);

/* Runs a call that may wait, without the GIL. */
#define WITHOUT_GIL(ERROR, CALL)                                                                                       \
	do {                                                                                                           \
		Py_BEGIN_ALLOW_THREADS(ERROR) = (CALL);                                                                \
		Py_END_ALLOW_THREADS                                                                                   \
	} while (0)

/*
 * The life of an object. Each type makes its objects whole in tp_new, from the arguments: so there are none that were
 * never initialised. What it makes them of holds references of the core's, and no Python object: so there are no
 * cycles. tp_init only sees to it that an object is not made twice.
 */
#define INSTANCE_HEAD PyObject_HEAD bool begun; /* tp_init was called */

/* Whether this thread is in such a RELEASE: then nothing of Python's is asked. */
bool instance_in_destructor(void);

/* Adds the module's exception classes. 0, or -1 with an exception set. */
int errors_register(PyObject *module);

/* A type of the module. */
struct type {
	const char *name; /* with the module's */
	const char *doc;
	int size;
	newfunc create;
	/* The end of an object, which is given back behind it. Without the GIL, for it may wait for a stub or a disk;
	 * an exception that is under way stays, and no signal is looked at. */
	void (*release)(void *object);
	void (*leave)(PyObject *object); /* may be NULL: what is done before that, with the GIL */
	PyMethodDef *methods;
	PyGetSetDef *properties; /* may be NULL */

	/* type_register() has these. */
	PyObject *made;
	struct type *next;
};

/* Adds a type to the module, by its last name. 0, or -1 with an exception set. */
int type_register(PyObject *module, struct type *type);

/* Whether an object is of that type; TypeError is set where it is not. */
bool type_has(const struct type *type, PyObject *object);

/* For a tp_new: an object with nothing in it, or NULL with an exception set. */
PyObject *instance_create(PyTypeObject *type);

/* A tp_new for what is made of a file, by its path alone. */
PyObject *instance_open(PyTypeObject *type, PyObject *args, PyObject *keywords,
			struct cs_error *(*open)(PyObject *object, const char *path));

/* None, or NULL with the error raised. */
PyObject *none_or_raise(struct cs_error *error);

/* Text that may hold any bytes; those that are no UTF-8 become escapes. */
PyObject *text_to_object(const char *text, size_t length);
PyObject *string_to_object(const char *text);

/* As text, so that no reader of JSON rounds it to a floating-point number. */
PyObject *hexadecimal(uint64_t address);

/* Each adds an object to a container and releases it; it may be NULL after a failed conversion. 0, or -1 with an
 * exception set. */
int dict_take(PyObject *dict, const char *name, PyObject *value);
int list_take(PyObject *list, PyObject *item);
int set_take(PyObject *set, PyObject *item);

/* For "O&": (offset, first address, last address); None where nothing was moved. */
int take_placement(PyObject *value, void *placement);

/* Each adds what its file defines to the module. 0, or -1 with an exception set. */
int relay_register(PyObject *module);
int recorder_register(PyObject *module);
int writer_register(PyObject *module);
int trace_register(PyObject *module);
int xref_register(PyObject *module);
int diff_register(PyObject *module);
int cfg_register(PyObject *module);
int elf_register(PyObject *module);
int emulate_register(PyObject *module);
int intervention_register(PyObject *module);
int quirks_register(PyObject *module);

#endif
