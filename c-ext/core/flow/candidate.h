/* SPDX-License-Identifier: MIT */
/*
 * Where probes may stand: for each block the one instruction that would be its probe, and the place of the
 * entry probe. The first stage of a plan.
 */
#ifndef CLOCKSCOPE_CANDIDATE_H
#define CLOCKSCOPE_CANDIDATE_H

#include "flow/plan.h"

struct candidate {
	unsigned roles; /* bits of enum plan_role; 0: no probe may stand in the block */
	uint32_t insn;  /* index in cfg->insns */
	double resumes; /* what a hit costs: 1 where it is emulated, 2 where it must be stepped */
	bool fixed;     /* stands in any case: entry, returns */
};

struct candidates {
	struct candidate *blocks;
	int32_t *stack; /* by block: RSP at its start + this = RSP at the function's entry; or PLAN_UNKNOWN_STACK */
	uint32_t entry; /* instruction of the entry probe; CFG_NONE: it has no place */
	bool returns_witnessed; /* every return and tail call is a fixed candidate */
};

struct cs_error *candidates_create(const struct cfg *cfg, const struct windows *windows,
				   const struct plan_options *options, struct candidates **ret);
void candidates_destroy(struct candidates *candidates);

/* RSP's offset at an instruction of a block. */
int32_t candidates_stack_at(const struct candidates *candidates, const struct cfg *cfg, uint32_t block, uint32_t insn);

#endif
