/* SPDX-License-Identifier: MIT */
#include "flow/waiting.h"

#include "arch/x86/operands.h"

/* Encodings: Intel SDM vol. 2 (pause F3 90, mwait 0F 01 C9, umwait F2 0F AE /6, tpause 66 0F AE /6); AMD APM vol. 3
 * (mwaitx 0F 01 FB). Capstone 4 knows neither umwait nor tpause. */
bool waiting_is_pause(const struct insn *insn)
{
	const uint8_t *bytes = insn->bytes;

	if (insn->kind == INSN_HALT)
		return true;
	if (insn->length == 2)
		return bytes[0] == 0xf3 && bytes[1] == 0x90;
	if (insn->length == 3)
		return bytes[0] == 0x0f && bytes[1] == 0x01 && (bytes[2] == 0xc9 || bytes[2] == 0xfb);
	if (insn->length < 4 || (bytes[0] != 0xf2 && bytes[0] != 0x66))
		return false;
	bytes += (bytes[1] & 0xf0) == 0x40; /* REX */
	return bytes[1] == 0x0f && bytes[2] == 0xae && (bytes[3] & 0xf8) == 0xf0;
}

/* What the instructions of a loop do, taken together. */
struct round {
	uint16_t written;
	uint16_t carried; /* read before it is written in the same round */
	bool loads;
	bool acts; /* it stores, or calls: it may change by itself what it looks at */
	bool pauses;
};

static bool calls(const struct insn *insn)
{
	return insn->kind == INSN_CALL || insn->kind == INSN_CALL_INDIRECT;
}

/* `known`: the registers that have been set in this round for certain. */
static void take(struct insn_decoder *decoder, const struct insn *insn, uint16_t *known, struct round *round)
{
	struct operands operands;

	operands_of(decoder, insn, &operands);
	round->pauses |= waiting_is_pause(insn);
	round->acts |= calls(insn) || operands.stores || insn->kind == INSN_TRAP || insn->kind == INSN_WRMSR;
	round->loads |= operands.memory.size > 0 && !operands.stores && insn->kind != INSN_NOP;
	/* What "xor %eax,%eax" reads does not matter. */
	if (operands.shape != OPERANDS_SET)
		round->carried |= operands.read & (uint16_t) ~*known;
	round->written |= operands.written;
	*known |= operands.written;
}

/* Blocks are in reverse post-order, so the head comes first. It runs in each round; what only some ways set does not
 * count for other blocks. */
static void take_block(struct insn_decoder *decoder, const struct cfg *cfg, uint32_t block, uint16_t *always,
		       struct round *round)
{
	const struct cfg_block *it = &cfg->blocks[block];
	uint16_t known = *always;

	for (uint32_t i = it->insn; i < it->insn + it->insn_count; i++)
		take(decoder, &cfg->insns[i].insn, &known, round);
	if (block == cfg->loops[it->loop].head)
		*always = known;
}

static bool waits(struct insn_decoder *decoder, const struct cfg *cfg, uint32_t loop)
{
	struct round round = {.written = 0};
	uint16_t always = 0;
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
