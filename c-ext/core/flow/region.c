/* SPDX-License-Identifier: MIT */
#include "flow/region.h"

#include <string.h>

#include "base/util.h"

struct cs_error *region_create(const struct cfg *cfg, const bool *witnessed, struct region **ret)
{
	struct region *region = calloc(1, sizeof(*region));

	if (!region)
		return &cs_error_no_memory;
	region->cfg = cfg;
	region->witnessed = witnessed;
	region->live = calloc(cfg->block_count, sizeof(*region->live));
	region->forward = calloc(cfg->block_count, sizeof(*region->forward));
	region->stack = calloc(cfg->block_count, sizeof(*region->stack));
	if (!region->live || !region->forward || !region->stack) {
		region_destroy(region);
		return &cs_error_no_memory;
	}
	*ret = region;
	return NULL;
}

void region_destroy(struct region *region)
{
	if (!region)
		return;
	free(region->live);
	free(region->forward);
	free(region->stack);
	free(region);
}

bool region_leaves(const struct cfg *cfg, uint32_t block)
{
	return cfg->blocks[block].exits & ~(unsigned)CFG_NEVER_RETURNS;
}

/* A block may be entered unseen, or as the goal. */
static bool may_enter(const struct region *region, uint32_t block, uint32_t goal, uint32_t without)
{
	return block != CFG_NONE && block != without && (block == goal || !region->witnessed[block]);
}

static void go_forward(struct region *region, const uint32_t *starts, uint32_t start_count, uint32_t goal,
		       uint32_t without)
{
	const struct cfg *cfg = region->cfg;
	uint32_t depth = 0;

	memset(region->forward, 0, cfg->block_count * sizeof(*region->forward));
	for (uint32_t i = 0; i < start_count; i++) {
		if (!may_enter(region, starts[i], goal, without) || region->forward[starts[i]])
			continue;
		region->forward[starts[i]] = true;
		region->stack[depth++] = starts[i];
	}
	while (depth) {
		uint32_t at = region->stack[--depth];
		const struct cfg_block *block = &cfg->blocks[at];

		/* The walk ends at the goal; it passes a witnessed block nowhere. */
		for (uint32_t k = block->next; k < block->next + block->next_count && at != goal; k++) {
			uint32_t to = cfg->edges[k].to;

			if (region->forward[to] || !may_enter(region, to, goal, without))
				continue;
			region->forward[to] = true;
			region->stack[depth++] = to;
		}
	}
}

static bool is_end(const struct region *region, uint32_t block, uint32_t goal)
{
	if (goal == REGION_ANYWHERE)
		return true;
	return goal == REGION_EXIT ? region_leaves(region->cfg, block) : block == goal;
}

static void go_backward(struct region *region, uint32_t goal)
{
	const struct cfg *cfg = region->cfg;
	uint32_t depth = 0;

	memset(region->live, 0, cfg->block_count * sizeof(*region->live));
	region->live_count = 0;
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		if (!region->forward[i] || !is_end(region, i, goal))
			continue;
		region->live[i] = true;
		region->live_count++;
		region->stack[depth++] = i;
	}
	while (depth) {
		const struct cfg_block *block = &cfg->blocks[region->stack[--depth]];

		for (uint32_t k = 0; k < block->prev_count; k++) {
			uint32_t from = cfg->edges[cfg->backward[block->prev + k]].from;

			/* What follows the goal is another walk's. */
			if (!region->forward[from] || region->live[from] || from == goal)
				continue;
			region->live[from] = true;
			region->live_count++;
			region->stack[depth++] = from;
		}
	}
}

bool region_find(struct region *region, const uint32_t *starts, uint32_t start_count, uint32_t goal, uint32_t without)
{
	bool leaves_at_once = false;

	for (uint32_t i = 0; i < start_count; i++)
		leaves_at_once |= starts[i] == CFG_NONE && (goal == REGION_EXIT || goal == REGION_ANYWHERE);
	go_forward(region, starts, start_count, goal, without);
	go_backward(region, goal);
	return region->live_count || leaves_at_once;
}

bool region_is_single(const struct region *region, const uint32_t *starts, uint32_t start_count, uint32_t goal,
		      uint32_t *first_ret)
{
	const struct cfg *cfg = region->cfg;
	uint32_t ways = 0;

	*first_ret = CFG_NONE;
	for (uint32_t i = 0; i < start_count; i++) {
		bool here = starts[i] == CFG_NONE ? goal == REGION_EXIT : region->live[starts[i]];

		ways += here;
		if (here)
			*first_ret = starts[i];
	}
	for (uint32_t i = 0; i < cfg->block_count && ways == 1; i++) {
		const struct cfg_block *block = &cfg->blocks[i];
		uint32_t out = goal == REGION_EXIT && region_leaves(cfg, i);

		if (!region->live[i] || i == goal)
			continue;
		for (uint32_t k = block->next; k < block->next + block->next_count; k++)
			out += region->live[cfg->edges[k].to];
		if (out > 1)
			return false;
	}
	return ways == 1;
}

uint32_t region_next(const struct region *region, uint32_t block)
{
	const struct cfg_block *from = &region->cfg->blocks[block];

	for (uint32_t k = from->next; k < from->next + from->next_count; k++)
		if (region->live[region->cfg->edges[k].to])
			return region->cfg->edges[k].to;
	return CFG_NONE;
}
