/* SPDX-License-Identifier: MIT */
#include "flow/waiting.h"
#include "flow/loops.h"

#include "arch/operands.h"

/* What the instructions of a loop do, taken together. */
struct round {
	uint32_t written;
	uint32_t carried; /* read before it is written in the same round */
	bool loads;
	bool acts; /* it stores, or calls: it may change by itself what it looks at */
	bool pauses;
};

static bool calls(const struct insn *insn)
{
	return insn->kind == INSN_CALL || insn->kind == INSN_CALL_INDIRECT;
}

/* `known`: the registers that have been set in this round for certain. */
static void take(struct insn_decoder *decoder, const struct insn *insn, uint32_t *known, struct round *round)
{
	struct operands operands;

	operands_of(decoder, insn, &operands);
	round->pauses |= insn_is_pause(insn);
	round->acts |= calls(insn) || operands.stores || insn->kind == INSN_TRAP || insn->kind == INSN_SYSTEM_WRITE;
	round->loads |= operands.memory.size > 0 && !operands.stores && insn->kind != INSN_NOP;
	/* What clearing a register with itself reads does not matter. */
	if (operands.shape != OPERANDS_SET)
		round->carried |= operands.read & ~*known;
	round->written |= operands.written;
	*known |= operands.written;
}

/* Blocks are in reverse post-order, so the head comes first. It runs in each round; what only some ways set does not
 * count for other blocks. */
static void take_block(struct insn_decoder *decoder, const struct cfg *cfg, uint32_t block, uint32_t *always,
		       struct round *round)
{
	const struct cfg_block *it = &cfg->blocks[block];
	uint32_t known = *always;

	for (uint32_t i = it->insn; i < it->insn + it->insn_count; i++)
		take(decoder, &cfg->insns[i].insn, &known, round);
	if (block == cfg->loops[it->loop].head)
		*always = known;
}

static bool waits(struct insn_decoder *decoder, const struct cfg *cfg, uint32_t loop)
{
	struct round round = {.written = 0};
	uint32_t always = 0;
	bool innermost = true;

	for (uint32_t i = 0; i < cfg->block_count; i++) {
		if (cfg->blocks[i].loop == loop)
			take_block(decoder, cfg, i, &always, &round);
		else
			innermost &= !cfg_in_loop(cfg, loop, i);
	}
	if (round.pauses)
		return true;
	return innermost && round.loads && !round.acts && !(round.written & round.carried);
}

void waiting_find(struct insn_decoder *decoder, const struct cfg *cfg, bool *ret)
{
	for (uint32_t i = 0; i < cfg->loop_count; i++)
		ret[i] = waits(decoder, cfg, i);
}
