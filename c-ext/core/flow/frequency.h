/* SPDX-License-Identifier: MIT */
/* How often each block is likely to run, from the shape of the graph alone. */
#ifndef CLOCKSCOPE_FREQUENCY_H
#define CLOCKSCOPE_FREQUENCY_H

#include "flow/graph.h"

/* Estimated executions of each block per invocation: branches even, loops ten times, cold parts
 * seldom. `ret` has room for cfg->block_count. */
struct cs_error *plan_estimate(const struct cfg *cfg, double *ret);

#endif
