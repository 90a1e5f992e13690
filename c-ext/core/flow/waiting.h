/* SPDX-License-Identifier: MIT */
/*
 * Loops that wait for what something else does to memory: an interrupt, a device, another processor.
 *
 * Such a loop has a pause, hlt or mwait in it; or it is one that could not end by itself: it reads memory, writes none,
 * calls nothing, and no register carries anything from one round to the next. Kernels measure their timers so: the
 * clock's interrupt reads the clocks, while the loop waits until it has come often enough.
 */
#ifndef CLOCKSCOPE_WAITING_H
#define CLOCKSCOPE_WAITING_H

#include "flow/cfg.h"

/* Tells of each loop whether it waits; `ret` has room for cfg->loop_count. */
void waiting_find(struct insn_decoder *decoder, const struct cfg *cfg, bool *ret);

#endif
