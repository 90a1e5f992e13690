/* SPDX-License-Identifier: MIT */
/*
 * The ways between two stops: which blocks an invocation can have gone through unseen. The plan asks
 * whether there is only one way, the path which it was.
 */
#ifndef CLOCKSCOPE_REGION_H
#define CLOCKSCOPE_REGION_H

#include "flow/cfg.h"

/* Goal of a walk that leaves the function. */
#define REGION_EXIT (UINT32_MAX - 1)
/* No goal: wherever it can have come to. */
#define REGION_ANYWHERE (UINT32_MAX - 2)

struct region {
	const struct cfg *cfg;
	const bool *witnessed; /* by block: a walk cannot pass it unseen; borrowed */
	bool *live;            /* by block: lies on some walk found by the last region_find() */
	uint32_t live_count;
	uint32_t *stack; /* scratch */
	bool *forward;
};

struct cs_error *region_create(const struct cfg *cfg, const bool *witnessed, struct region **ret);
void region_destroy(struct region *region);

/* Finds the blocks on walks that start by entering one of `starts` (CFG_NONE: by leaving the function) and end on
 * entering `goal`, without passing a witnessed block on the way; `without` (or CFG_NONE) is taken out of the graph.
 * Goal and starts are live too. False where there is no such walk. */
bool region_find(struct region *region, const uint32_t *starts, uint32_t start_count, uint32_t goal, uint32_t without);

/* Whether the last region_find() has found one walk only; then `*first_ret` is where it starts, or CFG_NONE. */
bool region_is_single(const struct region *region, const uint32_t *starts, uint32_t start_count, uint32_t goal,
		      uint32_t *first_ret);

/* The live block that follows another, or CFG_NONE. */
uint32_t region_next(const struct region *region, uint32_t block);

/* Whether a block leaves the function other than by dying there. */
bool region_leaves(const struct cfg *cfg, uint32_t block);

#endif
