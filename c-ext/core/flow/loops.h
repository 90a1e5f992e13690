/* SPDX-License-Identifier: MIT */
/* The last step of building a CFG, dominators and loops; and questions about them. */
#ifndef CLOCKSCOPE_LOOPS_H
#define CLOCKSCOPE_LOOPS_H

#include "flow/graph.h"

/* Sets dominator, loop and depth of each block, and cfg->loops. Blocks are in reverse post-order. */
struct cs_error *loops_find(struct cfg *cfg);

bool cfg_dominates(const struct cfg *cfg, uint32_t above, uint32_t below);
bool cfg_in_loop(const struct cfg *cfg, uint32_t loop, uint32_t block);

#endif
