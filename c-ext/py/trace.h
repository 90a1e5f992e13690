/* SPDX-License-Identifier: MIT */
/* What the binding's other files need of the trace types. */
#ifndef CLOCKSCOPE_PY_TRACE_H
#define CLOCKSCOPE_PY_TRACE_H

#include "convert.h"

#include "trace/store.h"
#include "trace/timeline.h"
#include "trace/trace.h"

/* The store behind a TraceWriter, which whoever keeps it must hold (once it is closed, each call on it is an error);
 * NULL with TypeError set for another object. */
struct store *trace_writer_store(PyObject *object);

/* The open trace behind a Trace, to be let go by trace_leave(); NULL with an exception set once it is closed, or for
 * another object. Python code that runs meanwhile (a sequence's methods, a handler of Ctrl-C) may close it: that is
 * done at the last trace_leave(). */
struct trace *trace_enter(PyObject *object);
void trace_leave(PyObject *object);

/* A timeline as the dict that `timeline --format json` prints. */
PyObject *timeline_to_object(const struct timeline *timeline);

#endif
