/* SPDX-License-Identifier: MIT */
#include "flow/jump_table.h"

#include "arch/x86/operands.h"

#define LOOK_BACK 24u /* instructions before the jump that are searched */

struct search {
	struct insn_decoder *decoder;
	const struct cfg_input *input;
	const struct code_insn *run;
	size_t jump; /* number of the jump in the run */
};

/* The last instruction before `before` that writes a register, or false. */
static bool writer_of(const struct search *search, size_t before, int reg, size_t *at_ret, struct operands *ret)
{
	for (size_t i = before; i > 0 && search->jump - i < LOOK_BACK; i--) {
		operands_of(search->decoder, &search->run[i - 1].base.insn, ret);
		if (ret->written >> reg & 1) {
			*at_ret = i - 1;
			return true;
		}
	}
	return false;
}

/* The constant a register holds before instruction `before`. */
static bool constant_of(const struct search *search, size_t before, int reg, int64_t *ret)
{
	struct operands operands;
	size_t at;

	while (reg >= 0 && writer_of(search, before, reg, &at, &operands)) {
		if (operands.shape == OPERANDS_SET) {
			*ret = operands.constant;
			return true;
		}
		if (operands.shape != OPERANDS_COPY)
			return false;
		reg = operands.from;
		before = at;
	}
	return false;
}

/* Number of entries of a table indexed by a register: from the comparison or mask that guards it; 0: unknown. */
static size_t entries_of(const struct search *search, size_t before, int reg)
{
	for (size_t i = before; i > 0 && search->jump - i < LOOK_BACK; i--) {
		const struct insn *insn = &search->run[i - 1].base.insn;
		const struct insn *next = &search->run[i].base.insn;
		struct operands operands;

		operands_of(search->decoder, insn, &operands);
		if (operands.shape == OPERANDS_COPY && operands.reg == reg) {
			reg = operands.from;
			continue;
		}
		if (operands.shape == OPERANDS_MASK && operands.reg == reg)
			return (uint64_t)operands.constant < TABLE_LIMIT ? (size_t)operands.constant + 1 : 0;
		if (operands.shape == OPERANDS_COMPARE && operands.reg == reg && next->kind == INSN_BRANCH) {
			if ((uint64_t)operands.constant >= TABLE_LIMIT)
				return 0;
			if (next->condition == INSN_A || next->condition == INSN_BE)
				return (size_t)operands.constant + 1;
			return next->condition == INSN_AE || next->condition == INSN_B ? (size_t)operands.constant : 0;
		}
		if (reg < 0 || operands.written >> reg & 1)
			return 0;
	}
	return 0;
}

/* Reads the table. Where its size is not known it ends at the first entry that is no place in the function. */
static enum table_outcome read_entries(const struct cfg_input *input, uint64_t table, size_t width, uint64_t base,
				       size_t entries, uint64_t *targets, size_t *count_ret)
{
	size_t limit = entries ? entries : TABLE_LIMIT;
	size_t count = 0;

	for (; input->read && count < limit; count++) {
		uint64_t wide = 0;
		int32_t narrow = 0;

		if (!input->read(input->context, table + count * width, width == 8 ? (void *)&wide : &narrow, width))
			break;
		targets[count] = width == 8 ? wide : base + (uint64_t)(int64_t)narrow;
		if (!code_part(input, targets[count]))
			break;
	}
	*count_ret = count;
	return count && (!entries || count == entries) ? TABLE_RESOLVED : TABLE_UNKNOWN;
}

/* A table of eight-byte addresses, read by the instruction `at` (a jump or a load). */
static enum table_outcome absolute(const struct search *search, size_t at, const struct operands_memory *memory,
				   uint64_t *targets, size_t *count_ret)
{
	int64_t base = 0;

	if (memory->index < 0 || memory->scale != 8)
		return TABLE_NONE;
	if (memory->base >= 0 && !constant_of(search, at, memory->base, &base))
		return TABLE_UNKNOWN;
	return read_entries(search->input, (uint64_t)(base + memory->displacement), 8, 0,
			    entries_of(search, at, memory->index), targets, count_ret);
}

/* `add base, reg` at `at`, before it the load of an offset into either register. */
static enum table_outcome relative(const struct search *search, size_t at, const struct operands *add,
				   uint64_t *targets, size_t *count_ret)
{
	const int both[] = {add->reg, add->from};

	for (size_t i = 0; i < 2; i++) {
		struct operands load;
		int64_t table, base;
		size_t load_at;

		if (!writer_of(search, at, both[i], &load_at, &load) || load.shape != OPERANDS_LOAD ||
		    load.memory.index < 0 || load.memory.scale != 4)
			continue;
		if (!constant_of(search, load_at, load.memory.base, &table) ||
		    !constant_of(search, at, both[1 - i], &base))
			return TABLE_UNKNOWN;
		return read_entries(search->input, (uint64_t)(table + load.memory.displacement), 4, (uint64_t)base,
				    entries_of(search, load_at, load.memory.index), targets, count_ret);
	}
	return TABLE_NONE;
}

enum table_outcome table_resolve(struct insn_decoder *decoder, const struct cfg_input *input,
				 const struct code_insn *run, size_t count, uint64_t *targets, size_t *count_ret)
{
	struct search search = {.decoder = decoder, .input = input, .run = run, .jump = count - 1};
	struct operands jump, writer;
	size_t at;

	operands_of(decoder, &run[count - 1].base.insn, &jump);
	if (jump.memory.size)
		return absolute(&search, count - 1, &jump.memory, targets, count_ret);
	if (jump.from < 0 || !writer_of(&search, count - 1, jump.from, &at, &writer))
		return TABLE_NONE;
	if (writer.shape == OPERANDS_LOAD)
		return absolute(&search, at, &writer.memory, targets, count_ret);
	if (writer.shape == OPERANDS_ADD_REGISTER)
		return relative(&search, at, &writer, targets, count_ret);
	return TABLE_NONE;
}
