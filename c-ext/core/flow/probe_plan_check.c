/* SPDX-License-Identifier: MIT */
#include "flow/probe_plan_check.h"

#include <string.h>

#include "base/util.h"
#include "flow/region.h"

/* Why ways cannot be told apart: by what they lead through. */
static uint8_t reason_of(const struct cfg *cfg, const struct windows *windows, const bool *live, uint32_t left_out)
{
	uint8_t reason = left_out ? PLAN_GAP_BUDGET : 0;
	bool patched = false;

	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];

		if (!live[i])
			continue;
		if (windows->window_of[i] != CFG_NONE)
			reason |= PLAN_GAP_WINDOW;
		else if (cfg_last(cfg, i)->flags && block->next_count + (block->exits != 0) > 1)
			patched = true;
	}
	return patched || !reason ? reason | PLAN_GAP_PATCHED : reason;
}

struct checker {
	struct region *region;
	const struct windows *windows;
	struct plan *plan;
	const bool *hopeful;
	const bool *witnessed;
	bool *live; /* scratch */
};

/* Marks blocks that some of the ways leave out, or that they can go round. */
static void mark_gaps(struct checker *checker, const uint32_t *starts, uint32_t start_count, uint32_t goal)
{
	const struct cfg *cfg = checker->region->cfg;
	uint8_t reason;

	memcpy(checker->live, checker->region->live, cfg->block_count * sizeof(*checker->live));
	reason = reason_of(cfg, checker->windows, checker->live, checker->plan->left_out);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		if (checker->live[i] && i != goal && (checker->plan->gaps[i] & reason) != reason &&
		    (cfg->blocks[i].loop != CFG_NONE || region_find(checker->region, starts, start_count, goal, i)))
			checker->plan->gaps[i] |= reason;
}

static void check_goal(struct checker *checker, const uint32_t *starts, uint32_t start_count, uint32_t goal)
{
	uint32_t first;

	if (!region_find(checker->region, starts, start_count, goal, CFG_NONE) ||
	    region_is_single(checker->region, starts, start_count, goal, &first))
		return;
	mark_gaps(checker, starts, start_count, goal);
	checker->plan->determined = false;
}

static void check_from(struct checker *checker, const uint32_t *starts, uint32_t start_count)
{
	const struct cfg *cfg = checker->region->cfg;

	for (uint32_t goal = 0; goal < cfg->block_count; goal++)
		if (checker->witnessed[goal] && checker->hopeful[goal])
			check_goal(checker, starts, start_count, goal);
	check_goal(checker, starts, start_count, REGION_EXIT);
}

void plan_witnessed(const struct plan *plan, const struct cfg *cfg, bool *ret)
{
	memset(ret, 0, cfg->block_count * sizeof(*ret));
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->probes[i].roles & ~(unsigned)PLAN_ENTRY)
			ret[plan->probes[i].block] = true;
}

/* Holds the plan against the graph itself: is there one way only from each stop to each that can be the next? */
struct cs_error *plan_check(const struct cfg *cfg, const struct windows *windows, const bool *hopeful,
			    struct plan *plan)
{
	FREE bool *witnessed = calloc(cfg->block_count, sizeof(*witnessed));
	FREE bool *live = calloc(cfg->block_count, sizeof(*live));
	FREE uint32_t *starts = calloc((size_t)cfg->edge_count + 2, sizeof(*starts));
	struct checker checker = {.windows = windows, .plan = plan, .hopeful = hopeful, .witnessed = witnessed};

	checker.live = live;
	plan->gaps = calloc(cfg->block_count, sizeof(*plan->gaps));
	if (!witnessed || !live || !starts || !plan->gaps)
		return &cs_error_no_memory;
	plan_witnessed(plan, cfg, witnessed);
	CS_TRY(region_create(cfg, witnessed, &checker.region));
	plan->determined = cfg->complete && plan->entry != PLAN_NO_ENTRY;
	starts[0] = CFG_ENTRY;
	check_from(&checker, starts, 1);
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct cfg_block *block = &cfg->blocks[plan->probes[i].block];
		uint32_t ways[2], count = 0;

		if (plan->probes[i].roles & PLAN_BRANCH) {
			cfg_decides(cfg, plan->probes[i].block, &ways[0], &ways[1]);
			check_from(&checker, &ways[0], 1);
			check_from(&checker, &ways[1], 1);
		} else if (plan->probes[i].roles & PLAN_BLOCK && !(plan->probes[i].roles & (PLAN_RETURN | PLAN_TAIL))) {
			for (uint32_t k = block->next; k < block->next + block->next_count; k++)
				starts[count++] = cfg->edges[k].to;
			if (region_leaves(cfg, plan->probes[i].block))
				starts[count++] = CFG_NONE;
			check_from(&checker, starts, count);
		}
	}
	region_destroy(checker.region);
	return NULL;
}
