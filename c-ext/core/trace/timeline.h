/* SPDX-License-Identifier: MIT */
/*
 * From a trace's rows to the timeline: the events in order, what they say of each clock, and what was
 * expected but never seen.
 */
#ifndef CLOCKSCOPE_TIMELINE_H
#define CLOCKSCOPE_TIMELINE_H

#include "base/error.h"
#include "trace/timeline_parts.h"
#include "trace/trace.h"

/* Reads a timeline; the caller owns *RET. What is damaged in the file is left out and told in `damage`. */
struct cs_error *timeline_create(struct trace *trace, struct timeline **ret);

/* NULL is legal. */
void timeline_destroy(struct timeline *timeline);

#endif
