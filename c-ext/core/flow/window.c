/* SPDX-License-Identifier: MIT */
#include "flow/window.h"

#include <string.h>

#include "arch/operands.h"
#include "base/addresses.h"
#include "base/util.h"
#include "flow/waiting.h"

bool window_calls_pointer(const struct cfg_block *block, const struct cfg_insn *insn, const uint64_t *thunks)
{
	bool patched = insn->flags & CFG_PATCHED && (insn->site == SITE_PARAVIRT || insn->site == SITE_ALTERNATIVE);

	switch (insn->insn.kind) {
	case INSN_CALL_INDIRECT: return !patched;
	case INSN_JUMP_INDIRECT: return block->exits & (CFG_TAIL_CALLS | CFG_UNKNOWN);
	case INSN_CALL:
	case INSN_JUMP: return insn->insn.target - thunks[0] < thunks[1] - thunks[0];
	case INSN_OTHER:
	case INSN_NOP:
	case INSN_BRANCH:
	case INSN_RETURN:
	case INSN_TRAP:
	case INSN_HALT:
	case INSN_SELECT:
	case INSN_TRUTH:
	case INSN_CLOCK:
	case INSN_COUNTER:
	case INSN_PORT_READ:
	case INSN_PORT_WRITE:
	case INSN_SYSTEM_READ:
	case INSN_SYSTEM_WRITE:
	case INSN_IDENTIFY: return false;
	}
	return false;
}

/* One function while its windows are looked for. */
struct search {
	struct insn_decoder *decoder;
	const struct cfg *cfg;
	const struct window_hints *hints;
	bool measuring;
	bool measures;
	bool *reads; /* by instruction */
	bool *waits; /* by loop */
};

static void search_release(struct search *search)
{
	free(search->reads);
	free(search->waits);
}

/* Whether a clock is read here: by the instruction itself or by the function it calls; in a measuring function, whether
 * it may be. */
