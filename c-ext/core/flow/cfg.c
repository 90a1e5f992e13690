/* SPDX-License-Identifier: MIT */
#include "flow/cfg.h"

#include <string.h>

#include "base/addresses.h"
#include "base/util.h"
#include "flow/code.h"
#include "flow/loops.h"

/* Blocks are first numbered in the order of their first instruction in `code`; `order` maps these numbers to those of
 * the graph. */
struct builder {
	const struct cfg_input *input;
	struct code *code;
	uint32_t *next;     /* by instruction: the one it falls through to, or CFG_NONE */
	bool *leader;       /* by instruction: it starts a block */
	uint32_t *block_of; /* by leading instruction */
	uint32_t *first;    /* by block: its first instruction, and its last */
	uint32_t *last;
	uint32_t block_count;
	uint32_t *order; /* by block: its number in the graph */
	uint32_t *edge_start;
	struct cfg_edge *edges; /* of blocks in the first numbering, grouped by `from` */
	uint32_t edge_count;
};

static void release(struct builder *builder)
{
	code_destroy(builder->code);
	free(builder->next);
	free(builder->leader);
	free(builder->block_of);
	free(builder->first);
	free(builder->last);
	free(builder->order);
	free(builder->edge_start);
	free(builder->edges);
}

static struct cs_error *allocate(struct builder *builder)
{
	size_t insns = builder->code->count;
	size_t edges = insns * 2 + builder->code->target_count;

	builder->next = calloc(insns, sizeof(*builder->next));
	builder->leader = calloc(insns, sizeof(*builder->leader));
	builder->block_of = calloc(insns, sizeof(*builder->block_of));
	builder->first = calloc(insns, sizeof(*builder->first));
	builder->last = calloc(insns, sizeof(*builder->last));
	builder->order = calloc(insns, sizeof(*builder->order));
	builder->edge_start = calloc(insns + 1, sizeof(*builder->edge_start));
	builder->edges = calloc(edges, sizeof(*builder->edges));
	if (!builder->next || !builder->leader || !builder->block_of || !builder->first || !builder->last ||
	    !builder->order || !builder->edge_start || !builder->edges)
		return &cs_error_no_memory;
	return NULL;
}

/* Finds which instruction follows each one; where control runs into nothing, that becomes an exit. */
static void link_instructions(struct builder *builder)
{
	struct code *code = builder->code;

	for (uint32_t i = 0; i < code->count; i++) {
		struct code_insn *insn = &code->insns[i];
		uint64_t address = insn_next(&insn->base.insn);

		builder->next[i] = CFG_NONE;
		if (insn->falls || insn->perhaps)
			builder->next[i] = code_at(code, builder->input, address);
		if (insn->falls && builder->next[i] == CFG_NONE)
			insn->exits |= code_part(builder->input, address) ? CFG_UNKNOWN : CFG_TAIL_CALLS;
		for (uint32_t k = 0; k < insn->target_count; k++)
			if (code_at(code, builder->input, code->targets[insn->targets + k].address) == CFG_NONE)
				insn->exits |= CFG_UNKNOWN;
	}
}

/* A block starts at each target, after each instruction with several ways out, and where runs meet. */
static void mark_leaders(struct builder *builder)
{
	const struct code *code = builder->code;

	builder->leader[0] = true;
	for (uint32_t i = 0; i < code->count; i++) {
		const struct code_insn *insn = &code->insns[i];
		uint32_t next = builder->next[i];

		for (uint32_t k = 0; k < insn->target_count; k++) {
			uint32_t at = code_at(code, builder->input, code->targets[insn->targets + k].address);

			if (at != CFG_NONE)
				builder->leader[at] = true;
		}
		if (next != CFG_NONE && (insn->target_count || insn->exits || next != i + 1))
			builder->leader[next] = true;
		if (i + 1 < code->count && next != i + 1)
			builder->leader[i + 1] = true;
	}
}

