/* SPDX-License-Identifier: MIT */
/* The edges of the call graph. Nodes are indices of symbols. */
#ifndef CLOCKSCOPE_XREF_EDGES_H
#define CLOCKSCOPE_XREF_EDGES_H

#include <stdbool.h>
#include <stdint.h>

#include "xref/xref.h"

struct edge {
	uint32_t from, to;
	uint64_t site, target; /* of a call or jump: where it stands, where it leads */
	bool call;             /* not a jump */
};

struct edges {
	struct edge *items;
	size_t count, capacity;
};

/* Fills both; `node` has for each symbol the node that it belongs to. */
struct cs_error *edges_collect(const struct xref *xref, const uint32_t *node, struct edges *calls,
			       struct edges *pointers);

#endif
