/* SPDX-License-Identifier: MIT */
#include "flow/backward.h"

#include "base/addresses.h"
#include "base/util.h"

#define VISITS_MAX 256u /* instructions that one question looks at */
#define FLAGS_FAR 8u    /* instructions between a comparison and the branch that decides by it */
#define COPIES_MAX 8u   /* registers that a constant is followed through */

static const struct backward_range anything = {0, BACKWARD_OPEN};
static const struct backward_range nothing = {BACKWARD_OPEN, 0}; /* no way leads there */

/* One question: which instructions have been looked at, or are being looked at. */
struct question {
	const struct backward *backward;
	uint32_t visited[VISITS_MAX];
	uint8_t regs[VISITS_MAX];
	size_t count;
	size_t visits;
};

struct cs_error *backward_create(struct insn_decoder *decoder, const struct cfg_input *input, const struct code *code,
				 struct backward *ret)
{
	*ret = (struct backward){.decoder = decoder, .input = input, .code = code};
	ret->ways = calloc((size_t)code->count + code->target_count + 1, sizeof(*ret->ways));
	if (!ret->ways)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < code->count; i++) {
		const struct code_insn *insn = &code->insns[i];

		if (insn->falls)
			ret->ways[ret->count++] =
				(struct backward_way){insn_next(&insn->base.insn), i, CFG_FALLTHROUGH};
		for (uint32_t k = insn->targets; k < insn->targets + insn->target_count; k++)
			ret->ways[ret->count++] =
				(struct backward_way){code->targets[k].address, i, code->targets[k].kind};
	}
	qsort(ret->ways, ret->count, sizeof(*ret->ways), address_compare);
	return NULL;
}

void backward_destroy(struct backward *backward)
{
	free(backward->ways);
	backward->ways = NULL;
}

/* The ways that lead to an instruction; their number in `*count`. */
static const struct backward_way *ways_to(const struct backward *backward, uint32_t insn, size_t *count)
{
	uint64_t address = backward->code->insns[insn].base.insn.address;
	size_t low = 0, high = backward->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (backward->ways[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < backward->count && backward->ways[high].address == address;)
		high++;
	*count = high - low;
	return backward->ways + low;
}

static bool is_entry(const struct backward *backward, uint32_t insn)
{
	return backward->code->insns[insn].base.insn.address == backward->input->entry;
}

static const struct insn *insn_at(const struct backward *backward, uint32_t number)
{
	return &backward->code->insns[number].base.insn;
}

/* What an instruction does; a call's callee included. */
static void effect_of(const struct backward *backward, uint32_t insn, struct operands *ret)
{
	operands_with_callee(backward->decoder, insn_at(backward, insn), ret);
}

static bool seen(const struct question *question, uint32_t insn, int reg)
{
	for (size_t i = 0; i < question->count; i++)
		if (question->visited[i] == insn && question->regs[i] == reg)
			return true;
	return false;
}

/* False where the question has become too long. */
static bool enter(struct question *question, uint32_t insn, int reg)
{
	if (question->visits++ >= VISITS_MAX || question->count == VISITS_MAX)
		return false;
	question->visited[question->count] = insn;
	question->regs[question->count++] = (uint8_t)reg;
	return true;
}

static bool add_writer(uint32_t insn, uint32_t *ret, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		if (ret[i] == insn)
			return true;
	if (*count == BACKWARD_WRITERS_MAX)
		return false;
	ret[(*count)++] = insn;
	return true;
}

static bool writers_before(struct question *question, uint32_t insn, int reg, uint32_t *ret, size_t *count)
{
	size_t way_count;
	const struct backward_way *ways = ways_to(question->backward, insn, &way_count);
	bool all = !is_entry(question->backward, insn);

	if (seen(question, insn, reg))
		return true;
	if (!enter(question, insn, reg))
		return false;
	for (size_t i = 0; i < way_count; i++) {
		struct operands operands;

		effect_of(question->backward, ways[i].from, &operands);
		if (operands.written >> reg & 1)
			all &= add_writer(ways[i].from, ret, count);
		else
			all &= writers_before(question, ways[i].from, reg, ret, count);
	}
	return all;
}

bool backward_writers(const struct backward *backward, uint32_t insn, int reg, uint32_t *ret, size_t *count)
{
	struct question question = {.backward = backward};

	*count = 0;
	return writers_before(&question, insn, reg, ret, count);
}

static bool constant_before(const struct backward *backward, uint32_t insn, int reg, unsigned copies, int64_t *ret)
{
	uint32_t writers[BACKWARD_WRITERS_MAX];
	size_t count;

	if (reg < 0 || !backward_writers(backward, insn, reg, writers, &count) || !count)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct operands operands;
		int64_t value;

		effect_of(backward, writers[i], &operands);
		value = operands.constant;
		if (operands.shape == OPERANDS_COPY && copies < COPIES_MAX) {
			if (!constant_before(backward, writers[i], operands.from, copies + 1, &value))
				return false;
		} else if (operands.shape != OPERANDS_SET || operands.reg != reg) {
			return false;
		}
		if (i && value != *ret)
			return false;
		*ret = value;
	}
	return true;
}

bool backward_constant(const struct backward *backward, uint32_t insn, int reg, int64_t *ret)
{
	return constant_before(backward, insn, reg, 0, ret);
}

/* The comparison that a branch decides by: one way leads from it to the branch, and nothing between writes flags. */
static bool comparison_of(const struct backward *backward, uint32_t branch, struct operands *ret, uint32_t *at_ret)
{
	uint32_t at = branch;

	for (unsigned i = 0; i < FLAGS_FAR; i++) {
		size_t count;
		const struct backward_way *ways = ways_to(backward, at, &count);

		if (count != 1 || is_entry(backward, at))
			return false;
		at = ways[0].from;
		if (insn_at(backward, at)->writes_flags) {
			effect_of(backward, at, ret);
			*at_ret = at;
			return ret->shape == OPERANDS_COMPARE;
		}
	}
	return false;
}

