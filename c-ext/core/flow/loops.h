/* SPDX-License-Identifier: MIT */
/* The last step of building a CFG: dominators and loops. Of use to cfg.c alone. */
#ifndef CLOCKSCOPE_LOOPS_H
#define CLOCKSCOPE_LOOPS_H

#include "flow/cfg.h"

/* Sets dominator, loop and depth of each block, and cfg->loops. Blocks are in reverse post-order. */
struct cs_error *loops_find(struct cfg *cfg);

#endif
