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

struct counters;
/* Its counters, for as long as the relay is held; NULL likewise. */
struct counters *relay_object_counters(PyObject *object);

/* Whether a wait was given up with an exception (Ctrl-C) or an error is to be raised: consumes the error.
 * None, or NULL with the exception set. */
PyObject *relay_outcome(struct cs_error *error);

/* The type's methods, named as in _core.pyi. relay_stub.c: */
PyObject *relay_capabilities_method(PyObject *self, PyObject *unused);
PyObject *relay_request_method(PyObject *self, PyObject *args, PyObject *keywords);
PyObject *relay_monitor_method(PyObject *self, PyObject *args, PyObject *keywords);
PyObject *relay_read_memory_method(PyObject *self, PyObject *args);
PyObject *relay_write_memory_method(PyObject *self, PyObject *args);
PyObject *relay_read_registers_method(PyObject *self, PyObject *args);
PyObject *relay_instructions_method(PyObject *self, PyObject *unused);

/* relay_counts.c: */
PyObject *relay_statistics_method(PyObject *self, PyObject *unused);
PyObject *relay_run_ns_method(PyObject *self, PyObject *unused);
PyObject *relay_restart_time_method(PyObject *self, PyObject *unused);
PyObject *relay_mark_method(PyObject *self, PyObject *unused);
PyObject *relay_marked_method(PyObject *self, PyObject *args);
PyObject *relay_add_counter_method(PyObject *self, PyObject *args);
PyObject *relay_remove_counter_method(PyObject *self, PyObject *args);
PyObject *relay_counters_method(PyObject *self, PyObject *unused);
PyObject *relay_set_trace_method(PyObject *self, PyObject *writer);
PyObject *relay_set_replay_method(PyObject *self, PyObject *args);

/* relay_drive.c: */
PyObject *relay_resume_method(PyObject *self, PyObject *args);
PyObject *relay_wait_method(PyObject *self, PyObject *args);
PyObject *relay_interrupt_method(PyObject *self, PyObject *unused);
PyObject *relay_settle_method(PyObject *self, PyObject *unused);
PyObject *relay_detach_method(PyObject *self, PyObject *unused);
PyObject *relay_set_idle_limit_method(PyObject *self, PyObject *args);
PyObject *relay_borrow_method(PyObject *self, PyObject *args);
PyObject *relay_measure_tsc_method(PyObject *self, PyObject *args);

#endif
