/* SPDX-License-Identifier: MIT */
/* What the files of the binding share: error conversion and the registration of each type. */
#ifndef CLOCKSCOPE_CONVERT_H
#define CLOCKSCOPE_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"

/* Sets the Python exception for a core error, consumes the error, and returns NULL. A NULL error is
 * not allowed. The caller holds the GIL. */
PyObject *raise_error(struct cs_error *error);

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

#endif
