/* SPDX-License-Identifier: MIT */
/* Shortest paths through the call graph, breadth first from the roots. */
#include "xref/call_paths.h"

#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "xref/call_graph_internal.h"
#include "xref/pointers.h"
#include "xref/xref_internal.h"

#define NOWHERE UINT32_MAX

/* How a node was first reached. */
struct visit {
	uint32_t from;     /* NOWHERE for a root */
	uint32_t distance; /* in steps; NOWHERE: not reached */
	uint32_t pointers; /* of them, by pointer */
	bool by_pointer;
};

/* The edges in the order of the nodes that they leave: those of node i are [first[i], first[i + 1]). */
struct adjacency {
	uint32_t *to, *first;
};

struct search {
	const struct xref_graph *graph;
	uint32_t wanted;
	struct adjacency calls, pointers;
	uint32_t *callers; /* that call the wanted function, each once, by address */
	size_t caller_count;
	struct visit *visits;
	uint32_t *queue; /* each node enters it once */
	size_t begin, end;
};

static struct cs_error *adjacency_create(const struct edges *edges, size_t nodes, struct adjacency *ret)
{
	ret->first = calloc(nodes + 2, sizeof(*ret->first));
	ret->to = calloc(edges->count + 1, sizeof(*ret->to));
	if (!ret->first || !ret->to)
		return &cs_error_no_memory;
	/* Counting sort, one place ahead: filling it in moves each node's end to where it belongs. */
	for (size_t i = 0; i < edges->count; i++)
		ret->first[edges->items[i].from + 2]++;
	for (size_t i = 2; i < nodes + 2; i++)
		ret->first[i] += ret->first[i - 1];
	for (size_t i = 0; i < edges->count; i++)
		ret->to[ret->first[edges->items[i].from + 1]++] = edges->items[i].to;
	return NULL;
}

static void adjacency_destroy(struct adjacency *adjacency)
{
	free(adjacency->first);
	free(adjacency->to);
}

static void search_destroy(struct search *search)
{
	adjacency_destroy(&search->calls);
	adjacency_destroy(&search->pointers);
	free(search->callers);
	free(search->visits);
	free(search->queue);
}

static int compare_nodes(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static struct cs_error *find_callers(struct search *search)
{
	const struct edges *calls = &search->graph->calls;
	size_t count = 0;

	search->callers = malloc((calls->count + 1) * sizeof(*search->callers));
	if (!search->callers)
		return &cs_error_no_memory;
	for (size_t i = 0; i < calls->count; i++)
		if (calls->items[i].to == search->wanted)
			search->callers[count++] = calls->items[i].from;
	qsort(search->callers, count, sizeof(*search->callers), compare_nodes);
	for (size_t i = 0; i < count; i++)
		if (!i || search->callers[i] != search->callers[i - 1])
			search->callers[search->caller_count++] = search->callers[i];
	return NULL;
}

static struct cs_error *search_create(const struct xref_graph *graph, uint32_t wanted, struct search *ret)
{
	size_t nodes = graph->xref->symbol_count;

	ret->graph = graph;
	ret->wanted = wanted;
	ret->visits = malloc((nodes + 1) * sizeof(*ret->visits));
	ret->queue = malloc((nodes + 1) * sizeof(*ret->queue));
	if (!ret->visits || !ret->queue)
		return &cs_error_no_memory;
	for (size_t i = 0; i < nodes; i++)
		ret->visits[i] = (struct visit){NOWHERE, NOWHERE, 0, false};
	CS_TRY(find_callers(ret));
	CS_TRY(adjacency_create(&graph->calls, nodes, &ret->calls));
	return adjacency_create(&graph->pointers, nodes, &ret->pointers);
}

static void visit(struct search *search, uint32_t from, uint32_t to, bool by_pointer)
{
	const struct visit *before = from == NOWHERE ? NULL : &search->visits[from];

	if (search->visits[to].distance != NOWHERE)
		return;
	search->visits[to] = (struct visit){
		.from = from,
		.distance = before ? before->distance + 1 : 0,
		.pointers = (before ? before->pointers : 0) + by_pointer,
		.by_pointer = by_pointer,
	};
	search->queue[search->end++] = to;
}

/* Nothing is reached through the wanted function: such a path to one of its callers would say nothing new. */
static void visit_neighbours(struct search *search, const struct adjacency *adjacency, uint32_t from, bool by_pointer)
{
	if (from == search->wanted)
		return;
	for (uint32_t i = adjacency->first[from]; i < adjacency->first[from + 1]; i++)
		visit(search, from, adjacency->to[i], by_pointer);
}

static void follow_calls(struct search *search)
{
	while (search->begin < search->end)
		visit_neighbours(search, &search->calls, search->queue[search->begin++], false);
}

static bool is_reached(const struct search *search, uint32_t node)
{
	return search->visits[node].distance != NOWHERE;
}

static bool is_done(const struct search *search)
{
	for (size_t i = 0; i < search->caller_count; i++)
		if (!is_reached(search, search->callers[i]))
			return false;
	return is_reached(search, search->wanted);
}

/* Layer by layer: all that calls alone reach from what the last layer reached, then one pointer further. A path with
 * fewer pointers is always preferred, for each of them is a guess. */
static void follow_pointers(struct search *search)
{
	size_t layer = 0;

	while (layer < search->end && !is_done(search)) {
		size_t layer_end = search->end;

		for (; layer < layer_end; layer++)
			visit_neighbours(search, &search->pointers, search->queue[layer], true);
		search->begin = layer_end;
		follow_calls(search);
	}
}

void xref_paths_clear(struct xref_paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i].steps);
	free(paths->items);
	free(paths->pathless);
	*paths = (struct xref_paths){0};
}