static struct cs_error *judge(const struct search *search, const struct cfg_block *block, const struct cfg_insn *insn,
			      bool *ret)
{
	const struct window_hints *hints = search->hints;
	bool direct = insn->insn.kind == INSN_CALL || insn->insn.kind == INSN_JUMP;
	uint64_t target = insn->insn.target;

	*ret = insn_is_clock_access(&insn->insn) ||
	       (direct && addresses_hold(hints->references, hints->reference_count, target));
	if (*ret || !search->measuring)
		return NULL;
	*ret = window_calls_pointer(block, insn, hints->indirect_thunks);
	/* What measures does so within itself. */
	if (*ret || !direct || !hints->reads || addresses_hold(hints->measuring, hints->measuring_count, target))
		return NULL;
	return hints->reads(hints->context, target, ret);
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

static struct cs_error *allocate(const struct cfg *cfg, size_t pointees, struct flow *flow, struct windows *windows)
{
	flow->reads = calloc(cfg->block_count, sizeof(bool));
	flow->before = calloc(cfg->block_count, sizeof(bool));
	flow->after = calloc(cfg->block_count, sizeof(bool));
	windows->inside = calloc(cfg->insn_count, sizeof(bool));
	windows->window_of = malloc(cfg->block_count * sizeof(*windows->window_of));
	windows->items = calloc(cfg->block_count, sizeof(*windows->items));
	windows->callees = calloc(cfg->insn_count + pointees, sizeof(*windows->callees));
	windows->pointers = calloc(cfg->insn_count, sizeof(*windows->pointers));
	if (!flow->reads || !flow->before || !flow->after || !windows->inside || !windows->window_of ||
	    !windows->items || !windows->callees || !windows->pointers)
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

static bool waits_at(const struct search *search, uint32_t block)
{
	const struct cfg *cfg = search->cfg;

	for (uint32_t i = cfg->blocks[block].loop; i != CFG_NONE; i = cfg->loops[i].parent)
		if (search->waits[i])
			return true;
	return false;
}

static void mark_waiting(const struct search *search, struct windows *windows)
{
	for (uint32_t i = 0; i < search->cfg->block_count; i++) {
		const struct cfg_block *block = &search->cfg->blocks[i];

		if (waits_at(search, i))
			memset(windows->inside + block->insn, true, block->insn_count * sizeof(*windows->inside));
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
static struct cs_error *join_windows(const struct search *search, const struct flow *flow, struct windows *windows)
{
	const struct cfg *cfg = search->cfg;
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
			window->polls |= block->loop != CFG_NONE && (flow->reads[at] || waits_at(search, at));
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
static void list_callees(const struct search *search, struct windows *windows)
{
	const struct cfg *cfg = search->cfg;
	const struct window_hints *hints = search->hints;

	for (uint32_t i = 0; i < cfg->insn_count; i++)
		if (cfg->insns[i].insn.kind == INSN_CALL && (windows->inside[i] || search->reads[i]))
			windows->callees[windows->callee_count++] = cfg->insns[i].insn.target;
	for (size_t i = 0; search->measuring && i < hints->pointee_count; i++)
		windows->callees[windows->callee_count++] = hints->pointees[i];
	windows->callee_count = (uint32_t)addresses_sort(windows->callees, windows->callee_count);
}

/* Where a pointer may lie that is called through. */
static void list_pointers(const struct search *search, struct windows *windows)
{
	const struct cfg *cfg = search->cfg;

	for (uint32_t i = 0; search->measuring && i < cfg->insn_count; i++) {
		struct operands operands;

		operands_of(search->decoder, &cfg->insns[i].insn, &operands);
		if (operands.memory.size == 8 && operands.memory.base < 0 && operands.memory.index < 0)
			windows->pointers[windows->pointer_count++] = (uint64_t)operands.memory.displacement;
	}
	windows->pointer_count = (uint32_t)addresses_sort(windows->pointers, windows->pointer_count);
}

static bool calls_measuring(const struct window_hints *hints, const struct insn *insn)
{
	return (insn->kind == INSN_CALL || insn->kind == INSN_JUMP) &&
	       addresses_hold(hints->measuring, hints->measuring_count, insn->target);
}

static struct cs_error *prepare(struct search *search)
{
	const struct cfg *cfg = search->cfg;

	search->measuring = addresses_hold(search->hints->measuring, search->hints->measuring_count, cfg->entry);
	search->reads = calloc(cfg->insn_count, sizeof(*search->reads));
	search->waits = calloc((size_t)cfg->loop_count + 1, sizeof(*search->waits));
	if (!search->reads || !search->waits)
		return &cs_error_no_memory;
	waiting_find(search->decoder, cfg, search->waits);
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];

		for (uint32_t k = block->insn; k < block->insn + block->insn_count; k++) {
			CS_TRY(judge(search, block, &cfg->insns[k], &search->reads[k]));
			search->measures |= search->reads[k] || calls_measuring(search->hints, &cfg->insns[k].insn);
		}
	}
	for (uint32_t i = 0; i < cfg->loop_count; i++)
		search->measures |= search->waits[i];
	return NULL;
}

static struct cs_error *analyse(struct search *search, struct windows *windows)
{
	const struct cfg *cfg = search->cfg;
	struct flow flow CLEANUP(release) = {.reads = NULL};

	CS_TRY(prepare(search));
	CS_TRY(allocate(cfg, search->hints->pointee_count, &flow, windows));
	for (uint32_t i = 0; i < cfg->block_count; i++)
		for (uint32_t k = cfg->blocks[i].insn; k < cfg->blocks[i].insn + cfg->blocks[i].insn_count; k++)
			flow.reads[i] |= search->reads[k];
	spread(cfg, &flow);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		mark_block(cfg, i, &flow, search->reads, windows);
	mark_waiting(search, windows);
	list_callees(search, windows);
	list_pointers(search, windows);
	windows->measures = search->measures;
	return join_windows(search, &flow, windows);
}

struct cs_error *windows_create(struct insn_decoder *decoder, const struct cfg *cfg, const struct window_hints *hints,
				struct windows **ret)
{
	static const struct window_hints none;
	struct search search CLEANUP(search_release) = {.decoder = decoder, .cfg = cfg, .hints = hints ? hints : &none};
	struct windows *windows = calloc(1, sizeof(*windows));
	struct cs_error *error = windows ? analyse(&search, windows) : &cs_error_no_memory;

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
	free(windows->pointers);
	free(windows);
}