static void form_blocks(struct builder *builder)
{
	for (uint32_t i = 0; i < builder->code->count; i++) {
		if (builder->leader[i]) {
			builder->block_of[i] = builder->block_count;
			builder->first[builder->block_count++] = i;
		}
		builder->last[builder->block_count - 1] = i;
	}
}

static void add_edge(struct builder *builder, uint32_t from, uint32_t insn, enum cfg_edge_kind kind)
{
	uint32_t to = builder->block_of[insn];

	for (uint32_t i = builder->edge_start[from]; i < builder->edge_count; i++)
		if (builder->edges[i].to == to)
			return;
	builder->edges[builder->edge_count++] = (struct cfg_edge){.from = from, .to = to, .kind = kind};
}

static void form_edges(struct builder *builder)
{
	const struct code *code = builder->code;

	for (uint32_t i = 0; i < builder->block_count; i++) {
		uint32_t last = builder->last[i];
		const struct code_insn *insn = &code->insns[last];

		builder->edge_start[i] = builder->edge_count;
		if (builder->next[last] != CFG_NONE)
			add_edge(builder, i, builder->next[last], insn->falls ? CFG_FALLTHROUGH : CFG_ALTERNATE);
		for (uint32_t k = 0; k < insn->target_count; k++) {
			const struct code_target *target = &code->targets[insn->targets + k];
			uint32_t at = code_at(code, builder->input, target->address);

			if (at != CFG_NONE)
				add_edge(builder, i, at, target->kind);
		}
	}
	builder->edge_start[builder->block_count] = builder->edge_count;
}

/* Numbers the blocks in reverse post-order of a depth-first walk from the entry; all of them can be reached. The
 * numbers are given from the highest down as the walk leaves the blocks. */
static struct cs_error *order_blocks(struct builder *builder)
{
	FREE uint32_t *stack = calloc(builder->block_count, sizeof(*stack));
	FREE uint32_t *cursor = calloc(builder->block_count, sizeof(*cursor));
	uint32_t depth = 0, number = builder->block_count;

	if (!stack || !cursor)
		return &cs_error_no_memory;
	/* Cursors count from 1, 0 is a block not yet seen. Edges are walked from the last to the first, so that what is
	 * fallen through to comes next in the order. */
	stack[depth++] = 0;
	cursor[0] = builder->edge_start[1] + 1;
	while (depth) {
		uint32_t block = stack[depth - 1];

		if (cursor[block] - 1 > builder->edge_start[block]) {
			uint32_t to = builder->edges[--cursor[block] - 1].to;

			if (!cursor[to]) {
				cursor[to] = builder->edge_start[to + 1] + 1;
				stack[depth++] = to;
			}
		} else {
			builder->order[block] = --number;
			depth--;
		}
	}
	return NULL;
}

static struct cs_error *allocate_graph(const struct builder *builder, struct cfg *cfg)
{
	cfg->insns = calloc(builder->code->count, sizeof(*cfg->insns));
	cfg->blocks = calloc(builder->block_count, sizeof(*cfg->blocks));
	cfg->edges = calloc(builder->edge_count + 1, sizeof(*cfg->edges));
	cfg->backward = calloc(builder->edge_count + 1, sizeof(*cfg->backward));
	cfg->by_address = calloc(builder->block_count, sizeof(*cfg->by_address));
	if (!cfg->insns || !cfg->blocks || !cfg->edges || !cfg->backward || !cfg->by_address)
		return &cs_error_no_memory;
	cfg->insn_count = builder->code->count;
	cfg->block_count = builder->block_count;
	cfg->edge_count = builder->edge_count;
	return NULL;
}

