/* SPDX-License-Identifier: MIT */
/* Shortest paths through the call graph, breadth first from the roots. */
#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "xref/call_graph_internal.h"

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
	struct adjacency calls, pointers;
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
	free(search->visits);
	free(search->queue);
}

static struct cs_error *search_create(const struct xref_graph *graph, struct search *ret)
{
	size_t nodes = graph->xref->symbol_count;

	ret->graph = graph;
	ret->visits = malloc((nodes + 1) * sizeof(*ret->visits));
	ret->queue = malloc((nodes + 1) * sizeof(*ret->queue));
	if (!ret->visits || !ret->queue)
		return &cs_error_no_memory;
	for (size_t i = 0; i < nodes; i++)
		ret->visits[i] = (struct visit){NOWHERE, NOWHERE, 0, false};
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

static void visit_neighbours(struct search *search, const struct adjacency *adjacency, uint32_t from, bool by_pointer)
{
	for (uint32_t i = adjacency->first[from]; i < adjacency->first[from + 1]; i++)
		visit(search, from, adjacency->to[i], by_pointer);
}

static void follow_calls(struct search *search)
{
	while (search->begin < search->end)
		visit_neighbours(search, &search->calls, search->queue[search->begin++], false);
}

/* Layer by layer: all that calls alone reach from what the last layer reached, then one pointer further. A path with
 * fewer pointers is always preferred, for each of them is a guess. */
static void follow_pointers(struct search *search, uint32_t wanted)
{
	size_t layer = 0;

	while (layer < search->end && search->visits[wanted].distance == NOWHERE) {
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

/* A path that goes through the function itself before its last caller says nothing new. */
static bool leads_around(const struct search *search, uint32_t caller, uint32_t wanted)
{
	for (uint32_t at = caller; at != NOWHERE; at = search->visits[at].from)
		if (at == wanted)
			return true;
	return false;
}

static bool has_path(const struct xref_paths *paths, const struct elf_symbol *caller)
{
	for (size_t i = 0; i < paths->count; i++)
		if (paths->items[i].steps[paths->items[i].count - 2].symbol == caller)
			return true;
	return false;
}

/* One path for each direct caller that was reached. */
static struct cs_error *paths_by_callers(const struct search *search, uint32_t wanted, struct xref_paths *ret)
{
	const struct edges *calls = &search->graph->calls;
	size_t room = 0;

	for (size_t i = 0; i < calls->count; i++) {
		uint32_t caller = calls->items[i].from;

		if (calls->items[i].to != wanted || search->visits[caller].distance == NOWHERE ||
		    leads_around(search, caller, wanted) || has_path(ret, &search->graph->xref->symbols[caller]))
			continue;
		CS_TRY(VECTOR_ROOM(ret->items, ret->count + 1, room));
		CS_TRY(path_create(search, caller, wanted, &ret->items[ret->count]));
		ret->count++;
	}
	return NULL;
}

static struct cs_error *path_by_pointer(const struct search *search, uint32_t wanted, struct xref_paths *ret)
{
	if (ret->count || search->visits[wanted].distance == NOWHERE)
		return NULL;
	ret->items = calloc(1, sizeof(*ret->items));
	if (!ret->items)
		return &cs_error_no_memory;
	CS_TRY(path_create(search, wanted, wanted, &ret->items[0]));
	ret->count = 1;
	return NULL;
}

struct cs_error *xref_graph_paths(const struct xref_graph *graph, const struct elf_symbol *const *roots,
				  size_t root_count, const struct elf_symbol *function, size_t limit,
				  struct xref_paths *ret)
{
	CLEANUP(search_destroy) struct search search = {0};
	uint32_t wanted = graph_node(graph, function);

	CS_TRY(search_create(graph, &search));
	for (size_t i = 0; i < root_count; i++)
		visit(&search, NOWHERE, graph_node(graph, roots[i]), false);
	follow_calls(&search);
	if (search.visits[wanted].distance == NOWHERE)
		follow_pointers(&search, wanted);
	CS_TRY(paths_by_callers(&search, wanted, ret));
	CS_TRY(path_by_pointer(&search, wanted, ret));
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare_paths);
	while (ret->count > limit)
		free(ret->items[--ret->count].steps);
	return NULL;
}
