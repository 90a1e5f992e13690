/* SPDX-License-Identifier: MIT */
/* Where one instruction stores, and how: what a watchpoint's stop is held against. */
#ifndef CLOCKSCOPE_WRITTEN_H
#define CLOCKSCOPE_WRITTEN_H

#include "arch/operands.h"

struct written {
	bool updates;        /* it may write what was there: an addition in memory, a store that is masked */
	bool string;         /* of a string, one after the other: the pointer is behind what was written last */
	const char *segment; /* the segment's name, "" where there is none */
	uint16_t width;
	struct operands_memory place; /* not for strings */
};

/* False where the instruction stores to no operand of its own (what a call or a push stores to the stack is none). The
 * decoder has decoded it before. */
bool written_by(struct insn_decoder *decoder, const struct insn *insn, struct written *ret);

#endif