static void copy_block(const struct builder *builder, uint32_t from, struct cfg *cfg, uint32_t *insns, uint32_t *edges)
{
	const struct code_insn *code = builder->code->insns;
	uint32_t to = builder->order[from];
	struct cfg_block *block = &cfg->blocks[to];
	const struct cfg_code *part = code_part(builder->input, cfg->entry);

	block->start = code[builder->first[from]].base.insn.address;
	block->end = insn_next(&code[builder->last[from]].base.insn);
	block->insn = *insns;
	block->insn_count = builder->last[from] - builder->first[from] + 1;
	block->next = *edges;
	block->next_count = builder->edge_start[from + 1] - builder->edge_start[from];
	block->dominator = CFG_NONE;
	block->loop = CFG_NONE;
	block->exits = code[builder->last[from]].exits;
	block->cold = block->start - part->address >= part->size;
	cfg->complete &= !(block->exits & CFG_UNKNOWN);
	for (uint32_t i = builder->first[from]; i <= builder->last[from]; i++)
		cfg->insns[(*insns)++] = code[i].base;
	for (uint32_t i = builder->edge_start[from]; i < builder->edge_start[from + 1]; i++) {
		cfg->edges[*edges] = builder->edges[i];
		cfg->edges[*edges].from = to;
		cfg->edges[(*edges)++].to = builder->order[builder->edges[i].to];
	}
}

/* Copies blocks, instructions and edges in the graph's order. */
static void copy_graph(const struct builder *builder, struct cfg *cfg, uint32_t *old_number)
{
	uint32_t insns = 0, edges = 0;

	for (uint32_t i = 0; i < builder->block_count; i++)
		old_number[builder->order[i]] = i;
	for (uint32_t i = 0; i < cfg->block_count; i++)
		copy_block(builder, old_number[i], cfg, &insns, &edges);
}

static void link_backward(struct cfg *cfg)
{
	uint32_t start = 0;

	for (uint32_t i = 0; i < cfg->edge_count; i++)
		cfg->blocks[cfg->edges[i].to].prev_count++;
	for (uint32_t i = 0; i < cfg->block_count; i++) {
		cfg->blocks[i].prev = start;
		start += cfg->blocks[i].prev_count;
		cfg->blocks[i].prev_count = 0;
	}
	for (uint32_t i = 0; i < cfg->edge_count; i++) {
		struct cfg_block *to = &cfg->blocks[cfg->edges[i].to];

		cfg->backward[to->prev + to->prev_count++] = i;
	}
}

struct by_address {
	uint64_t start;
	uint32_t block;
};

static struct cs_error *sort_by_address(struct cfg *cfg)
{
	FREE struct by_address *sorted = calloc(cfg->block_count, sizeof(*sorted));

	if (!sorted)
		return &cs_error_no_memory;
	for (uint32_t i = 0; i < cfg->block_count; i++)
		sorted[i] = (struct by_address){.start = cfg->blocks[i].start, .block = i};
	qsort(sorted, cfg->block_count, sizeof(*sorted), address_compare);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		cfg->by_address[i] = sorted[i].block;
	return NULL;
}

static struct cs_error *build(struct builder *builder, struct cfg *cfg)
{
	FREE uint32_t *old_number = NULL;

	CS_TRY(allocate(builder));
	link_instructions(builder);
	mark_leaders(builder);
	form_blocks(builder);
	form_edges(builder);
	CS_TRY(order_blocks(builder));
	CS_TRY(allocate_graph(builder, cfg));
	old_number = calloc(builder->block_count, sizeof(*old_number));
	if (!old_number)
		return &cs_error_no_memory;
	copy_graph(builder, cfg, old_number);
	link_backward(cfg);
	CS_TRY(sort_by_address(cfg));
	return loops_find(cfg);
}

struct cs_error *cfg_create(struct insn_decoder *decoder, const struct cfg_input *input, struct cfg **ret)
{
	struct builder builder CLEANUP(release) = {.input = input};
	struct cs_error *error;
	struct cfg *cfg;

