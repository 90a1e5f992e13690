/* SPDX-License-Identifier: MIT */
/* What the files of the call graph share. Nodes are indices of symbols. */
#ifndef CLOCKSCOPE_CALL_GRAPH_INTERNAL_H
#define CLOCKSCOPE_CALL_GRAPH_INTERNAL_H

#include "xref/call_graph.h"
#include "xref/xref_internal.h"

struct edge {
	uint32_t from, to;
	uint64_t site, target; /* of a call or jump: where it stands, where it leads */
	bool call;             /* not a jump */
};

struct edges {
	struct edge *items;
	size_t count, capacity;
};

struct xref_graph {
	struct xref *xref;
	uint32_t *node; /* by symbol index: the node that it belongs to */
	struct edges calls, pointers;
};

/* Fills `calls` and `pointers`; `node` is complete. */
struct cs_error *edges_collect(struct xref_graph *graph);

/* The node of a symbol of the ELF. */
uint32_t graph_node(const struct xref_graph *graph, const struct elf_symbol *symbol);

#endif
