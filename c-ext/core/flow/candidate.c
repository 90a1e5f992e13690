/* SPDX-License-Identifier: MIT */
#include "flow/candidate.h"

#include "base/util.h"

struct picker {
	const struct cfg *cfg;
	const struct windows *windows;
	const struct plan_options *options;
	struct candidates *result;
};

static int32_t after(int32_t offset, const struct insn *insn)
{
	int64_t sum = (int64_t)offset - insn->stack;

	if (offset == PLAN_UNKNOWN_STACK || insn->stack == INSN_STACK_UNKNOWN || sum < INT16_MIN || sum > INT32_MAX)
		return PLAN_UNKNOWN_STACK;
	return (int32_t)sum;
}

int32_t candidates_stack_at(const struct candidates *candidates, const struct cfg *cfg, uint32_t block, uint32_t insn)
{
	int32_t offset = candidates->stack[block];

	for (uint32_t i = cfg->blocks[block].insn; i < insn; i++)
		offset = after(offset, &cfg->insns[i].insn);
	return offset;
}

/* Follows the stack pointer through the graph. Compilers keep it equal on all ways to a block, so the first one found
 * tells. */
static struct cs_error *follow_stack(const struct cfg *cfg, struct candidates *candidates)
{
	FREE bool *known = calloc(cfg->block_count, sizeof(*known));

	if (!known)
		return &cs_error_no_memory;
	known[CFG_ENTRY] = true;
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		const struct cfg_block *block = &cfg->blocks[i];
		int32_t end = candidates_stack_at(candidates, cfg, i, block->insn + block->insn_count);

		for (uint32_t k = block->next; k < block->next + block->next_count; k++) {
			uint32_t to = cfg->edges[k].to;

			if (!known[to])
				candidates->stack[to] = end;
			known[to] = true;
		}
	}
	return NULL;
}

/* An interrupt may be held off until after the next instruction, and a repeated string instruction may be resumed
 * in its midst: a stop there would not count what it seems to. Nor does any stand on an instruction that waits. */
static bool is_delicate(const struct cfg *cfg, const struct cfg_block *block, uint32_t index)
{
	const struct insn *insn = &cfg->insns[index].insn;

	return insn->repeats || insn_is_pause(insn) || (index > block->insn && cfg->insns[index - 1].insn.defers);
}

static bool is_allowed(const struct picker *picker, const struct cfg_block *block, uint32_t index)
{
	const struct cfg_insn *insn = &picker->cfg->insns[index];

	if (picker->windows->inside[index] && !picker->options->intrusive)
		return false;
	if (insn->flags & CFG_PATCHED && !picker->options->allow_patched)
		return false;
	return !is_delicate(picker->cfg, block, index);
}

/* Calls are left out because the kernel may rewrite any of them (call depth tracking), what may fault because it would
 * be hit again when it is restarted. */
static bool suits_block(const struct insn *insn)
{
	return insn->kind != INSN_CALL && insn->kind != INSN_CALL_INDIRECT && insn->kind != INSN_TRAP &&
	       insn->kind != INSN_HALT && !insn_is_clock_access(insn);
}

static double resumes(const struct insn *insn)
{
	return emulate_need(insn) == EMULATE_IMPOSSIBLE ? 2 : 1;
}

/* The instruction that tells at least cost that a block runs. */
static struct candidate pick_in_block(const struct picker *picker, const struct cfg_block *block)
{
	struct candidate best = {.roles = 0};

	for (uint32_t i = block->insn; i < block->insn + block->insn_count; i++) {
		const struct cfg_insn *insn = &picker->cfg->insns[i];
		double cost = resumes(&insn->insn);

		/* What is patched may not be what was analysed; the return's meaning alone is always the same. */
		if (!suits_block(&insn->insn) || insn->flags || !is_allowed(picker, block, i))
			continue;
		if (!best.roles || cost < best.resumes)
			best = (struct candidate){.roles = PLAN_BLOCK, .insn = i, .resumes = cost};
	}
	return best;
}

static struct candidate pick_exit(const struct picker *picker, const struct cfg_block *block)
{
	uint32_t last = block->insn + block->insn_count - 1;
	struct candidate result = {.insn = last, .fixed = true};

	if (block->next_count || !is_allowed(picker, block, last))
		return (struct candidate){.roles = 0};
	if (block->exits == CFG_RETURNS)
		result.roles = PLAN_RETURN | PLAN_BLOCK;
	else if (block->exits == CFG_TAIL_CALLS)
		result.roles = PLAN_TAIL | PLAN_BLOCK;
	else
		return (struct candidate){.roles = 0};
	result.resumes = resumes(&picker->cfg->insns[last].insn);
	return result;
}

