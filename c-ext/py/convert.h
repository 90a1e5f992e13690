/* SPDX-License-Identifier: MIT */
/* What the files of the binding share: error conversion and the registration of each type. */
#ifndef CLOCKSCOPE_CONVERT_H
#define CLOCKSCOPE_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "base/error.h"

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

int instance_init_once(PyObject *self, PyObject *args, PyObject *keywords);

/* The end of a tp_dealloc. RELEASE is called with the object, without the GIL, for it may wait for a stub or a disk; an
 * exception that is under way stays, and no signal is looked at. NULL: there is nothing to release. */
void instance_destroy(PyObject *self, void (*release)(void *object));

/* Whether this thread is in such a RELEASE: then nothing of Python's is asked. */
bool instance_in_destructor(void);

/* Adds the module's exception classes. 0, or -1 with an exception set. */
int errors_register(PyObject *module);

/* Adds `name` -> `value` to a dict and releases `value`, which may be NULL after a failed conversion.
 * 0, or -1 with an exception set. */
int dict_take(PyObject *dict, const char *name, PyObject *value);

/* Adds the type that SPEC describes to the module, by its last name. TYPE, which may be NULL, gets a reference that
 * the caller keeps. 0, or -1 with an exception set. */
int type_register(PyObject *module, PyType_Spec *spec, PyObject **type);

/* Each adds what its file defines to the module. 0, or -1 with an exception set. */
int relay_register(PyObject *module);
int recorder_register(PyObject *module);
int writer_register(PyObject *module);
int trace_register(PyObject *module);
int xref_register(PyObject *module);
int diff_register(PyObject *module);
int cfg_register(PyObject *module);
int emulate_register(PyObject *module);
int intervention_register(PyObject *module);
int quirks_register(PyObject *module);

#endif
