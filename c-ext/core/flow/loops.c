/* SPDX-License-Identifier: MIT */
#include "flow/loops.h"

#include <string.h>

#include "base/util.h"

static uint32_t common_dominator(const struct cfg *cfg, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (a > b)
			a = cfg->blocks[a].dominator;
		while (b > a)
			b = cfg->blocks[b].dominator;
	}
	return a;
}

/* Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm" (2001). Blocks are numbered in reverse post-order,
 * so a dominator has the lower number. */
static void find_dominators(struct cfg *cfg)
{
	bool changed = true;

	cfg->blocks[CFG_ENTRY].dominator = CFG_ENTRY; /* while it runs */
	while (changed) {
		changed = false;
		for (uint32_t i = 1; i < cfg->block_count; i++) {
			const struct cfg_block *block = &cfg->blocks[i];
			uint32_t found = CFG_NONE;

			for (uint32_t k = 0; k < block->prev_count; k++) {
				uint32_t from = cfg->edges[cfg->backward[block->prev + k]].from;

				if (cfg->blocks[from].dominator == CFG_NONE)
					continue;
				found = found == CFG_NONE ? from : common_dominator(cfg, found, from);
			}
			changed |= found != block->dominator;
			cfg->blocks[i].dominator = found;
		}
	}
	cfg->blocks[CFG_ENTRY].dominator = CFG_NONE;
}

/* A loop while it is being found: its blocks as a set. */
struct body {
	uint32_t head;
	uint32_t count;
	bool irreducible;
	bool *holds; /* by block */
};

struct search {
	struct cfg *cfg;
	struct body *bodies;
	uint32_t count;
	uint32_t *stack;
};

/* Adds to a loop what reaches `latch` without passing the head. In an irreducible loop the entry may do so: only
 * what the head reaches belongs to it, which is bounded by the head's number for blocks in reverse post-order. */
static void add_body(const struct search *search, struct body *body, uint32_t latch)
{
	const struct cfg *cfg = search->cfg;
	uint32_t depth = 0;

	if (!body->holds[latch]) {
		body->holds[latch] = true;
		body->count++;
		search->stack[depth++] = latch;
	}
	while (depth) {
		const struct cfg_block *block = &cfg->blocks[search->stack[--depth]];

		for (uint32_t k = 0; k < block->prev_count; k++) {
			uint32_t from = cfg->edges[cfg->backward[block->prev + k]].from;

			if (body->holds[from] || from < body->head)
				continue;
			body->holds[from] = true;
			body->count++;
			search->stack[depth++] = from;
		}
	}
}

static struct body *body_of(struct search *search, uint32_t head)
{
	struct body *body = &search->bodies[search->count];

	for (uint32_t i = 0; i < search->count; i++)
		if (search->bodies[i].head == head)
			return &search->bodies[i];
	body->holds = calloc(search->cfg->block_count, sizeof(*body->holds));
	if (!body->holds)
		return NULL;
	body->head = head;
	body->holds[head] = true;
	body->count = 1;
	search->count++;
	return body;
}

/* An edge against the order closes a loop. */
static struct cs_error *find_bodies(struct search *search)
{
	const struct cfg *cfg = search->cfg;

	for (uint32_t i = 0; i < cfg->edge_count; i++) {
		const struct cfg_edge *edge = &cfg->edges[i];
		struct body *body;

		if (edge->to > edge->from)
			continue;
		body = body_of(search, edge->to);
		if (!body)
			return &cs_error_no_memory;
		body->irreducible |= !cfg_dominates(cfg, edge->to, edge->from);
		add_body(search, body, edge->from);
	}
	return NULL;
}

/* Larger loops first, so that an outer one precedes those in it. */
static int compare_bodies(const void *left, const void *right)
{
	const struct body *a = left, *b = right;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return a->head < b->head ? -1 : a->head > b->head;
}

static struct cs_error *nest_bodies(const struct search *search)
{
	struct cfg *cfg = search->cfg;

	qsort(search->bodies, search->count, sizeof(*search->bodies), compare_bodies);
	cfg->loops = calloc(search->count + 1, sizeof(*cfg->loops));
	if (!cfg->loops)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < search->count; i++) {
		const struct body *body = &search->bodies[i];
		uint32_t parent = cfg->blocks[body->head].loop;
		uint32_t depth = parent == CFG_NONE ? 1 : cfg->loops[parent].depth + 1;

		cfg->loops[cfg->loop_count++] = (struct cfg_loop){
			.head = body->head,
			.parent = parent,
			.depth = depth,
			.block_count = body->count,
			.irreducible = body->irreducible,
			.counter = CFG_NONE,
		};
		for (uint32_t k = 0; k < cfg->block_count; k++) {
			if (!body->holds[k])
				continue;
			cfg->blocks[k].loop = i;
			cfg->blocks[k].depth = depth;
		}
	}
	return NULL;
}

static uint32_t count_heads(const struct cfg *cfg)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cfg->edge_count; i++)
		count += cfg->edges[i].to <= cfg->edges[i].from;
	return count;
}

struct cs_error *loops_find(struct cfg *cfg)
{
	struct search search = {.cfg = cfg};
	struct cs_error *error = NULL;

	find_dominators(cfg);
	search.bodies = calloc(count_heads(cfg) + 1, sizeof(*search.bodies));
	search.stack = calloc(cfg->block_count, sizeof(*search.stack));
	if (!search.bodies || !search.stack)
		error = &cs_error_no_memory;
	if (!error)
		error = find_bodies(&search);
	if (!error)
		error = nest_bodies(&search);
	for (uint32_t i = 0; i < search.count; i++)
		free(search.bodies[i].holds);
	free(search.bodies);
	free(search.stack);
	return error;
}

bool cfg_dominates(const struct cfg *cfg, uint32_t above, uint32_t below)
{
	while (below != CFG_NONE && below > above)
		below = cfg->blocks[below].dominator;
	return below == above;
}

bool cfg_in_loop(const struct cfg *cfg, uint32_t loop, uint32_t block)
{
	for (uint32_t i = cfg->blocks[block].loop; i != CFG_NONE; i = cfg->loops[i].parent)
		if (i == loop)
			return true;
	return false;
}