/* Whether a register is left alone between a comparison and the branch behind it. */
static bool kept_between(const struct backward *backward, uint32_t comparison, uint32_t branch, int reg)
{
	for (uint32_t at = branch; at != comparison;) {
		size_t count;
		struct operands operands;

		at = ways_to(backward, at, &count)[0].from;
		effect_of(backward, at, &operands);
		if (at != comparison && operands.written >> reg & 1)
			return false;
	}
	return true;
}

/* The unsigned values that a condition of `value ? constant` leaves. */
static struct backward_range range_of(enum insn_condition condition, uint64_t constant)
{
	switch (condition) {
	case INSN_BELOW: return (struct backward_range){0, constant};
	case INSN_NOT_BELOW: return (struct backward_range){constant, BACKWARD_OPEN};
	case INSN_EQUAL: return (struct backward_range){constant, constant + 1};
	case INSN_NOT_ABOVE: return (struct backward_range){0, constant + 1};
	case INSN_ABOVE: return (struct backward_range){constant + 1, BACKWARD_OPEN};
	case INSN_NOT_EQUAL:
	case INSN_OVERFLOW:
	case INSN_NOT_OVERFLOW:
	case INSN_NEGATIVE:
	case INSN_NOT_NEGATIVE:
	case INSN_EVEN:
	case INSN_ODD:
	case INSN_LESS:
	case INSN_NOT_LESS:
	case INSN_NOT_GREATER:
	case INSN_GREATER:
	case INSN_BY_REGISTER:
	case INSN_ALWAYS: break;
	}
	return anything;
}

/* What leaving a branch by `kind` says of a register. */
static struct backward_range told_by(const struct backward *backward, uint32_t branch, enum cfg_edge_kind kind, int reg,
				     unsigned width)
{
	const struct insn *insn = insn_at(backward, branch);
	struct operands comparison;
	uint32_t at;

	if (insn->kind != INSN_BRANCH || !insn_by_flags(insn->condition) ||
	    (kind != CFG_TAKEN && kind != CFG_FALLTHROUGH) || !comparison_of(backward, branch, &comparison, &at) ||
	    comparison.reg != reg)
		return anything;
	/* Of four bytes the compiler knows that the upper half is zero. Narrower ones leave the rest open. */
	if (comparison.size < (width < 4 ? width : 4) || comparison.constant < 0 || comparison.constant > INT32_MAX ||
	    !kept_between(backward, at, branch, reg))
		return anything;
	return range_of(kind == CFG_TAKEN ? insn->condition : insn_opposite(insn->condition),
			(uint64_t)comparison.constant);
}

static struct backward_range both(struct backward_range a, struct backward_range b)
{
	return (struct backward_range){a.from > b.from ? a.from : b.from, a.end < b.end ? a.end : b.end};
}

static struct backward_range either(struct backward_range a, struct backward_range b)
{
	if (a.from >= a.end)
		return b;
	if (b.from >= b.end)
		return a;
	return (struct backward_range){a.from < b.from ? a.from : b.from, a.end > b.end ? a.end : b.end};
}

static struct backward_range range_before(struct question *question, uint32_t insn, int reg, unsigned width);

/* A narrow copy may extend the sign: of a limit that leaves no room for one, nothing remains. */
static struct backward_range range_of_copy(struct question *question, uint32_t copy, const struct operands *operands,
					   unsigned width)
{
	unsigned narrow = operands->from_size < width ? operands->from_size : width;
	struct backward_range range = range_before(question, copy, operands->from, narrow);

	if (narrow < 8 && range.from < range.end && range.end > UINT64_C(1) << (8 * narrow - 1))
		range.end = BACKWARD_OPEN;
	return range;
}

static struct backward_range range_after(struct question *question, const struct backward_way *way, int reg,
					 unsigned width)
{
	struct operands operands;

	effect_of(question->backward, way->from, &operands);
	if (!(operands.written >> reg & 1))
		return both(told_by(question->backward, way->from, way->kind, reg, width),
			    range_before(question, way->from, reg, width));
	if (operands.reg != reg)
		return anything;
	if (operands.shape == OPERANDS_SET && operands.constant >= 0)
		return range_of(INSN_EQUAL, (uint64_t)operands.constant);
	if (operands.shape == OPERANDS_MASK && operands.constant >= 0)
		return range_of(INSN_NOT_ABOVE, (uint64_t)operands.constant);
	if (operands.shape == OPERANDS_COPY)
		return range_of_copy(question, way->from, &operands, width);
	return anything;
}

static struct backward_range range_before(struct question *question, uint32_t insn, int reg, unsigned width)
{
	size_t count;
	const struct backward_way *ways = ways_to(question->backward, insn, &count);
	struct backward_range range = nothing;

	if (reg < 0 || is_entry(question->backward, insn) || !count)
		return anything;
	if (seen(question, insn, reg))
		return nothing; /* round a loop, and unchanged: what holds at its other entries holds here */
	if (!enter(question, insn, reg))
		return anything;
	for (size_t i = 0; i < count; i++)
		range = either(range, range_after(question, &ways[i], reg, width));
	question->count--; /* another way may come here knowing more */
	return range;
}

struct backward_range backward_range(const struct backward *backward, uint32_t insn, int reg, unsigned width)
{
	struct question question = {.backward = backward};
	struct backward_range range = range_before(&question, insn, reg, width);

	return range.from < range.end ? range : anything;
}
