/* SPDX-License-Identifier: MIT */
#include "flow/reconstruct.h"

#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "flow/loops.h"
#include "flow/probe_plan_check.h"
#include "flow/region.h"

struct decoder {
	const struct cfg *cfg;
	const struct windows *windows;
	const struct plan *plan;
	struct path *path;
	struct region *region;
	bool *witnessed;
	uint32_t *starts; /* where control can be next; CFG_NONE: it can have left */
	uint32_t start_count;
	uint32_t event;
	uint32_t gap_count, step_room, gap_room;
	bool ended, lifted;
	uint32_t *gap_rounds; /* two a step: least and most rounds of a gap's loop */
	uint32_t rounds_room;
};

static struct cs_error *add_step(struct decoder *decoder, struct path_step step)
{
	struct path *path = decoder->path;

	step.event = decoder->event;
	CS_TRY(VECTOR_ROOM(path->steps, path->count + 1, decoder->step_room));
	CS_TRY(VECTOR_ROOM(decoder->gap_rounds, 2 * path->count + 2, decoder->rounds_room));
	decoder->gap_rounds[2 * path->count] = decoder->gap_rounds[2 * path->count + 1] = 0;
	path->steps[path->count++] = step;
	return NULL;
}

static struct cs_error *add_block(struct decoder *decoder, uint32_t block)
{
	return add_step(decoder, (struct path_step){.kind = PATH_BLOCK, .block = block});
}

/* Follows the only way that was found. */
static struct cs_error *add_way(struct decoder *decoder, uint32_t first, uint32_t goal)
{
	for (uint32_t at = first; at != CFG_NONE; at = region_next(decoder->region, at)) {
		CS_TRY(add_block(decoder, at));
		if (at == goal)
			break;
	}
	return NULL;
}

/* The outermost loop that the ways found can go round, or CFG_NONE. */
static uint32_t loop_in_gap(const struct decoder *decoder)
{
	const struct cfg *cfg = decoder->cfg;

	for (uint32_t i = 0; i < cfg->edge_count; i++) {
		const struct cfg_edge *edge = &cfg->edges[i];
		uint32_t loop = CFG_NONE;

		if (edge->to > edge->from || !decoder->region->live[edge->from] || !decoder->region->live[edge->to])
			continue;
		for (loop = cfg->blocks[edge->to].loop; loop != CFG_NONE; loop = cfg->loops[loop].parent)
			if (cfg->loops[loop].head == edge->to)
				return loop;
	}
	return CFG_NONE;
}

/* Whether the ways found leave a loop by its counter alone. */
static bool left_by_counter(const struct decoder *decoder, uint32_t loop)
{
	const struct cfg *cfg = decoder->cfg;

	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];

		if (!decoder->region->live[i] || !cfg_in_loop(cfg, loop, i) || i == cfg->loops[loop].counter)
			continue;
		if (region_leaves(cfg, i))
			return false;
		for (uint32_t k = block->next; k < block->next + block->next_count; k++)
			if (!cfg_in_loop(cfg, loop, cfg->edges[k].to) && decoder->region->live[cfg->edges[k].to])
				return false;
	}
	return true;
}

static void set_rounds(const struct decoder *decoder, uint32_t head_certain, uint32_t loop, uint32_t *rounds)
{
	const struct cfg_loop *it = &decoder->cfg->loops[loop];

	rounds[0] = head_certain ? 1 : 0;
	rounds[1] = PATH_UNBOUNDED;
	/* The count holds for a loop entered from outside only: who starts within it has rounds behind him. */
	for (uint32_t i = 0; i < decoder->start_count; i++)
		if (decoder->starts[i] != CFG_NONE && decoder->region->live[decoder->starts[i]] &&
		    cfg_in_loop(decoder->cfg, loop, decoder->starts[i]) && decoder->starts[i] != it->head)
			return;
	if (!it->rounds || it->parent != CFG_NONE)
		return;
	rounds[1] = it->rounds;
	if (head_certain && left_by_counter(decoder, loop))
		rounds[0] = it->rounds;
}

static struct cs_error *list_gap(struct decoder *decoder, const bool *live, uint32_t goal, uint32_t *first_ret,
				 uint32_t *count_ret)
{
	const struct cfg *cfg = decoder->cfg;
	struct path *path = decoder->path;
	uint32_t room = decoder->gap_room;

	*first_ret = decoder->gap_count;
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		uint32_t block = cfg->by_address[i];

		if (!live[block] || block == goal)
			continue;
		CS_TRY(VECTOR_ROOM(path->gap_blocks, decoder->gap_count + 1, decoder->gap_room));
		CS_TRY(VECTOR_ROOM(path->gap_certain, decoder->gap_count + 1, room));
		path->gap_blocks[decoder->gap_count++] = block;
	}
	*count_ret = decoder->gap_count - *first_ret;
	return NULL;
}

/* Records what lies between two stops when there are several ways. A block is certain when there is no way without it.
 */
