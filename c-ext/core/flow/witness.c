/* SPDX-License-Identifier: MIT */
#include "flow/witness.h"

#include <string.h>

#include "base/util.h"

/* Exchanges are tried in graphs up to this size; larger ones keep the set that the first pass finds. */
#define EXCHANGE_LIMIT 96u

struct state {
	const struct witness_graph *graph;
	bool *watched;
	uint32_t *seen; /* by node: the last start whose region it was found in */
	uint32_t *stack;
	uint32_t stamp;
	uint32_t *order; /* groups that may be dropped, dearest first */
	uint32_t order_count;
};

static void release(struct state *state)
{
	free(state->seen);
	free(state->stack);
	free(state->order);
}

/* Whether from `start`, through unwatched nodes, no node is met twice. */
static bool is_tree(struct state *state, uint32_t start)
{
	const struct witness_graph *graph = state->graph;
	uint32_t depth = 0;

	state->stamp++;
	state->stack[depth++] = start;
	while (depth) {
		uint32_t node = state->stack[--depth];

		for (uint32_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
			uint32_t to = graph->to[i];

			if (state->seen[to] == state->stamp)
				return false;
			state->seen[to] = state->stamp;
			if (!state->watched[graph->group[to]])
				state->stack[depth++] = to;
		}
	}
	return true;
}

static bool suffices(struct state *state)
{
	const struct witness_graph *graph = state->graph;

	for (uint32_t node = 0; node < graph->node_count; node++)
		if ((node == 0 || state->watched[graph->group[node]]) && !is_tree(state, node))
			return false;
	return true;
}

static struct cs_error *prepare(const struct witness_graph *graph, bool *watched, struct state *state)
{
	*state = (struct state){.graph = graph, .watched = watched};
	state->seen = calloc(graph->node_count, sizeof(*state->seen));
	state->stack = calloc(graph->node_count + 1, sizeof(*state->stack));
	state->order = calloc(graph->group_count, sizeof(*state->order));
	return state->seen && state->stack && state->order ? NULL : &cs_error_no_memory;
}

/* Insertion sort by falling weight; there are few groups, and equal ones keep their order. */
static void sort_groups(struct state *state)
{
	const struct witness_graph *graph = state->graph;

	for (uint32_t i = 0; i < graph->group_count; i++) {
		uint32_t at = state->order_count;

		if (graph->fixed[i])
			continue;
		for (; at > 0 && graph->weight[state->order[at - 1]] < graph->weight[i]; at--)
			state->order[at] = state->order[at - 1];
		state->order[at] = i;
		state->order_count++;
	}
}

/* Drops what is not needed, dearest first, but never `keep`. Returns the weight dropped. */
static double drop(struct state *state, uint32_t keep)
{
	double dropped = 0;

	for (uint32_t i = 0; i < state->order_count; i++) {
		uint32_t group = state->order[i];

		if (group == keep || !state->watched[group])
			continue;
		state->watched[group] = false;
		if (suffices(state))
			dropped += state->graph->weight[group];
		else
			state->watched[group] = true;
	}
	return dropped;
}

/* Watches one more group where that makes dearer ones superfluous. True where it gained. */
static bool exchange(struct state *state, uint32_t group, bool *before)
{
	double weight = state->graph->weight[group];

	if (state->watched[group])
		return false;
	memcpy(before, state->watched, state->graph->group_count * sizeof(*before));
	state->watched[group] = true;
	if (drop(state, group) > weight * (1 + 1e-9))
		return true;
	memcpy(state->watched, before, state->graph->group_count * sizeof(*before));
	return false;
}

static void exchange_all(struct state *state, bool *before)
{
	bool gained = true;

	while (gained) {
		gained = false;
		for (uint32_t i = state->order_count; i-- > 0;)
			gained |= exchange(state, state->order[i], before);
	}
}

struct cs_error *witness_choose(const struct witness_graph *graph, bool *ret)
{
	struct state state CLEANUP(release) = {.graph = NULL};
	FREE bool *before = calloc(graph->group_count + 1, sizeof(*before));

	CS_TRY(prepare(graph, ret, &state));
	if (!before)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < graph->group_count; i++)
		ret[i] = true;
	sort_groups(&state);
	drop(&state, UINT32_MAX);
	if (state.order_count <= EXCHANGE_LIMIT)
		exchange_all(&state, before);
	return NULL;
}

struct cs_error *witness_suffices(const struct witness_graph *graph, const bool *watched, bool *ret)
{
	struct state state CLEANUP(release) = {.graph = NULL};

	CS_TRY(prepare(graph, (bool *)watched, &state));
	*ret = suffices(&state);
	return NULL;
}
