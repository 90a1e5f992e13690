/* SPDX-License-Identifier: MIT */
/*
 * What a register holds where an instruction stands, asked backward over every way that is known to lead there:
 * a comparison that one way skips bounds nothing.
 */
#ifndef CLOCKSCOPE_BACKWARD_H
#define CLOCKSCOPE_BACKWARD_H

#include "arch/operands.h"
#include "flow/found_code.h"

/* One way from instruction `from` to the one at `address`. */
struct backward_way {
	uint64_t address;
	uint32_t from; /* number in code->insns */
	enum cfg_edge_kind kind;
};

struct backward {
	struct insn_decoder *decoder;
	const struct cfg_input *input;
	const struct code *code;
	struct backward_way *ways; /* in order of address */
	size_t count;
};

/* Collects the ways of the code found so far. Decoder, input and code are borrowed. */
struct cs_error *backward_create(struct insn_decoder *decoder, const struct cfg_input *input, const struct code *code,
				 struct backward *ret);
void backward_destroy(struct backward *backward);

#define BACKWARD_WRITERS_MAX 8u

/* The instructions whose value register `reg` holds before instruction number `insn`; their number in `*count`. False
 * where there may be others: the function's entry, more than BACKWARD_WRITERS_MAX, or a way too long to follow. */
bool backward_writers(const struct backward *backward, uint32_t insn, int reg, uint32_t *ret, size_t *count);

/* The constant that a register holds before an instruction, whichever way led there. */
bool backward_constant(const struct backward *backward, uint32_t insn, int reg, int64_t *ret);

#define BACKWARD_OPEN UINT64_MAX

/* The values, from <= value < end, that comparisons and masks leave to a register's lowest `width` bytes before an
 * instruction. `end` is BACKWARD_OPEN where one way there sets no limit. */
struct backward_range {
	uint64_t from, end;
};

struct backward_range backward_range(const struct backward *backward, uint32_t insn, int reg, unsigned width);

#endif