/* The way from a root to `last`, and then on to `wanted` unless that is `last` itself. */
static struct cs_error *path_create(const struct search *search, uint32_t last, uint32_t wanted, struct xref_path *ret)
{
	const struct elf_symbol *symbols = search->graph->xref->symbols;
	size_t count = search->visits[last].distance + 1 + (last != wanted);

	ret->steps = calloc(count, sizeof(*ret->steps));
	if (!ret->steps)
		return &cs_error_no_memory;
	ret->count = count;
	ret->pointers = search->visits[last].pointers;
	if (last != wanted)
		ret->steps[--count].symbol = &symbols[wanted];
	for (uint32_t at = last; count; at = search->visits[at].from) {
		ret->steps[--count].symbol = &symbols[at];
		ret->steps[count].by_pointer = search->visits[at].by_pointer;
	}
	return NULL;
}

static int compare_paths(const void *left, const void *right)
{
	const struct xref_path *a = left, *b = right;

	if (a->pointers != b->pointers)
		return a->pointers < b->pointers ? -1 : 1;
	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	return strcmp(a->steps[a->count > 1 ? a->count - 2 : 0].symbol->name,
		      b->steps[b->count > 1 ? b->count - 2 : 0].symbol->name);
}

/* Why nothing leads to a caller that the whole search did not reach. */
static enum xref_pathless_why why_pathless(const struct search *search, uint32_t caller)
{
	const struct edges *both[] = {&search->graph->calls, &search->graph->pointers};
	enum xref_pathless_why why = XREF_UNCALLED;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		for (size_t j = 0; j < both[i]->count; j++) {
			const struct edge *edge = &both[i]->items[j];

			if (edge->to != caller)
				continue;
			if (edge->from == search->wanted)
				return XREF_AROUND;
			if (!xref_is_export(search->graph->xref->symbols[edge->from].name))
				why = XREF_APART;
			else if (why == XREF_UNCALLED)
				why = XREF_EXPORTED;
		}
	return why;
}

/* Goes on from the wanted function, to tell what only leads around from what nothing leads to. */
static void follow_around(struct search *search)
{
	uint32_t wanted = search->wanted;
	size_t at = search->end;

	if (!is_reached(search, wanted))
		return;
	search->wanted = NOWHERE;
	visit_neighbours(search, &search->calls, wanted, false);
	visit_neighbours(search, &search->pointers, wanted, true);
	for (; at < search->end; at++) {
		visit_neighbours(search, &search->calls, search->queue[at], false);
		visit_neighbours(search, &search->pointers, search->queue[at], true);
	}
	search->wanted = wanted;
}

/* One path for each direct caller that was reached. */
static struct cs_error *add_paths(const struct search *search, struct xref_paths *ret)
{
	size_t room = 0;

	for (size_t i = 0; i < search->caller_count; i++) {
		if (!is_reached(search, search->callers[i]))
			continue;
		CS_TRY(VECTOR_ROOM(ret->items, ret->count + 1, room));
		CS_TRY(path_create(search, search->callers[i], search->wanted, &ret->items[ret->count]));
		ret->count++;
	}
	if (ret->count || !is_reached(search, search->wanted))
		return NULL;
	CS_TRY(VECTOR_ROOM(ret->items, 1, room));
	CS_TRY(path_create(search, search->wanted, search->wanted, &ret->items[0]));
	ret->count = 1;
	return NULL;
}

/* The callers that have none, and why. Those that were not reached before have to be known by now. */
static struct cs_error *add_pathless(struct search *search, struct xref_paths *ret)
{
	FREE bool *before = malloc(search->caller_count + 1);
	size_t room = 0;

	if (!before)
		return &cs_error_no_memory;
	for (size_t i = 0; i < search->caller_count; i++)
		before[i] = is_reached(search, search->callers[i]);
	follow_around(search);
	for (size_t i = 0; i < search->caller_count; i++) {
		uint32_t caller = search->callers[i];

		if (before[i])
			continue;
		CS_TRY(VECTOR_ROOM(ret->pathless, ret->pathless_count + 1, room));
		ret->pathless[ret->pathless_count++] = (struct xref_pathless){
			.caller = &search->graph->xref->symbols[caller],
			.why = is_reached(search, caller) ? XREF_AROUND : why_pathless(search, caller),
		};
	}
	return NULL;
}

struct cs_error *xref_graph_paths(const struct xref_graph *graph, const struct elf_symbol *const *roots,
				  size_t root_count, const struct elf_symbol *function, struct xref_paths *ret)
{
	CLEANUP(search_destroy) struct search search = {0};

	CS_TRY(search_create(graph, graph_node(graph, function), &search));
	for (size_t i = 0; i < root_count; i++)
		visit(&search, NOWHERE, graph_node(graph, roots[i]), false);
	follow_calls(&search);
	follow_pointers(&search);
	CS_TRY(add_paths(&search, ret));
	CS_TRY(add_pathless(&search, ret));
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare_paths);
	return NULL;
}