static struct candidate pick(const struct picker *picker, uint32_t index)
{
	const struct cfg_block *block = &picker->cfg->blocks[index];
	uint32_t last = block->insn + block->insn_count - 1;
	bool leaves = block->exits & (CFG_RETURNS | CFG_TAIL_CALLS);
	uint32_t taken, not_taken;
	struct candidate result = {.roles = 0};

	if (cfg_decides(picker->cfg, index, &taken, &not_taken) && is_allowed(picker, block, last)) {
		result = (struct candidate){.roles = PLAN_BRANCH, .insn = last, .resumes = 1};
		result.fixed = leaves && picker->options->probe_returns;
		return result;
	}
	if (leaves && picker->options->probe_returns)
		result = pick_exit(picker, block);
	if (leaves && !result.roles)
		picker->result->returns_witnessed = false;
	return result.roles ? result : pick_in_block(picker, block);
}

/* Whether the entry probe may stand behind an instruction: nothing has happened yet that the invocation ought to be
 * charged with, and the stack pointer can still be told. */
static bool may_precede_entry(const struct picker *picker, uint32_t index)
{
	const struct cfg_insn *insn = &picker->cfg->insns[index];

	if (insn->flags & CFG_PATCHED && insn->site == SITE_MCOUNT)
		return true;
	return !insn->flags &&
	       (insn->insn.kind == INSN_OTHER || insn->insn.kind == INSN_NOP || insn->insn.kind == INSN_SELECT ||
		insn->insn.kind == INSN_TRUTH) &&
	       insn->insn.stack != INSN_STACK_UNKNOWN;
}

/* The entry probe stands on the first block's conditional jump where it can, which then costs nothing more; else on the
 * first instruction that can be emulated; else on the first that may carry a probe at all. */
static uint32_t place_entry(const struct picker *picker)
{
	const struct cfg_block *block = &picker->cfg->blocks[CFG_ENTRY];
	const struct candidate *own = &picker->result->blocks[CFG_ENTRY];
	uint32_t first = CFG_NONE, emulated = CFG_NONE;

	for (uint32_t i = block->insn; i < block->insn + block->insn_count; i++) {
		const struct insn *insn = &picker->cfg->insns[i].insn;
		bool allowed = is_allowed(picker, block, i);

		if (allowed && own->roles & (PLAN_BRANCH | PLAN_RETURN | PLAN_TAIL) && own->insn == i)
			return i;
		if (allowed && first == CFG_NONE)
			first = i;
		if (allowed && emulated == CFG_NONE && emulate_need(insn) != EMULATE_IMPOSSIBLE)
			emulated = i;
		if (!may_precede_entry(picker, i))
			break;
	}
	return emulated == CFG_NONE ? first : emulated;
}

/* What the entry probe tells beside the entry costs nothing. */
static void merge_entry(const struct picker *picker)
{
	struct candidates *result = picker->result;
	struct candidate *own = &result->blocks[CFG_ENTRY];
	const struct cfg_block *block = &picker->cfg->blocks[CFG_ENTRY];

	result->entry = place_entry(picker);
	if (result->entry == CFG_NONE)
		return;
	if (own->roles && own->insn == result->entry && own->roles != PLAN_BLOCK) {
		own->fixed = true;
	} else if (block->prev_count) {
		/* Each round of a loop through the entry meets the entry probe. */
		own->roles = PLAN_BLOCK;
		own->insn = result->entry;
		own->fixed = true;
	} else if (own->roles == PLAN_BLOCK) {
		own->roles = 0;
	}
}

struct cs_error *candidates_create(const struct cfg *cfg, const struct windows *windows,
				   const struct plan_options *options, struct candidates **ret)
{
	struct candidates *result = calloc(1, sizeof(*result));
	struct picker picker = {.cfg = cfg, .windows = windows, .options = options, .result = result};
	struct cs_error *error = NULL;

	if (!result)
		return &cs_error_no_memory;
	result->blocks = calloc(cfg->block_count, sizeof(*result->blocks));
	result->stack = calloc(cfg->block_count, sizeof(*result->stack));
	if (!result->blocks || !result->stack)
		error = &cs_error_no_memory;
	if (!error)
		error = follow_stack(cfg, result);
	if (error) {
		candidates_destroy(result);
		return error;
	}
	result->returns_witnessed = options->probe_returns;
	for (uint32_t i = 0; i < cfg->block_count; i++)
		result->blocks[i] = pick(&picker, i);
	merge_entry(&picker);
	*ret = result;
	return NULL;
}

void candidates_destroy(struct candidates *candidates)
{
	if (!candidates)
		return;
	free(candidates->blocks);
	free(candidates->stack);
	free(candidates);
}
