/* SPDX-License-Identifier: MIT */
/*
 * Timing windows: code in which a stop would change what the clocks read.
 *
 * An instruction is in a window when, on some path of one invocation, a clock was read before it and a
 * clock is read at it or after it. Loops that poll a clock are thereby windows as a whole. Clock
 * reads are rdtsc, rdtscp, rdpmc, in, out, and calls of the functions that the profile names. In a function that the
 * profile names as measuring, so is what may be one: a call through a pointer, and a call of what reads a clock itself.
 * A loop that waits (waiting.h) is a window too, whatever it waits for: it may be a clock's interrupt.
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
	bool measures;     /* it reads a clock, waits, or calls a function that the profile names as measuring */
	uint64_t *callees; /* direct callees inside windows, and the references called: sorted. A stop in one is a stop
			      in a window. Of a measuring function also what its pointers hold. */
	uint32_t callee_count;
	uint64_t *pointers; /* where a measuring function reads 8 bytes of memory at a fixed address: sorted */
	uint32_t pointer_count;
};

/* What is known beforehand of the kernel's functions: sorted addresses; all borrowed. */
struct window_hints {
	const uint64_t *references; /* they read a reference clock */
	size_t reference_count;
	const uint64_t *measuring; /* they measure a clock */
	size_t measuring_count;
	const uint64_t *pointees; /* the pointers through which measuring functions call held these */
	size_t pointee_count;
	const uint64_t *noreturn; /* they never return, beside those of which DWARF says so */
	size_t noreturn_count;
	uint64_t indirect_thunks[2]; /* [start, end) of what stands for a call through a register; 0, 0: none */
	/* Whether the function that begins at an address reads a clock, or may; NULL: none does. */
	struct cs_error *(*reads)(void *context, uint64_t function, bool *ret);
	void *context;
};

/* `hints` may be NULL. */
struct cs_error *windows_create(struct insn_decoder *decoder, const struct cfg *cfg, const struct window_hints *hints,
				struct windows **ret);
void windows_destroy(struct windows *windows);

/* Whether an instruction of a block calls what cannot be told from the code: through a pointer, perhaps as the last it
 * does. Calls that the kernel patches are none. `thunks` as in the hints. */
bool window_calls_pointer(const struct cfg_block *block, const struct cfg_insn *insn, const uint64_t *thunks);

#endif
