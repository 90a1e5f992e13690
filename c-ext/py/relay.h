/* SPDX-License-Identifier: MIT */
/* What the binding's other files need of the Relay type. */
#ifndef CLOCKSCOPE_PY_RELAY_H
#define CLOCKSCOPE_PY_RELAY_H

#include <stdbool.h>

#include "convert.h"

#include "relay/relay.h"

/* The relay behind a Relay object, which whoever keeps it must hold; NULL with an exception set for another object or a
 * closed one. */
struct relay *relay_object_relay(PyObject *object);

/* Whether a wait was given up with an exception (Ctrl-C) or an error is to be raised: consumes the error.
 * None, or NULL with the exception set. */
PyObject *relay_outcome(struct cs_error *error);

/* relay_counts.c: the relay's counts as a dict, and its methods `mark` and `marked`. */
PyObject *relay_statistics_dict(const struct relay_statistics *counts);
PyObject *relay_mark_method(PyObject *self, PyObject *unused);
PyObject *relay_marked_method(PyObject *self, PyObject *args);

#endif
