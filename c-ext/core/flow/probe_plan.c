/* SPDX-License-Identifier: MIT */
#include "flow/probe_plan.h"

#include <string.h>

#include "base/addresses.h"
#include "base/util.h"
#include "base/vector.h"
#include "flow/candidate.h"
#include "flow/frequency.h"
#include "flow/probe_plan_check.h"
#include "flow/region.h"
#include "flow/witness.h"

/* The graph of candidates. Node 0 is the entry, node 1 every end of the function; a branch has two nodes,
 * one for each way it can go, any other candidate one. An edge means: the next candidate met. */
enum { NODE_ENTRY, NODE_EXIT, NODE_FIRST };
enum { GROUP_ENTRY, GROUP_EXIT, GROUP_FIRST };

struct builder {
	const struct cfg *cfg;
	const struct candidates *candidates;
	double *frequencies;
	bool *hopeful;      /* by block: the function can still be left from here */
	uint32_t *node_of;  /* by block: its first node, or CFG_NONE */
	uint32_t *block_of; /* by group */
	uint32_t *group;    /* by node */
	double *weight;     /* by group */
	bool *fixed;        /* by group */
	bool *chosen;       /* by group */
	uint32_t node_count, group_count;
	uint32_t *first, *to; /* edges */
	uint32_t edge_count, edge_room;
	uint32_t *seen, *stack, *linked; /* scratch: by block, by block, by node */
};

static void release(struct builder *builder)
{
	free(builder->frequencies);
	free(builder->hopeful);
	free(builder->node_of);
	free(builder->block_of);
	free(builder->group);
	free(builder->weight);
	free(builder->fixed);
	free(builder->chosen);
	free(builder->first);
	free(builder->to);
	free(builder->seen);
	free(builder->stack);
	free(builder->linked);
}

static struct cs_error *allocate(struct builder *builder)
{
	size_t blocks = builder->cfg->block_count;
	size_t nodes = 2 * blocks + NODE_FIRST;

	builder->frequencies = calloc(blocks, sizeof(*builder->frequencies));
	builder->hopeful = calloc(blocks, sizeof(*builder->hopeful));
	builder->node_of = calloc(blocks, sizeof(*builder->node_of));
	builder->block_of = calloc(blocks + GROUP_FIRST, sizeof(*builder->block_of));
	builder->group = calloc(nodes, sizeof(*builder->group));
	builder->weight = calloc(blocks + GROUP_FIRST, sizeof(*builder->weight));
	builder->fixed = calloc(blocks + GROUP_FIRST, sizeof(*builder->fixed));
	builder->chosen = calloc(blocks + GROUP_FIRST, sizeof(*builder->chosen));
	builder->first = calloc(nodes + 1, sizeof(*builder->first));
	builder->seen = calloc(blocks, sizeof(*builder->seen));
	builder->stack = calloc(blocks + 2, sizeof(*builder->stack));
	builder->linked = calloc(nodes, sizeof(*builder->linked));
	if (!builder->frequencies || !builder->hopeful || !builder->node_of || !builder->block_of || !builder->group ||
	    !builder->weight || !builder->fixed || !builder->chosen || !builder->first || !builder->seen ||
	    !builder->stack || !builder->linked)
		return &cs_error_no_memory;
	return NULL;
}

/* Where nothing leads out of the function any more (panic), no invocation finishes: these ways need not be told
 * apart. A function that never ends has no others. */
static void find_hopeful(struct builder *builder)
{
	const struct cfg *cfg = builder->cfg;
	bool changed = true;

	for (uint32_t i = 0; i < cfg->block_count; i++)
		builder->hopeful[i] = region_leaves(cfg, i);
	while (changed) {
		changed = false;
		for (uint32_t i = cfg->edge_count; i-- > 0;)
			if (builder->hopeful[cfg->edges[i].to] && !builder->hopeful[cfg->edges[i].from])
				changed = builder->hopeful[cfg->edges[i].from] = true;
	}
	if (!builder->hopeful[CFG_ENTRY])
		memset(builder->hopeful, true, cfg->block_count);
}

static void number_nodes(struct builder *builder)
{
	builder->group[NODE_EXIT] = GROUP_EXIT;
	builder->fixed[GROUP_ENTRY] = builder->fixed[GROUP_EXIT] = true;
	builder->node_count = NODE_FIRST;
	builder->group_count = GROUP_FIRST;
	for (uint32_t i = 0; i < builder->cfg->block_count; i++) {
		const struct candidate *candidate = &builder->candidates->blocks[i];
		uint32_t group = builder->group_count;

		builder->node_of[i] = CFG_NONE;
		if (!candidate->roles || !builder->hopeful[i])
			continue;
		builder->node_of[i] = builder->node_count;
		builder->group[builder->node_count++] = group;
		if (candidate->roles & PLAN_BRANCH)
			builder->group[builder->node_count++] = group;
		builder->block_of[group] = i;
		builder->fixed[group] = candidate->fixed;
		/* Never nothing: of two places that are hardly met one is still enough. */
		builder->weight[group] = builder->frequencies[i] * candidate->resumes + 1e-9;
		builder->group_count++;
	}
}

