/* SPDX-License-Identifier: MIT */
#include "flow/window.h"

#include <string.h>

#include "base/util.h"

static int compare_addresses(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

bool window_is_read(const struct insn *insn, const uint64_t *references, size_t count)
{
	if (insn_is_clock_access(insn))
		return true;
	return insn->kind == INSN_CALL && count &&
	       bsearch(&insn->target, references, count, sizeof(*references), compare_addresses);
}

/* What is known of each block, by index. */
struct flow {
	bool *reads;  /* it holds a read */
	bool *before; /* a read may have been made when it is entered */
	bool *after;  /* a read may be made after it has been left */
};

static void release(struct flow *flow)
{
	free(flow->reads);
	free(flow->before);
	free(flow->after);
}

static struct cs_error *allocate(const struct cfg *cfg, struct flow *flow, struct windows *windows)
{
	flow->reads = calloc(cfg->block_count, sizeof(bool));
	flow->before = calloc(cfg->block_count, sizeof(bool));
	flow->after = calloc(cfg->block_count, sizeof(bool));
	windows->inside = calloc(cfg->insn_count, sizeof(bool));
	windows->window_of = malloc(cfg->block_count * sizeof(*windows->window_of));
	windows->items = calloc(cfg->block_count, sizeof(*windows->items));
	windows->callees = calloc(cfg->insn_count, sizeof(*windows->callees));
	if (!flow->reads || !flow->before || !flow->after || !windows->inside || !windows->window_of ||
	    !windows->items || !windows->callees)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < cfg->block_count; i++)
		windows->window_of[i] = CFG_NONE;
	return NULL;
}

/* Spreads "a read comes before" along the edges and "a read comes after" against them, until nothing changes. */
static void spread(const struct cfg *cfg, struct flow *flow)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (uint32_t i = 0; i < cfg->edge_count; i++) {
			uint32_t from = cfg->edges[i].from, to = cfg->edges[i].to;

			if ((flow->before[from] || flow->reads[from]) && !flow->before[to])
				changed = flow->before[to] = true;
		}
		for (uint32_t i = cfg->edge_count; i-- > 0;) {
			uint32_t from = cfg->edges[i].from, to = cfg->edges[i].to;

			if ((flow->after[to] || flow->reads[to]) && !flow->after[from])
				changed = flow->after[from] = true;
		}
	}
}

/* A stop at an instruction happens before it: one at a read that another precedes lies between two reads. */
static void mark_block(const struct cfg *cfg, uint32_t index, const struct flow *flow, const bool *reads,
		       struct windows *windows)
{
	const struct cfg_block *block = &cfg->blocks[index];
	bool before = flow->before[index];
	bool after = flow->after[index];

	for (uint32_t i = block->insn; i < block->insn + block->insn_count; i++) {
		windows->inside[i] = before;
		before |= reads[i];
	}
	for (uint32_t i = block->insn + block->insn_count; i-- > block->insn;) {
		after |= reads[i];
		windows->inside[i] &= after;
	}
}

static bool touches(const struct cfg *cfg, const struct windows *windows, uint32_t index)
{
	const struct cfg_block *block = &cfg->blocks[index];

	for (uint32_t i = 0; i < block->insn_count; i++)
		if (windows->inside[block->insn + i])
			return true;
	return false;
}

static void extend(const struct cfg *cfg, const struct windows *windows, uint32_t index, struct window *window)
{
	const struct cfg_block *block = &cfg->blocks[index];

	window->block_count++;
	for (uint32_t i = block->insn; i < block->insn + block->insn_count; i++) {
		const struct insn *insn = &cfg->insns[i].insn;

		if (!windows->inside[i])
			continue;
		if (insn->address < window->from)
			window->from = insn->address;
		if (insn_next(insn) > window->to)
			window->to = insn_next(insn);
	}
}

/* Joins blocks that touch a window and are neighbours in the graph. */
static struct cs_error *join_windows(const struct cfg *cfg, const struct flow *flow, struct windows *windows)
{
	FREE uint32_t *stack = calloc((size_t)cfg->edge_count * 2 + 1, sizeof(*stack));

	if (!stack)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		struct window *window = &windows->items[windows->count];
		uint32_t depth = 0;

		if (windows->window_of[i] != CFG_NONE || !touches(cfg, windows, i))
			continue;
		*window = (struct window){.from = UINT64_MAX};
		windows->window_of[i] = windows->count;
		stack[depth++] = i;
		while (depth) {
			uint32_t at = stack[--depth];
			const struct cfg_block *block = &cfg->blocks[at];

			extend(cfg, windows, at, window);
			window->polls |= flow->reads[at] && block->loop != CFG_NONE;
			for (uint32_t k = 0; k < block->next_count + block->prev_count; k++) {
				uint32_t to =
					k < block->next_count
						? cfg->edges[block->next + k].to
						: cfg->edges[cfg->backward[block->prev + k - block->next_count]].from;

				if (windows->window_of[to] != CFG_NONE || !touches(cfg, windows, to))
					continue;
				windows->window_of[to] = windows->count;
				stack[depth++] = to;
			}
		}
		windows->count++;
	}
	return NULL;
}

/* What runs inside a window, or reads a clock itself. */
static void list_callees(const struct cfg *cfg, const bool *reads, struct windows *windows)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cfg->insn_count; i++)
		if (cfg->insns[i].insn.kind == INSN_CALL && (windows->inside[i] || reads[i]))
			windows->callees[windows->callee_count++] = cfg->insns[i].insn.target;
	qsort(windows->callees, windows->callee_count, sizeof(*windows->callees), compare_addresses);
	for (uint32_t i = 0; i < windows->callee_count; i++)
		if (!kept || windows->callees[kept - 1] != windows->callees[i])
			windows->callees[kept++] = windows->callees[i];
	windows->callee_count = kept;
}

static struct cs_error *analyse(const struct cfg *cfg, const uint64_t *references, size_t count,
				struct windows *windows)
{
	FREE bool *reads = calloc(cfg->insn_count, sizeof(*reads));
	struct flow flow CLEANUP(release) = {.reads = NULL};

	if (!reads)
		return &cs_error_no_memory;
	CS_TRY(allocate(cfg, &flow, windows));
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		for (uint32_t k = cfg->blocks[i].insn; k < cfg->blocks[i].insn + cfg->blocks[i].insn_count; k++) {
			reads[k] = window_is_read(&cfg->insns[k].insn, references, count);
			flow.reads[i] |= reads[k];
		}
	}
	spread(cfg, &flow);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		mark_block(cfg, i, &flow, reads, windows);
	list_callees(cfg, reads, windows);
	return join_windows(cfg, &flow, windows);
}

struct cs_error *windows_create(const struct cfg *cfg, const uint64_t *references, size_t count, struct windows **ret)
{
	struct windows *windows = calloc(1, sizeof(*windows));
	struct cs_error *error = windows ? analyse(cfg, references, count, windows) : &cs_error_no_memory;

	if (error) {
		windows_destroy(windows);
		return error;
	}
	*ret = windows;
	return NULL;
}

void windows_destroy(struct windows *windows)
{
	if (!windows)
		return;
	free(windows->inside);
	free(windows->window_of);
	free(windows->items);
	free(windows->callees);
	free(windows);
}
