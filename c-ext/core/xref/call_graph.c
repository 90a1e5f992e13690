/* SPDX-License-Identifier: MIT */
#include "xref/call_graph.h"

#include <string.h>

#include "base/addresses.h"
#include "base/util.h"
#include "xref/call_graph_internal.h"
#include "xref/code_search.h"
#include "xref/pointers.h"
#include "xref/xref_internal.h"

/* Linux's initcalls: tables whose entries have a symbol each, walked from the first to the last. Only the first is
 * named by code, by a marker (__initcall6_start) at the same address. */
static const char initcall_prefix[] = "__initcall__";

/* The sections in which the linkers of the BSDs collect such tables. */
static const char *const table_sections[] = {"set_", "link_set_"};

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static struct cs_error *same_file(struct xref *xref, const struct elf_symbol *a, const struct elf_symbol *b, bool *ret)
{
	const char *file_a, *file_b;

	CS_TRY(xref_file_of(xref, a, &file_a));
	CS_TRY(xref_file_of(xref, b, &file_b));
	*ret = file_a && file_b ? strcmp(file_a, file_b) == 0 : file_a == file_b;
	return NULL;
}

/* What a part like "f.cold" was split off from: f, of the same file where several have the name; where no f is
 * left, the first of its parts. `*ret` NULL: nothing. */
static struct cs_error *origin_of(struct xref *xref, const struct elf_symbol *part, const struct elf_symbol **ret)
{
	FREE char *base = strndup(part->name, elf_base_name_length(part->name));
	const struct elf_symbol *found = NULL, *only = NULL;
	size_t count = 0;

	*ret = NULL;
	if (!base)
		return &cs_error_no_memory;
	for (;;) {
		bool same;

		CS_TRY(elf_find(xref->elf, base, found, &found));
		if (!found)
			break;
		if (!xref_is_code(xref, found))
			continue;
		CS_TRY(same_file(xref, part, found, &same));
		if (same) {
			*ret = found;
			return NULL;
		}
		only = found;
		count++;
	}
	if (count == 1)
		*ret = only;
	while (!count && !*ret) {
		bool same;

		CS_TRY(elf_find_variant(xref->elf, base, found, &found));
		if (!found)
			return NULL;
		CS_TRY(same_file(xref, part, found, &same));
		*ret = same ? found : NULL;
	}
	return NULL;
}

static uint32_t index_of(const struct xref *xref, const struct elf_symbol *symbol)
{
	return (uint32_t)xref_first_symbol(xref, symbol->address);
}

/* All functions: aliases become the first symbol of their address, parts what they were split off from. */
static struct cs_error *map_functions(struct xref_graph *graph)
{
	struct xref *xref = graph->xref;

	for (uint32_t i = 0; i < xref->symbol_count; i++) {
		const struct elf_symbol *symbol = &xref->symbols[i], *origin = NULL;

		graph->node[i] = index_of(xref, symbol);
		if (symbol->function && strchr(symbol->name, '.') &&
		    elf_base_name_length(symbol->name) < strlen(symbol->name))
			CS_TRY(origin_of(xref, symbol, &origin));
		if (origin && graph->node[i] == i)
			graph->node[i] = index_of(xref, origin);
	}
	return NULL;
}

static void map_initcalls(struct xref_graph *graph)
{
	const struct xref *xref = graph->xref;
	uint32_t table = UINT32_MAX;

	for (uint32_t i = 0; i < xref->symbol_count; i++) {
		uint32_t first = index_of(xref, &xref->symbols[i]);

		if (!starts_with(xref->symbols[i].name, initcall_prefix)) {
			if (first == i)
				table = UINT32_MAX;
			continue;
		}
		/* A marker sorts before the entry, for it is global. */
		if (table == UINT32_MAX || first != i)
			table = first;
		graph->node[first] = table;
	}
}

static void map_section(struct xref_graph *graph, const struct elf_section *section)
{
	const struct xref *xref = graph->xref;
	size_t first = xref_first_symbol(xref, section->address);

	for (size_t i = first; i < xref->symbol_count && xref->symbols[i].address - section->address < section->size;
	     i++)
		graph->node[i] = (uint32_t)first;
}

static void map_tables(struct xref_graph *graph)
{
	size_t count;
	const struct elf_section *sections = elf_sections(graph->xref->elf, &count);

	map_initcalls(graph);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < ARRAY_SIZE(table_sections); j++)
			if (starts_with(sections[i].name, table_sections[j]))
				map_section(graph, &sections[i]);
}