static struct cs_error *link_to(struct builder *builder, uint32_t from, uint32_t node)
{
	if (builder->linked[node] == from + 1)
		return NULL;
	builder->linked[node] = from + 1;
	CS_TRY(VECTOR_ROOM(builder->to, builder->edge_count + 1, builder->edge_room));
	builder->to[builder->edge_count++] = node;
	return NULL;
}

static void enter(struct builder *builder, uint32_t block, uint32_t stamp, uint32_t *depth)
{
	if (!builder->hopeful[block] || builder->seen[block] == stamp)
		return;
	builder->seen[block] = stamp;
	builder->stack[(*depth)++] = block;
}

static struct cs_error *leave(struct builder *builder, uint32_t block, uint32_t from, uint32_t *depth)
{
	const struct cfg_block *it = &builder->cfg->blocks[block];

	if (region_leaves(builder->cfg, block))
		CS_TRY(link_to(builder, from, NODE_EXIT));
	for (uint32_t k = it->next; k < it->next + it->next_count; k++)
		enter(builder, builder->cfg->edges[k].to, from + 1, depth);
	return NULL;
}

/* Links a node to the candidates that come next on some way from there. */
static struct cs_error *link_node(struct builder *builder, uint32_t node, uint32_t depth)
{
	while (depth) {
		uint32_t block = builder->stack[--depth];
		uint32_t to = builder->node_of[block];

		if (to == CFG_NONE) {
			CS_TRY(leave(builder, block, node, &depth));
			continue;
		}
		CS_TRY(link_to(builder, node, to));
		if (builder->candidates->blocks[block].roles & PLAN_BRANCH)
			CS_TRY(link_to(builder, node, to + 1));
	}
	return NULL;
}

static struct cs_error *link_candidate(struct builder *builder, uint32_t block)
{
	const struct candidate *candidate = &builder->candidates->blocks[block];
	uint32_t node = builder->node_of[block];
	uint32_t ways[2];
	uint32_t depth = 0;

	if (!(candidate->roles & PLAN_BRANCH)) {
		builder->first[node] = builder->edge_count;
		if (!(candidate->roles & (PLAN_RETURN | PLAN_TAIL)))
			CS_TRY(leave(builder, block, node, &depth));
		return link_node(builder, node, depth);
	}
	cfg_decides(builder->cfg, block, &ways[0], &ways[1]);
	for (uint32_t i = 0; i < 2; i++) {
		builder->first[node + i] = builder->edge_count;
		depth = 0;
		if (ways[i] == CFG_NONE)
			CS_TRY(link_to(builder, node + i, NODE_EXIT));
		else
			enter(builder, ways[i], node + i + 1, &depth);
		CS_TRY(link_node(builder, node + i, depth));
	}
	return NULL;
}

static struct cs_error *link_all(struct builder *builder)
{
	uint32_t depth = 0;

	enter(builder, CFG_ENTRY, NODE_ENTRY + 1, &depth);
	CS_TRY(link_node(builder, NODE_ENTRY, depth));
	builder->first[NODE_EXIT] = builder->edge_count;
	for (uint32_t i = 0; i < builder->cfg->block_count; i++)
		if (builder->node_of[i] != CFG_NONE)
			CS_TRY(link_candidate(builder, i));
	builder->first[builder->node_count] = builder->edge_count;
	return NULL;
}

static struct cs_error *choose(struct builder *builder)
{
	struct witness_graph graph = {
		.node_count = builder->node_count,
		.first = builder->first,
		.to = builder->to,
		.group_count = builder->group_count,
		.group = builder->group,
		.weight = builder->weight,
		.fixed = builder->fixed,
	};

	return witness_choose(&graph, builder->chosen);
}

/* How much a probe is expected to tell: little of what nearly always or hardly ever happens. (Gini's measure, which
 * orders ways as entropy does.) */
static double information(const struct builder *builder, uint32_t group)
{
	uint32_t block = builder->block_of[group];
	const struct cfg_block *it = &builder->cfg->blocks[block];
	double runs = builder->frequencies[block];
	double share = runs < 1 ? runs : 1;

	if (!(builder->candidates->blocks[block].roles & PLAN_BRANCH))
		return share * (1 - share);
	if (it->next_count && runs > 0) {
		double next = builder->frequencies[builder->cfg->edges[it->next].to] / runs;

		next = next < 1 ? next : 1;
		return share * next * (1 - next);
	}
	return 0;
}

/* Drops what tells least until the plan fits its budget. The entry probe counts, and stays. */
static uint32_t fit_budget(struct builder *builder, uint32_t budget)
{
	uint32_t entry_block = CFG_ENTRY, dropped = 0;
	bool merged = builder->candidates->blocks[CFG_ENTRY].roles &&
		      builder->candidates->blocks[CFG_ENTRY].insn == builder->candidates->entry;

	while (budget) {
		uint32_t count = !merged, least = 0;
		double lowest = 2; /* more than any */

		for (uint32_t i = GROUP_FIRST; i < builder->group_count; i++) {
			bool keep = merged && builder->block_of[i] == entry_block;
			double bits = information(builder, i);

			count += builder->chosen[i];
			if (!builder->chosen[i] || keep || bits >= lowest)
				continue;
			lowest = bits;
			least = i;
		}
		if (count <= budget || !least)
			break;
		builder->chosen[least] = false;
		dropped++;
	}
	return dropped;
}

