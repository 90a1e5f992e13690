/* SPDX-License-Identifier: MIT */
/*
 * Timing windows: code in which a stop would change what the clocks read.
 *
 * An instruction is in a window when, on some path of one invocation, a clock was read before it and a
 * clock is read at it or after it. Loops that poll a clock are thereby windows as a whole. Clock
 * reads are rdtsc, rdtscp, rdpmc, in, out, and calls of the functions that the profile names.
 */
#ifndef CLOCKSCOPE_WINDOW_H
#define CLOCKSCOPE_WINDOW_H

#include "flow/cfg.h"

/* A connected piece of code in windows. */
struct window {
	uint64_t from, to;    /* lowest address, and the end of the highest instruction */
	uint32_t block_count; /* blocks with at least one instruction in it */
	bool polls;           /* it is, or holds, a loop that reads a clock */
};

struct windows {
	bool *inside;        /* by instruction index: a stop here falls into a window */
	uint32_t *window_of; /* by block: index into items of the window it touches first, or CFG_NONE */
	struct window *items;
	uint32_t count;
	uint64_t *callees; /* direct callees inside windows, and the references called: sorted. A stop in one is a stop
			      in a window */
	uint32_t callee_count;
};

/* `references`: sorted addresses of functions that read a reference clock. */
struct cs_error *windows_create(const struct cfg *cfg, const uint64_t *references, size_t count, struct windows **ret);
void windows_destroy(struct windows *windows);

/* Whether a clock is read here: by the instruction itself or by the function it calls. */
bool window_is_read(const struct insn *insn, const uint64_t *references, size_t count);

#endif
