/* SPDX-License-Identifier: MIT */
/* What the binding's other files need of the trace types. */
#ifndef CLOCKSCOPE_PY_TRACE_H
#define CLOCKSCOPE_PY_TRACE_H

#include "convert.h"

#include "../core/store.h"

/* The store behind a TraceWriter, valid for as long as that object lives (also once it is closed, when
 * each call on it is an error); NULL with TypeError set for another object. */
struct store *trace_writer_store(PyObject *object);

#endif