/* An alias leads to its address's first symbol, that to the function it is part of: one look-up from now on. */
static void flatten(struct xref_graph *graph)
{
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < graph->xref->symbol_count; i++)
			graph->node[i] = graph->node[graph->node[i]];
}

struct cs_error *xref_graph_create(struct xref *xref, struct xref_graph **ret)
{
	struct xref_graph *graph = calloc(1, sizeof(*graph));
	struct cs_error *error;

	if (!graph)
		return &cs_error_no_memory;
	graph->xref = xref;
	graph->node = calloc(xref->symbol_count + 1, sizeof(*graph->node));
	error = graph->node ? map_functions(graph) : &cs_error_no_memory;
	if (!error) {
		map_tables(graph);
		flatten(graph);
		error = edges_collect(xref, graph->node, &graph->calls, &graph->pointers);
	}
	if (error) {
		xref_graph_destroy(graph);
		return error;
	}
	*ret = graph;
	return NULL;
}

void xref_graph_destroy(struct xref_graph *graph)
{
	if (!graph)
		return;
	free(graph->node);
	free(graph->calls.items);
	free(graph->pointers.items);
	free(graph);
}

uint32_t graph_node(const struct xref_graph *graph, const struct elf_symbol *symbol)
{
	return graph->node[xref_first_symbol(graph->xref, symbol->address)];
}

const struct elf_symbol *xref_graph_function(const struct xref_graph *graph, const struct elf_symbol *symbol)
{
	return &graph->xref->symbols[graph_node(graph, symbol)];
}

struct cs_error *xref_graph_callers(const struct xref_graph *graph, const struct elf_symbol *function,
				    struct xref_sites *ret)
{
	uint32_t node = graph_node(graph, function);

	for (size_t i = 0; i < graph->calls.count; i++) {
		const struct edge *edge = &graph->calls.items[i];

		if (edge->to == node)
			CS_TRY(xref_sites_add(ret, (struct xref_site){.address = edge->site,
								      .target = edge->target,
								      .kind = edge->call ? XREF_CALL : XREF_JUMP}));
	}
	return NULL;
}

static struct cs_error *visit_incoming(const struct xref_graph *graph, const struct edges *edges, uint32_t node,
				       bool by_pointer, xref_incoming_visit visit, void *context)
{
	for (size_t i = 0; i < edges->count; i++)
		if (edges->items[i].to == node)
			CS_TRY(visit(context, &graph->xref->symbols[edges->items[i].from], by_pointer));
	return NULL;
}

struct cs_error *xref_graph_incoming(const struct xref_graph *graph, const struct elf_symbol *function,
				     xref_incoming_visit visit, void *context)
{
	uint32_t node = graph_node(graph, function);

	CS_TRY(visit_incoming(graph, &graph->calls, node, false, visit, context));
	return visit_incoming(graph, &graph->pointers, node, true, visit, context);
}

/* The instructions and data that name one entry point. Reading a function's bytes is no way to call it. */
static struct cs_error *entry_pointers(const struct xref_graph *graph, const struct elf_symbol *entry,
				       struct xref_sites *ret)
{
	struct xref_target target = {.symbol = entry,
				     .low = entry->address,
				     .high = entry->address + 1,
				     .whole_low = entry->address,
				     .whole_high = entry->address + 1,
				     .stride = 1};
	size_t kept = ret->count;

	CS_TRY(xref_accesses(graph->xref, &target, ret));
	for (size_t i = kept; i < ret->count; i++)
		if (ret->items[i].access & SHAPE_ADDRESS)
			ret->items[kept++] = ret->items[i];
	ret->count = kept;
	return xref_pointers(graph->xref, &target, ret);
}

struct cs_error *xref_graph_pointers(const struct xref_graph *graph, const struct elf_symbol *function,
				     struct xref_sites *ret)
{
	const struct xref *xref = graph->xref;
	uint32_t node = graph_node(graph, function);

	for (size_t i = 0; i < xref->symbol_count; i++) {
		const struct elf_symbol *symbol = &xref->symbols[i];

		if (graph->node[i] != node || elf_is_cold_part(symbol->name) ||
		    (i && symbol[-1].address == symbol->address))
			continue;
		CS_TRY(entry_pointers(graph, symbol, ret));
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), address_compare);
	return NULL;
}
