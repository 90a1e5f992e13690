/* SPDX-License-Identifier: MIT */
/*
 * Who can call a function: the kernel's call graph, from one walk over its whole text (about 0.2 s for 15 MB).
 *
 * A function's split-off parts (.cold, .part.N, .isra.N, .constprop.N) are one node with it. Edges are of two
 * sorts: direct calls and jumps, which are certain; and pointers (code that names a function's or an object's
 * address, objects that hold addresses), which say that a call is possible.
 */
#ifndef CLOCKSCOPE_CALL_GRAPH_H
#define CLOCKSCOPE_CALL_GRAPH_H

#include "xref/found_sites.h"
#include "xref/xref.h"

struct xref_graph;

/* The xref must outlive the graph. */
struct cs_error *xref_graph_create(struct xref *xref, struct xref_graph **ret);
void xref_graph_destroy(struct xref_graph *graph);

/* The direct calls of a function from others (XREF_CALL) and jumps to its entry (XREF_JUMP), by address. Fills a
 * zero-initialised `*ret`. */
struct cs_error *xref_graph_callers(const struct xref_graph *graph, const struct elf_symbol *function,
				    struct xref_sites *ret);

/* Where the function's address, or that of one of its parts, is taken by code or held by data. Fills a
 * zero-initialised `*ret`. */
struct cs_error *xref_graph_pointers(const struct xref_graph *graph, const struct elf_symbol *function,
				     struct xref_sites *ret);

/* Calls `visit` with each function or object that has an edge to a function: a call or jump, or a pointer. One may
 * come several times. */
typedef struct cs_error *(*xref_incoming_visit)(void *context, const struct elf_symbol *from, bool by_pointer);
struct cs_error *xref_graph_incoming(const struct xref_graph *graph, const struct elf_symbol *function,
				     xref_incoming_visit visit, void *context);

/* The function that a symbol is part of: itself, or what it was split off from. */
const struct elf_symbol *xref_graph_function(const struct xref_graph *graph, const struct elf_symbol *symbol);

/* The node of a symbol of the ELF. */
uint32_t graph_node(const struct xref_graph *graph, const struct elf_symbol *symbol);

#endif
