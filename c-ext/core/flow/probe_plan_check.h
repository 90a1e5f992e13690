/* SPDX-License-Identifier: MIT */
/* The last step of making a plan: does it tell every path? */
#ifndef CLOCKSCOPE_PROBE_PLAN_CHECK_H
#define CLOCKSCOPE_PROBE_PLAN_CHECK_H

#include "flow/plan.h"

/* Holds a plan against the graph itself: sets `determined` and `gaps`. `hopeful`, by block: the function can still be
 * left from there. */
struct cs_error *plan_check(const struct cfg *cfg, const struct windows *windows, const bool *hopeful,
			    struct plan *plan);

/* By block, whether some probe of the plan shows that it runs (the entry alone left out). `ret` has room for
 * cfg->block_count. */
void plan_witnessed(const struct plan *plan, const struct cfg *cfg, bool *ret);

#endif
