/* SPDX-License-Identifier: MIT */
#include "flow/frequency.h"

#include <string.h>

#include "base/util.h"
#include "flow/cfg.h"
#include "flow/loops.h"

/* Weights of the ways out of a block, relative to each other. After Wu and Larus, "Static Branch Frequency and
 * Program Profile Analysis" (MICRO 1994), in round figures. */
#define ORDINARY 0.5
#define STAYS_IN_LOOP 0.9
#define LEAVES_LOOP 0.1
#define COLD 0.02      /* into what the compiler split off, or an exception's fixup */
#define HOPELESS 0.001 /* to where nothing returns */
#define MOST 1e6       /* per invocation: loops without an end */
#define SWEEPS 64

/* Whether control that enters a block can still leave the function other than by dying. */
static void find_hopeful(const struct cfg *cfg, bool *ret)
{
	bool changed = true;

	for (uint32_t i = 0; i < cfg->block_count; i++)
		ret[i] = cfg->blocks[i].exits & ~(unsigned)CFG_NEVER_RETURNS;
	while (changed) {
		changed = false;
		for (uint32_t i = cfg->edge_count; i-- > 0;)
			if (ret[cfg->edges[i].to] && !ret[cfg->edges[i].from])
				changed = ret[cfg->edges[i].from] = true;
	}
}

static double weight_of(const struct cfg *cfg, const struct cfg_edge *edge, const bool *hopeful)
{
	const struct cfg_block *from = &cfg->blocks[edge->from];
	const struct cfg_block *to = &cfg->blocks[edge->to];

	if (!hopeful[edge->to] && hopeful[edge->from])
		return HOPELESS;
	if ((to->cold && !from->cold) || (edge->kind == CFG_ALTERNATE && cfg_last(cfg, edge->from)->flags & CFG_FIXUP))
		return COLD;
	if (from->loop == CFG_NONE)
		return ORDINARY;
	return cfg_in_loop(cfg, from->loop, edge->to) ? STAYS_IN_LOOP : LEAVES_LOOP;
}

/* Turns the edges' weights into shares of their block; an exit beside edges counts as one more way. */
static void find_shares(const struct cfg *cfg, const bool *hopeful, double *shares)
{
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];
		double sum = 0;

		if (block->exits)
			sum = block->exits == CFG_NEVER_RETURNS ? HOPELESS
			      : block->loop == CFG_NONE         ? ORDINARY
								: LEAVES_LOOP;
		for (uint32_t k = block->next; k < block->next + block->next_count; k++) {
			shares[k] = weight_of(cfg, &cfg->edges[k], hopeful);
			sum += shares[k];
		}
		for (uint32_t k = block->next; k < block->next + block->next_count; k++)
			shares[k] /= sum;
	}
}

struct cs_error *plan_estimate(const struct cfg *cfg, double *ret)
{
	FREE bool *hopeful = calloc(cfg->block_count, sizeof(*hopeful));
	FREE double *shares = calloc(cfg->edge_count + 1, sizeof(*shares));

	if (!hopeful || !shares)
		return &cs_error_no_memory;
	find_hopeful(cfg, hopeful);
	find_shares(cfg, hopeful, shares);
	memset(ret, 0, cfg->block_count * sizeof(*ret));
	/* In reverse post-order one sweep settles all but the loops, which the further ones approach. */
	for (int sweep = 0; sweep < (cfg->loop_count ? SWEEPS : 1); sweep++) {
		for (uint32_t i = 0; i < cfg->block_count; i++) {
			const struct cfg_block *block = &cfg->blocks[i];
			double sum = i == CFG_ENTRY;

			for (uint32_t k = 0; k < block->prev_count; k++) {
				uint32_t edge = cfg->backward[block->prev + k];

				sum += ret[cfg->edges[edge].from] * shares[edge];
			}
			ret[i] = sum < MOST ? sum : MOST;
		}
	}
	return NULL;
}
