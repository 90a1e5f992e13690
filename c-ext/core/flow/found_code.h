/* SPDX-License-Identifier: MIT */
/* The instructions of a function that were found so far, and where control can go from each. */
#ifndef CLOCKSCOPE_FOUND_CODE_H
#define CLOCKSCOPE_FOUND_CODE_H

#include "flow/graph.h"

/* A place that control reaches other than by falling through. */
struct code_target {
	uint64_t address;
	enum cfg_edge_kind kind;
};

struct code_insn {
	struct cfg_insn base;
	bool falls;           /* control can go on with the next instruction */
	bool perhaps;         /* … if that is reached in another way too (a BUG or WARN of which nothing is known) */
	unsigned exits;       /* bits of enum cfg_exit */
	unsigned other_exits; /* those of an indirect jump that are not its own: what it may be patched to */
	uint32_t targets;     /* range in code->targets */
	uint32_t target_count;
};

struct code {
	struct code_insn *insns; /* in the order they were found; runs that fall through are consecutive */
	uint32_t count, room;
	struct code_target *targets;
	uint32_t target_count, target_room;
	uint32_t **index; /* by part of the input, by offset: instruction number + 1, or 0 */
	size_t part_count;
};

/* The number of the instruction that was found at an address, or CFG_NONE. */
uint32_t code_at(const struct code *code, const struct cfg_input *input, uint64_t address);

/* The part that holds an address, or NULL. */
const struct cfg_code *code_part(const struct cfg_input *input, uint64_t address);

#endif
