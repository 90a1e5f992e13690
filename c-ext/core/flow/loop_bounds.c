/* SPDX-License-Identifier: MIT */
#include "flow/loop_bounds.h"
#include "flow/loops.h"

#include "arch/operands.h"

struct search {
	struct insn_decoder *decoder;
	const struct cfg *cfg;
	uint32_t loop;
	int reg;
	uint32_t step_insn; /* the one instruction in the loop that changes the register */
	struct operands step;
	struct operands test; /* whose flags the branch reads; may be the step itself */
	uint32_t test_insn;
	uint32_t branch; /* block */
	int64_t start;
};

static bool writes(const struct search *search, uint32_t index, struct operands *ret)
{
	operands_with_callee(search->decoder, &search->cfg->insns[index].insn, ret);
	return ret->written >> search->reg & 1;
}

/* Whether a block runs in each full round of the loop. */
static bool runs_each_round(const struct search *search, uint32_t block)
{
	const struct cfg *cfg = search->cfg;
	uint32_t head = cfg->loops[search->loop].head;

	if (cfg->blocks[block].loop != search->loop)
		return false;
	for (uint32_t k = 0; k < cfg->blocks[head].prev_count; k++) {
		uint32_t from = cfg->edges[cfg->backward[cfg->blocks[head].prev + k]].from;

		if (cfg_in_loop(cfg, search->loop, from) && !cfg_dominates(cfg, block, from))
			return false;
	}
	return true;
}

static bool find_test(struct search *search)
{
	search->test_insn = cfg_comparison(search->cfg, search->branch);
	if (search->test_insn == CFG_NONE)
		return false;
	operands_of(search->decoder, &search->cfg->insns[search->test_insn].insn, &search->test);
	search->reg = search->test.reg;
	return search->reg >= 0 && search->test.size >= 4 &&
	       (search->test.shape == OPERANDS_ADD || search->test.shape == OPERANDS_COMPARE);
}

/* The loop must change the register in one place, by a constant, in each round. */
static bool find_step(struct search *search)
{
	const struct cfg *cfg = search->cfg;
	uint32_t found = 0;

	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];

		if (!cfg_in_loop(cfg, search->loop, i))
			continue;
		for (uint32_t k = block->insn; k < block->insn + block->insn_count; k++) {
			struct operands operands;

			if (!writes(search, k, &operands))
				continue;
			if (found++ || operands.shape != OPERANDS_ADD || operands.size != search->test.size ||
			    !runs_each_round(search, i))
				return false;
			search->step = operands;
			search->step_insn = k;
		}
	}
	return found == 1;
}

/* The last write to the register in a block; false where there is none. */
static bool last_write(const struct search *search, uint32_t block, struct operands *ret)
{
	const struct cfg_block *it = &search->cfg->blocks[block];

	for (uint32_t i = it->insn + it->insn_count; i-- > it->insn;)
		if (writes(search, i, ret))
			return true;
	return false;
}

/* The constant that the register has when the loop is entered: set in a block that dominates the loop, with no other
 * write in between. */
static bool find_start(struct search *search)
{
	const struct cfg *cfg = search->cfg;
	uint32_t head = cfg->loops[search->loop].head;
	struct operands operands;
	uint32_t above = cfg->blocks[head].dominator;

	while (above != CFG_NONE && !last_write(search, above, &operands))
		above = cfg->blocks[above].dominator;
	if (above == CFG_NONE || operands.shape != OPERANDS_SET)
		return false;
	search->start = operands.constant;
	for (uint32_t i = above + 1; i < cfg->block_count; i++)
		if (!cfg_in_loop(cfg, search->loop, i) && i < head && cfg_dominates(cfg, above, i) &&
		    last_write(search, i, &operands))
			return false;
	/* Around the loop an outer one may come back without passing where the register is set. */
	for (uint32_t i = cfg->loops[search->loop].parent; i != CFG_NONE; i = cfg->loops[i].parent)
		if (!cfg_in_loop(cfg, i, above))
			return false;
	return true;
}

/* Counts the rounds out. Which of step and test comes first in a round is seen from the graph: in the branch's block by
 * position, otherwise by dominance. */
static uint32_t count_rounds(const struct search *search)
{
	const struct cfg *cfg = search->cfg;
	const struct insn *jump = &cfg_last(cfg, search->branch)->insn;
	uint32_t step_block = cfg_block_at(cfg, cfg->insns[search->step_insn].insn.address);
	bool same = search->step_insn == search->test_insn;
	bool step_first = step_block == search->branch ? search->step_insn < search->test_insn
						       : cfg_dominates(cfg, step_block, search->branch);
	uint64_t value = (uint64_t)search->start;
	uint32_t taken, not_taken;
	bool stays_if_taken;

	cfg_decides(cfg, search->branch, &taken, &not_taken);
	stays_if_taken = taken != CFG_NONE && cfg_in_loop(cfg, search->loop, taken);
	for (uint32_t round = 1; round <= BOUNDS_LIMIT; round++) {
		uint64_t left, right;

		if (same) {
			/* add and sub compare with the constant's negative, but for the carry of an addition. */
			left = value;
			right = -(uint64_t)search->step.constant;
			value += (uint64_t)search->step.constant;
		} else {
			value += step_first ? (uint64_t)search->step.constant : 0;
			left = value;
			right = search->test.shape == OPERANDS_COMPARE ? (uint64_t)search->test.constant : 0;
			value += step_first ? 0 : (uint64_t)search->step.constant;
		}
		if (insn_condition_of(jump->condition, left, right, search->test.size) != stays_if_taken)
			return round;
	}
	return 0;
}

/* Conditions that compilers make loops of; for an addition the carry is another one. */
static bool is_understood(const struct search *search)
{
	enum insn_condition condition = cfg_last(search->cfg, search->branch)->insn.condition;
	bool carry = condition == INSN_BELOW || condition == INSN_NOT_BELOW || condition == INSN_NOT_ABOVE ||
		     condition == INSN_ABOVE;

	if (!insn_by_flags(condition) || condition == INSN_EVEN || condition == INSN_ODD ||
	    condition == INSN_OVERFLOW || condition == INSN_NOT_OVERFLOW)
		return false;
	return !carry || search->test.shape == OPERANDS_COMPARE;
}

static bool leaves_loop(const struct search *search)
{
	const struct cfg *cfg = search->cfg;
	uint32_t taken, not_taken;

	if (!cfg_decides(cfg, search->branch, &taken, &not_taken))
		return false;
	return (taken != CFG_NONE && cfg_in_loop(cfg, search->loop, taken)) !=
	       (not_taken != CFG_NONE && cfg_in_loop(cfg, search->loop, not_taken));
}

void bounds_find(struct insn_decoder *decoder, struct cfg *cfg)
{
	for (uint32_t i = 0; i < cfg->loop_count; i++) {
		struct search search = {.decoder = decoder, .cfg = cfg, .loop = i};

		for (uint32_t k = 0; k < cfg->block_count && !cfg->loops[i].rounds && !cfg->loops[i].irreducible; k++) {
			search.branch = k;
			if (!cfg_in_loop(cfg, i, k) || !leaves_loop(&search) || !runs_each_round(&search, k) ||
			    !find_test(&search) || !is_understood(&search) || !find_step(&search) ||
			    !find_start(&search))
				continue;
			cfg->loops[i].rounds = count_rounds(&search);
			cfg->loops[i].counter = cfg->loops[i].rounds ? k : CFG_NONE;
		}
	}
}