static struct cs_error *add_gap(struct decoder *decoder, uint32_t goal)
{
	const struct cfg *cfg = decoder->cfg;
	FREE bool *live = calloc(cfg->block_count, sizeof(*live));
	struct path_step step = {.kind = PATH_GAP, .block = CFG_NONE};
	uint32_t loop = loop_in_gap(decoder);
	bool head_certain = false;
	uint32_t rounds[2] = {0, 0};

	if (!live)
		return &cs_error_no_memory;
	memcpy(live, decoder->region->live, cfg->block_count * sizeof(*live));
	CS_TRY(list_gap(decoder, live, goal, &step.first, &step.count));
	for (uint32_t i = step.first; i < step.first + step.count; i++) {
		uint32_t block = decoder->path->gap_blocks[i];

		decoder->path->gap_certain[i] =
			goal != REGION_ANYWHERE &&
			!region_find(decoder->region, decoder->starts, decoder->start_count, goal, block);
		if (loop != CFG_NONE && cfg->loops[loop].head == block)
			head_certain = decoder->path->gap_certain[i];
	}
	memcpy(decoder->region->live, live, cfg->block_count * sizeof(*live));
	if (loop != CFG_NONE)
		set_rounds(decoder, head_certain, loop, rounds);
	CS_TRY(add_step(decoder, step));
	memcpy(decoder->gap_rounds + 2 * (decoder->path->count - 1), rounds, sizeof(rounds));
	return NULL;
}

/* Adds the steps up to a goal. */
static struct cs_error *go_to(struct decoder *decoder, uint32_t goal)
{
	uint32_t first;

	if (!region_find(decoder->region, decoder->starts, decoder->start_count, goal, CFG_NONE)) {
		decoder->path->consistent = false;
		return NULL;
	}
	if (region_is_single(decoder->region, decoder->starts, decoder->start_count, goal, &first))
		return add_way(decoder, first, goal);
	CS_TRY(add_gap(decoder, goal));
	return goal < decoder->cfg->block_count ? add_block(decoder, goal) : NULL;
}

/* Where control goes after a probe. */
static void set_starts(struct decoder *decoder, const struct plan_probe *probe, bool taken)
{
	const struct cfg_block *block = &decoder->cfg->blocks[probe->block];
	uint32_t ways[2];

	decoder->start_count = 0;
	if (probe->roles & (PLAN_RETURN | PLAN_TAIL)) {
		decoder->ended = true;
	} else if (probe->roles & PLAN_BRANCH) {
		cfg_decides(decoder->cfg, probe->block, &ways[0], &ways[1]);
		decoder->starts[decoder->start_count++] = ways[taken ? 0 : 1];
	} else {
		for (uint32_t k = block->next; k < block->next + block->next_count; k++)
			decoder->starts[decoder->start_count++] = decoder->cfg->edges[k].to;
		if (region_leaves(decoder->cfg, probe->block))
			decoder->starts[decoder->start_count++] = CFG_NONE;
	}
}

static struct cs_error *take_hit(struct decoder *decoder, const struct path_event *event)
{
	const struct plan_probe *probe = plan_probe_at(decoder->plan, event->address.value);
	bool first = decoder->event == 0;

	if (!probe || decoder->ended || (first && !(probe->roles & PLAN_ENTRY)) ||
	    (!first && probe->roles == PLAN_ENTRY)) {
		decoder->path->consistent = false;
		return NULL;
	}
	if (probe->roles == PLAN_ENTRY)
		return NULL;
	CS_TRY(go_to(decoder, probe->block));
	set_starts(decoder, probe, event->taken);
	return NULL;
}

static struct cs_error *take_return(struct decoder *decoder)
{
	if (decoder->path->returned) {
		decoder->path->consistent = false;
		return NULL;
	}
	if (!decoder->ended)
		CS_TRY(go_to(decoder, REGION_EXIT));
	decoder->ended = decoder->path->returned = true;
	return NULL;
}

static struct cs_error *take(struct decoder *decoder, const struct path_event *event)
{
	const struct plan_probe *probe;

	switch (event->kind) {
	case PATH_HIT: return take_hit(decoder, event);
	case PATH_RETURN: return take_return(decoder);
	case PATH_LIFTED:
		decoder->lifted = true;
		probe = plan_probe_at(decoder->plan, event->address.value);
		if (probe)
			decoder->witnessed[probe->block] = false;
		return NULL;
	}
	return NULL;
}

/* What may have run after the last stop, where no end was seen. */
static struct cs_error *add_rest(struct decoder *decoder)
{
	bool anywhere = region_find(decoder->region, decoder->starts, decoder->start_count, REGION_ANYWHERE, CFG_NONE);

	return anywhere && decoder->region->live_count ? add_gap(decoder, REGION_ANYWHERE) : NULL;
}

/* Windows */

