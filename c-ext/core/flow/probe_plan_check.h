/* SPDX-License-Identifier: MIT */
/* The last step of making a plan: does it tell every path? Of use to probe_plan.c alone. */
#ifndef CLOCKSCOPE_PROBE_PLAN_CHECK_H
#define CLOCKSCOPE_PROBE_PLAN_CHECK_H

#include "flow/probe_plan.h"

/* Holds a plan against the graph itself: sets `determined` and `gaps`. `hopeful`, by block: the function can still be
 * left from there. */
struct cs_error *plan_check(const struct cfg *cfg, const struct windows *windows, const bool *hopeful,
			    struct plan *plan);

#endif
