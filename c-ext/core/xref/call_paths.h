/* SPDX-License-Identifier: MIT */
/* How a kernel comes to a function. */
#ifndef CLOCKSCOPE_XREF_CALL_PATHS_H
#define CLOCKSCOPE_XREF_CALL_PATHS_H

#include "xref/call_graph.h"

struct xref_step {
	const struct elf_symbol *symbol; /* a function; between pointers, a table or object */
	bool by_pointer;                 /* reached from the step before by a pointer, not by a call */
};

struct xref_path {
	struct xref_step *steps; /* from a root to the function, both included */
	size_t count;
	size_t pointers; /* how many steps are by pointer */
};

/* Why no path leads to a function that calls the one in question. */
enum xref_pathless_why {
	XREF_AROUND,   /* the only way to it is through the function itself */
	XREF_EXPORTED, /* it is only there for modules */
	XREF_UNCALLED, /* nothing calls it, and nothing holds its address */
	XREF_APART,    /* what calls it, or holds its address, is reached by nothing itself */
};

struct xref_pathless {
	const struct elf_symbol *caller;
	enum xref_pathless_why why;
};

struct xref_paths {
	struct xref_path *items; /* fewest pointers first, then shortest */
	size_t count;
	struct xref_pathless *pathless; /* callers without a path, by address */
	size_t pathless_count;
};

void xref_paths_clear(struct xref_paths *paths);

/*
 * The shortest paths from the roots to a function: one for each function that calls it, by calls alone where they lead
 * there, else by as few pointers as will do; or why there is none. Where nothing calls it, the shortest path by
 * pointers. Fills a zero-initialised `*ret`.
 */
struct cs_error *xref_graph_paths(const struct xref_graph *graph, const struct elf_symbol *const *roots,
				  size_t root_count, const struct elf_symbol *function, struct xref_paths *ret);

#endif
