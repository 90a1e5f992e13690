/* SPDX-License-Identifier: MIT */
#include "flow/jump_table.h"

#include "base/util.h"

struct search {
	const struct backward *backward;
	uint64_t *targets;
	size_t count;
};

static enum table_outcome add_entry(struct search *search, uint64_t target)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->targets[i] == target)
			return TABLE_RESOLVED;
	if (search->count == TABLE_LIMIT)
		return TABLE_UNKNOWN;
	search->targets[search->count++] = target;
	return TABLE_RESOLVED;
}

static bool read_entry(const struct cfg_input *input, uint64_t address, size_t width, uint64_t base, uint64_t *ret)
{
	uint64_t wide = 0;
	int32_t narrow = 0;

	if (!input->read || !input->read(input->context, address, width == 8 ? (void *)&wide : &narrow, width))
		return false;
	*ret = width == 8 ? wide : base + (uint64_t)(int64_t)narrow;
	return true;
}

/* Reads the entries of a table that a range of the index leaves. */
static enum table_outcome read_entries(struct search *search, uint64_t table, size_t width, uint64_t base,
				       struct backward_range range)
{
	const struct cfg_input *input = search->backward->input;
	enum table_outcome outcome = TABLE_RESOLVED;
	bool bounded = range.end <= TABLE_LIMIT;

	if (range.from >= TABLE_LIMIT)
		return TABLE_UNKNOWN;
	for (uint64_t i = range.from; i < (bounded ? range.end : TABLE_LIMIT); i++) {
		uint64_t target;
		bool inside = read_entry(input, table + i * width, width, base, &target) && code_part(input, target);

		if (!inside && !bounded)
			break;
		if (!inside || add_entry(search, target) != TABLE_RESOLVED)
			outcome = TABLE_UNKNOWN;
	}
	return search->count ? outcome : TABLE_UNKNOWN;
}

/* A table of eight-byte addresses, read by the instruction `at` (a jump or a load). */
static enum table_outcome absolute(struct search *search, uint32_t at, const struct operands_memory *memory)
{
	int64_t base = 0;

	if (memory->index < 0 || memory->scale != 8)
		return TABLE_NONE;
	if (memory->base >= 0 && !backward_constant(search->backward, at, memory->base, &base))
		return TABLE_UNKNOWN;
	return read_entries(search, (uint64_t)base + (uint64_t)memory->displacement, 8, 0,
			    backward_range(search->backward, at, memory->index, 8));
}

/* The one instruction that loads a register from a table of offsets, whichever way leads to `before`. */
static bool offset_load(const struct backward *backward, uint32_t before, int reg, uint32_t *at, struct operands *ret)
{
	uint32_t writers[BACKWARD_WRITERS_MAX];
	size_t count;

	if (!backward_writers(backward, before, reg, writers, &count) || count != 1)
		return false;
	*at = writers[0];
	operands_of(backward->decoder, &backward->code->insns[*at].base.insn, ret);
	return ret->shape == OPERANDS_LOAD && ret->memory.index >= 0 && ret->memory.scale == 4;
}

/* `add base, reg` at `at`, before it the load of an offset into either register. */
static enum table_outcome relative(struct search *search, uint32_t at, const struct operands *add)
{
	const int both[] = {add->reg, add->from};

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct operands load;
		int64_t table, base;
		uint32_t load_at;

		if (both[i] < 0 || !offset_load(search->backward, at, both[i], &load_at, &load))
			continue;
		if (!backward_constant(search->backward, load_at, load.memory.base, &table) ||
		    !backward_constant(search->backward, at, both[1 - i], &base))
			return TABLE_UNKNOWN;
		return read_entries(search, (uint64_t)table + (uint64_t)load.memory.displacement, 4, (uint64_t)base,
				    backward_range(search->backward, load_at, load.memory.index, 8));
	}
	return TABLE_NONE;
}

/* Where the value that an instruction leaves in the jump's register can lead. */
static enum table_outcome by_writer(struct search *search, uint32_t writer)
{
	struct operands operands;

	operands_of(search->backward->decoder, &search->backward->code->insns[writer].base.insn, &operands);
	if (operands.shape == OPERANDS_LOAD)
		return absolute(search, writer, &operands.memory);
	if (operands.shape == OPERANDS_ADD_REGISTER)
		return relative(search, writer, &operands);
	return TABLE_NONE;
}

static enum table_outcome worse(enum table_outcome a, enum table_outcome b)
{
	return a == b ? a : TABLE_UNKNOWN;
}

/* A jump to a register, which may have been loaded in several places. */
static enum table_outcome by_register(struct search *search, uint32_t jump, int reg)
{
	uint32_t writers[BACKWARD_WRITERS_MAX];
	enum table_outcome outcome;
	size_t count;
	bool all = backward_writers(search->backward, jump, reg, writers, &count);

	if (!count)
		return TABLE_NONE;
	outcome = by_writer(search, writers[0]);
	for (size_t i = 1; i < count; i++)
		outcome = worse(outcome, by_writer(search, writers[i]));
	return all || outcome == TABLE_NONE ? outcome : TABLE_UNKNOWN;
}

enum table_outcome table_resolve(const struct backward *backward, uint32_t jump, uint64_t *targets, size_t *count_ret)
{
	struct search search = {.backward = backward, .targets = targets};
	enum table_outcome outcome = TABLE_NONE;
	struct operands operands;

	operands_of(backward->decoder, &backward->code->insns[jump].base.insn, &operands);
	if (operands.memory.size)
		outcome = absolute(&search, jump, &operands.memory);
	else if (operands.from >= 0)
		outcome = by_register(&search, jump, operands.from);
	*count_ret = search.count;
	return outcome;
}
