/* SPDX-License-Identifier: MIT */
/* What the binding's other files need of the trace types. */
#ifndef CLOCKSCOPE_PY_TRACE_H
#define CLOCKSCOPE_PY_TRACE_H

#include "convert.h"

#include "trace/store.h"
#include "trace/timeline.h"
#include "trace/trace.h"

/* The store behind a TraceWriter, valid for as long as that object lives (also once it is closed, when
 * each call on it is an error); NULL with TypeError set for another object. */
struct store *trace_writer_store(PyObject *object);

/* The open trace behind a Trace; NULL with an exception set once it is closed, or for another object. */
struct trace *trace_of(PyObject *object);

/* Text that may hold any bytes; those that are no UTF-8 become escapes. */
PyObject *text_to_object(const char *text, size_t length);

/* A timeline as the dict that `timeline --format json` prints. */
PyObject *timeline_to_object(const struct timeline *timeline);

#endif
