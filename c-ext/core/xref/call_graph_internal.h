/* SPDX-License-Identifier: MIT */
/* What the files of the call graph know of it. */
#ifndef CLOCKSCOPE_XREF_CALL_GRAPH_INTERNAL_H
#define CLOCKSCOPE_XREF_CALL_GRAPH_INTERNAL_H

#include "xref/edges.h"

struct xref_graph {
	struct xref *xref;
	uint32_t *node; /* by symbol index: the node that it belongs to */
	struct edges calls, pointers;
};

#endif