static uint32_t window_of_step(const struct decoder *decoder, const struct path_step *step)
{
	if (step->kind == PATH_BLOCK)
		return decoder->windows->window_of[step->block];
	for (uint32_t i = step->first; i < step->first + step->count; i++)
		if (decoder->windows->window_of[decoder->path->gap_blocks[i]] != CFG_NONE)
			return decoder->windows->window_of[decoder->path->gap_blocks[i]];
	return CFG_NONE;
}

/* Whether a block is the head of an outermost loop: it runs once a round. */
static bool starts_round(const struct cfg *cfg, uint32_t block)
{
	uint32_t loop = cfg->blocks[block].loop;

	while (loop != CFG_NONE && cfg->loops[loop].parent != CFG_NONE)
		loop = cfg->loops[loop].parent;
	return loop != CFG_NONE && cfg->loops[loop].head == block;
}

static void extend_window(const struct decoder *decoder, uint32_t index, struct path_window *window)
{
	const struct path_step *step = &decoder->path->steps[index];
	const uint32_t *rounds = decoder->gap_rounds + 2 * index;
	bool head = step->kind == PATH_BLOCK && starts_round(decoder->cfg, step->block);

	window->count++;
	window->tries_min += head + rounds[0];
	if (rounds[1] == PATH_UNBOUNDED || window->tries_max == PATH_UNBOUNDED)
		window->tries_max = PATH_UNBOUNDED;
	else
		window->tries_max += head + rounds[1];
}

static void count_stops(const struct decoder *decoder, const struct path_event *events, size_t count,
			struct path_window *window)
{
	const struct path_step *steps = decoder->path->steps + window->first;

	for (size_t i = 0; i < count; i++) {
		const struct plan_probe *probe = plan_probe_at(decoder->plan, events[i].address.value);

		if (events[i].kind == PATH_HIT && probe && probe->in_window && i >= steps[0].event &&
		    i <= steps[window->count - 1].event)
			window->stops_inside++;
	}
}

static struct cs_error *list_windows(struct decoder *decoder, const struct path_event *events, size_t count)
{
	struct path *path = decoder->path;
	uint32_t before = CFG_NONE;

	path->windows = calloc((size_t)path->count + 1, sizeof(*path->windows));
	if (!path->windows)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < path->count; i++) {
		uint32_t window = window_of_step(decoder, &path->steps[i]);

		if (window != CFG_NONE && window != before)
			path->windows[path->window_count++] = (struct path_window){.window = window, .first = i};
		if (window != CFG_NONE)
			extend_window(decoder, i, &path->windows[path->window_count - 1]);
		before = window;
	}
	for (uint32_t i = 0; i < path->window_count; i++) {
		struct path_window *window = &path->windows[i];

		count_stops(decoder, events, count, window);
		/* Without a loop there is one try, if the way led there at all. */
		if (!decoder->windows->items[window->window].polls || !window->tries_max)
			window->tries_min = window->tries_max = 1;
	}
	return NULL;
}

static bool has_gap(const struct path *path)
{
	for (uint32_t i = 0; i < path->count; i++)
		if (path->steps[i].kind == PATH_GAP)
			return true;
	return false;
}

static struct cs_error *decode(struct decoder *decoder, const struct path_event *events, size_t count)
{
	struct path *path = decoder->path;

	decoder->witnessed = calloc(decoder->cfg->block_count, sizeof(*decoder->witnessed));
	decoder->starts = calloc((size_t)decoder->cfg->edge_count + 2, sizeof(*decoder->starts));
	if (!decoder->witnessed || !decoder->starts)
		return &cs_error_no_memory;
	plan_witnessed(decoder->plan, decoder->cfg, decoder->witnessed);
	CS_TRY(region_create(decoder->cfg, decoder->witnessed, &decoder->region));
	path->consistent = count > 0 && events[0].kind == PATH_HIT;
	decoder->starts[decoder->start_count++] = CFG_ENTRY;
	for (; decoder->event < count && path->consistent; decoder->event++)
		CS_TRY(take(decoder, &events[decoder->event]));
	path->returned |= decoder->ended;
	if (path->consistent && !decoder->ended)
		CS_TRY(add_rest(decoder));
	path->complete = path->returned && path->consistent && !decoder->lifted && !has_gap(path);
	return list_windows(decoder, events, count);
}

struct cs_error *path_create(const struct cfg *cfg, const struct windows *windows, const struct plan *plan,
			     const struct path_event *events, size_t count, struct path **ret)
{
	struct path *path = calloc(1, sizeof(*path));
	struct decoder decoder = {.cfg = cfg, .windows = windows, .plan = plan, .path = path};
	struct cs_error *error = path ? decode(&decoder, events, count) : &cs_error_no_memory;

	region_destroy(decoder.region);
	free(decoder.witnessed);
	free(decoder.starts);
	free(decoder.gap_rounds);
	if (error) {
		path_destroy(path);
		return error;
	}
	*ret = path;
	return NULL;
}

void path_destroy(struct path *path)
{
	if (!path)
		return;
	free(path->steps);
	free(path->gap_blocks);
	free(path->gap_certain);
	free(path->windows);
	free(path);
}
