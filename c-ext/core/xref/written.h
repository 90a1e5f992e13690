/* SPDX-License-Identifier: MIT */
/* Where one instruction stores, and how: what a watchpoint's stop is held against. */
#ifndef CLOCKSCOPE_XREF_WRITTEN_H
#define CLOCKSCOPE_XREF_WRITTEN_H

#include "arch/operands.h"

struct store {
	bool updates; /* it may write what was there: add, cmpxchg, bts; a masked store */
	bool string;  /* stos, movs, ins: RDI is behind what was written last (before it, where DF is set) */
	char segment; /* 'f', 'g', or 0 */
	uint16_t width;
	struct operands_memory place; /* not for strings */
};

/* False where the instruction stores to no operand of its own (what a call or a push stores to the stack is none). The
 * decoder has decoded it before. */
bool store_of(struct insn_decoder *decoder, const struct insn *insn, struct store *ret);

#endif
