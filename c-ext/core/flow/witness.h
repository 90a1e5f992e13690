/* SPDX-License-Identifier: MIT */
/*
 * Which nodes of a graph to watch, so that the sequence of watched nodes tells the walk.
 *
 * A walk is told exactly when between two consecutive watched nodes there is only one way through unwatched ones:
 * neither a cycle nor a "diamond" without a witness (Ball and Larus, TOPLAS 16(4), 1994, section 4). Finding the
 * cheapest such set is NP-complete (there, theorem 3), so it is approached: nodes are dropped in order of their
 * cost, then exchanged as long as that gains.
 */
#ifndef CLOCKSCOPE_WITNESS_H
#define CLOCKSCOPE_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A directed graph; walks start at node 0. Nodes come in groups that are watched together (both outcomes of a
 * branch). Everything is borrowed. */
struct witness_graph {
	uint32_t node_count;
	const uint32_t *first; /* node_count + 1 indices into `to` */
	const uint32_t *to;
	uint32_t group_count;
	const uint32_t *group; /* by node */
	const double *weight;  /* by group: expected cost of watching it */
	const bool *fixed;     /* by group: watched in any case */
};

/* Chooses groups: `ret` by group. */
struct cs_error *witness_choose(const struct witness_graph *graph, bool *ret);

/* Whether the watched groups tell every walk. */
struct cs_error *witness_suffices(const struct witness_graph *graph, const bool *watched, bool *ret);

#endif