static void emit(const struct builder *builder, struct plan *plan, uint32_t block, uint32_t index, unsigned roles)
{
	const struct cfg_insn *insn = &builder->cfg->insns[index];
	int32_t offset = candidates_stack_at(builder->candidates, builder->cfg, block, index);

	/* Whatever the function did with its stack, it gives it back before it is left. */
	if (roles & (PLAN_RETURN | PLAN_TAIL))
		offset = 0;
	plan->probes[plan->count++] = (struct plan_probe){
		.address = insn->insn.address,
		.roles = roles,
		.block = block,
		.insn = insn->insn,
		.need = emulate_need(&insn->insn),
		.stack_offset = offset,
		.frequency = builder->frequencies[block],
		.patched = insn->flags & CFG_PATCHED,
	};
}

static struct cs_error *emit_all(const struct builder *builder, const struct windows *windows, struct plan *plan)
{
	const struct candidates *candidates = builder->candidates;
	bool merged = false;

	plan->entry = PLAN_NO_ENTRY;
	plan->probes = calloc((size_t)builder->group_count + 1, sizeof(*plan->probes));
	if (!plan->probes)
		return &cs_error_no_memory;
	if (candidates->entry == CFG_NONE)
		return NULL;
	for (uint32_t i = GROUP_FIRST; i < builder->group_count; i++) {
		const struct candidate *candidate = &candidates->blocks[builder->block_of[i]];
		bool is_entry = builder->block_of[i] == CFG_ENTRY && candidate->insn == candidates->entry;

		if (!builder->chosen[i])
			continue;
		emit(builder, plan, builder->block_of[i], candidate->insn,
		     candidate->roles | (is_entry ? PLAN_ENTRY : 0));
		merged |= is_entry;
		if (!candidate->fixed)
			plan->cost += builder->frequencies[builder->block_of[i]] * candidate->resumes;
	}
	if (!merged)
		emit(builder, plan, CFG_ENTRY, candidates->entry, PLAN_ENTRY);
	qsort(plan->probes, plan->count, sizeof(*plan->probes), address_compare);
	for (uint32_t i = 0; i < plan->count; i++) {
		plan->probes[i].in_window = windows->inside[cfg_insn_at(builder->cfg, plan->probes[i].address)];
		if (plan->probes[i].roles & PLAN_ENTRY)
			plan->entry = i;
	}
	return NULL;
}

static void count_naive(const struct builder *builder, struct plan *plan)
{
	uint32_t taken, not_taken;

	for (uint32_t i = 0; i < builder->cfg->block_count; i++) {
		if (!cfg_decides(builder->cfg, i, &taken, &not_taken))
			continue;
		plan->naive_count++;
		plan->naive_cost += builder->frequencies[i];
	}
}

static struct cs_error *make_plan(struct builder *builder, const struct windows *windows,
				  const struct plan_options *options, struct plan *plan)
{
	const struct cfg *cfg = builder->cfg;

	CS_TRY(allocate(builder));
	if (options->frequencies)
		memcpy(builder->frequencies, options->frequencies, cfg->block_count * sizeof(double));
	else
		CS_TRY(plan_estimate(cfg, builder->frequencies));
	find_hopeful(builder);
	number_nodes(builder);
	CS_TRY(link_all(builder));
	CS_TRY(choose(builder));
	plan->left_out = fit_budget(builder, options->budget);
	CS_TRY(emit_all(builder, windows, plan));
	plan->entry_reenters = cfg->blocks[CFG_ENTRY].prev_count > 0;
	plan->returns_witnessed = builder->candidates->returns_witnessed && !plan->left_out;
	count_naive(builder, plan);
	return plan_check(cfg, windows, builder->hopeful, plan);
}

struct cs_error *plan_create(const struct cfg *cfg, const struct windows *windows, const struct plan_options *options,
			     struct plan **ret)
{
	struct candidates *candidates = NULL;
	struct plan *plan = calloc(1, sizeof(*plan));
	struct builder builder CLEANUP(release) = {.cfg = cfg};
	struct cs_error *error;

	if (!plan)
		return &cs_error_no_memory;
	error = candidates_create(cfg, windows, options, &candidates);
	builder.candidates = candidates;
	if (!error)
		error = make_plan(&builder, windows, options, plan);
	candidates_destroy(candidates);
	if (error) {
		plan_destroy(plan);
		return error;
	}
	*ret = plan;
	return NULL;
}

void plan_destroy(struct plan *plan)
{
	if (!plan)
		return;
	free(plan->probes);
	free(plan->gaps);
	free(plan);
}

const struct plan_probe *plan_probe_at(const struct plan *plan, uint64_t address)
{
	uint32_t low = 0, high = plan->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (plan->probes[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->count && plan->probes[low].address == address ? &plan->probes[low] : NULL;
}
