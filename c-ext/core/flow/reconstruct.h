/* SPDX-License-Identifier: MIT */
/*
 * From the stops of one invocation back to the blocks it went through.
 *
 * What the stops do not determine is not guessed: it becomes a gap, which names the blocks that may have run
 * and how often its loop can have gone round.
 */
#ifndef CLOCKSCOPE_RECONSTRUCT_H
#define CLOCKSCOPE_RECONSTRUCT_H

#include "base/placement.h"
#include "flow/probe_plan.h"

enum path_event_kind {
	PATH_HIT,    /* a probe of the plan: `taken` holds where it is a PLAN_BRANCH */
	PATH_RETURN, /* the invocation ended, seen at its return address; `address` is ignored */
	PATH_LIFTED, /* the probe at `address` is lifted for the rest of the invocation */
};

/* The first event of an invocation is the entry probe's hit. After a hit with PLAN_RETURN no event follows; after one
 * with PLAN_TAIL a PATH_RETURN may. */
struct path_event {
	struct link_address address;
	enum path_event_kind kind;
	bool taken;
};

#define PATH_UNBOUNDED UINT32_MAX

enum path_step_kind {
	PATH_BLOCK, /* `block` ran */
	PATH_GAP,   /* between the steps around it some of `blocks` ran, or none */
};

struct path_step {
	enum path_step_kind kind;
	uint32_t block;        /* CFG_NONE for a gap */
	uint32_t first, count; /* of a gap: range in gap_blocks and gap_certain */
	uint32_t event;        /* number of the event that showed it */
};

/* A stretch of the path in one timing window. */
struct path_window {
	uint32_t window;       /* index in windows->items */
	uint32_t first, count; /* steps */
	uint32_t stops_inside; /* probes hit in the window itself */
	uint32_t tries_min;    /* rounds of the loop that polls; 1 where there is none */
	uint32_t tries_max;    /* or PATH_UNBOUNDED */
};

struct path {
	struct path_step *steps;
	uint32_t count;
	uint32_t *gap_blocks; /* in order of address within a gap */
	bool *gap_certain;    /* … ran at least once */
	struct path_window *windows;
	uint32_t window_count;
	bool returned;   /* its end was seen */
	bool consistent; /* false: the events fit no way through the graph; steps end where they cease to */
	bool complete;   /* it returned, is consistent, nothing was lifted, and there is no gap */
};

struct cs_error *path_create(const struct cfg *cfg, const struct windows *windows, const struct plan *plan,
			     const struct path_event *events, size_t count, struct path **ret);
void path_destroy(struct path *path);

#endif