	if (!code_part(input, input->entry))
		return cs_error_create(CS_ERROR_FORMAT, "no code at the function's entry 0x%llx",
				       (unsigned long long)input->entry);
	CS_TRY(code_create(decoder, input, &builder.code));
	if (!builder.code->count)
		return cs_error_create(CS_ERROR_FORMAT, "no instruction at the function's entry 0x%llx",
				       (unsigned long long)input->entry);
	cfg = calloc(1, sizeof(*cfg));
	if (!cfg)
		return &cs_error_no_memory;
	cfg->entry = input->entry;
	cfg->complete = true;
	error = build(&builder, cfg);
	if (error) {
		cfg_destroy(cfg);
		return error;
	}
	*ret = cfg;
	return NULL;
}

void cfg_destroy(struct cfg *cfg)
{
	if (!cfg)
		return;
	free(cfg->insns);
	free(cfg->blocks);
	free(cfg->edges);
	free(cfg->backward);
	free(cfg->loops);
	free(cfg->by_address);
	free(cfg);
}

uint32_t cfg_block_at(const struct cfg *cfg, uint64_t address)
{
	uint32_t low = 0, high = cfg->block_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (cfg->blocks[cfg->by_address[middle]].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* Blocks overlap only where code jumps into the middle of an instruction. */
	while (low-- > 0)
		if (address < cfg->blocks[cfg->by_address[low]].end)
			return cfg->by_address[low];
	return CFG_NONE;
}

static uint32_t insn_in(const struct cfg *cfg, const struct cfg_block *block, uint64_t address)
{
	for (uint32_t i = 0; i < block->insn_count; i++)
		if (cfg->insns[block->insn + i].insn.address == address)
			return block->insn + i;
	return CFG_NONE;
}

uint32_t cfg_insn_at(const struct cfg *cfg, uint64_t address)
{
	uint32_t block = cfg_block_at(cfg, address);
	uint32_t found = block == CFG_NONE ? CFG_NONE : insn_in(cfg, &cfg->blocks[block], address);

	for (uint32_t i = 0; i < cfg->block_count && found == CFG_NONE && block != CFG_NONE; i++)
		found = insn_in(cfg, &cfg->blocks[i], address);
	return found;
}

const struct cfg_insn *cfg_last(const struct cfg *cfg, uint32_t block)
{
	return &cfg->insns[cfg->blocks[block].insn + cfg->blocks[block].insn_count - 1];
}

uint32_t cfg_comparison(const struct cfg *cfg, uint32_t block)
{
	const struct cfg_block *at = &cfg->blocks[block];

	for (uint32_t i = at->insn + at->insn_count - 1; i-- > at->insn;)
		if (cfg->insns[i].insn.writes_flags)
			return i;
	return CFG_NONE;
}

bool cfg_decides(const struct cfg *cfg, uint32_t block, uint32_t *taken_ret, uint32_t *not_taken_ret)
{
	const struct cfg_block *from = &cfg->blocks[block];
	const struct cfg_insn *last = cfg_last(cfg, block);

	if (last->insn.kind != INSN_BRANCH || last->flags || from->next_count + (from->exits != 0) != 2)
		return false;
	*taken_ret = *not_taken_ret = CFG_NONE;
	for (uint32_t i = 0; i < from->next_count; i++) {
		const struct cfg_edge *edge = &cfg->edges[from->next + i];

		if (edge->kind == CFG_TAKEN)
			*taken_ret = edge->to;
		else if (edge->kind == CFG_FALLTHROUGH)
			*not_taken_ret = edge->to;
	}
	return true;
}

const char *cfg_edge_name(enum cfg_edge_kind kind)
{
	static const char *const names[] = {
		[CFG_FALLTHROUGH] = "next", [CFG_TAKEN] = "taken",         [CFG_JUMP] = "jump",
		[CFG_TABLE] = "table",      [CFG_ALTERNATE] = "alternate",
	};

	return names[kind];
}
