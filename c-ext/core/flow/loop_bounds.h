/* SPDX-License-Identifier: MIT */
/*
 * Loops that count: a register that starts from a constant, changes by a constant once a round, and ends the
 * loop at a constant. `for (i = 0; i < 5; i++)` with a `break` in it has at most 5 rounds; left by its count it has
 * exactly 5.
 */
#ifndef CLOCKSCOPE_LOOP_BOUNDS_H
#define CLOCKSCOPE_LOOP_BOUNDS_H

#include "flow/cfg.h"

#define BOUNDS_LIMIT 1000000u /* rounds that are counted out */

/* Sets `rounds` and `counter` of the graph's loops. */
void bounds_find(struct insn_decoder *decoder, struct cfg *cfg);

#endif
