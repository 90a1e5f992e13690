/* SPDX-License-Identifier: MIT */
/*
 * From the stops of one invocation back to the blocks it went through.
 *
 * What the stops do not determine is not guessed: it becomes a gap, which names the blocks that may have run
 * and how often its loop can have gone round.
 */
#ifndef CLOCKSCOPE_PATH_H
#define CLOCKSCOPE_PATH_H

#include "plan.h"

enum path_event_kind {
	PATH_HIT,    /* a probe of the plan: `taken` holds where it is a PLAN_BRANCH */
	PATH_RETURN, /* the invocation ended, seen at its return address; `address` is ignored */
	PATH_LIFTED, /* the probe at `address` is lifted for the rest of the invocation */
};

/* The first event of an invocation is the entry probe's hit. */
struct path_event {
	uint64_t address;
	enum path_event_kind kind;
	bool taken;
};

#define PATH_UNBOUNDED UINT32_MAX

enum path_step_kind {
	PATH_BLOCK, /* `block` ran */
	PATH_GAP,   /* between the steps around it, some of `blocks` ran */
};

struct path_step {
	enum path_step_kind kind;
	uint32_t block;
	/* Of a gap: blocks that may have run (sorted), in path->gap_blocks; those that must have run at least
	 * once are marked in path->gap_certain. */
	uint32_t first, count;
	uint32_t window;               /* window it lies in, or CFG_NONE */
	uint32_t tries_min, tries_max; /* rounds of the outermost loop in it; 0, 0 where it has none */
};

struct path {
	struct path_step *steps;
	uint32_t count;
	uint32_t *gap_blocks;
	bool *gap_certain;
	bool complete;   /* no gap, nothing lifted, and it returned */
	bool returned;   /* its end was seen */
	bool consistent; /* false: the events fit no path; steps end where they cease to fit */
};

struct cs_error *path_create(const struct cfg *cfg, const struct windows *windows, const struct plan *plan,
			     const struct path_event *events, size_t count, struct path **ret);
void path_destroy(struct path *path);

#endif
