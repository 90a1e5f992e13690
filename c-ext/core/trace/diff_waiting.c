/* SPDX-License-Identifier: MIT */
#include "trace/diff_waiting.h"

#include <string.h>

#include "trace/sql.h"

/* Loops nest no deeper in what people write; a hostile file may say so. */
#define DEPTH_MAX 8

static const char blocks_sql[] =
	"SELECT DISTINCT b.number FROM block b JOIN window w ON w.function = b.function AND w.polls"
	" AND b.from_address >= w.from_address AND b.from_address < w.to_address WHERE b.function = ?";

/* What Tarjan's algorithm knows of a block, without recursion: a hostile file's functions have a million of them. */
struct visit {
	uint32_t index, low; /* 0: not visited */
	size_t edge;         /* the next to follow */
	uint32_t back;       /* where the walk came from */
	uint32_t part;       /* the component; DIFF_NONE: not complete yet */
	bool on_stack;
};

struct search {
	struct diff_code *code;
	bool *inside; /* by block: looked at in this round */
	struct visit *visits;
	uint32_t *stack;
	uint32_t *header; /* by component: its lowest block with an edge from outside */
	uint32_t *size;   /* by component; a block that leads to itself counts twice */
	bool *outer;      /* by a loop's header: there are loops in it */
	size_t stacked;
	uint32_t next_index, parts;
};

static void search_release(struct search *search)
{
	free(search->inside);
	free(search->visits);
	free(search->stack);
	free(search->header);
	free(search->size);
	free(search->outer);
}

static struct cs_error *search_create(struct diff_code *code, struct search *ret)
{
	size_t room = (size_t)code->block_count + 1;

	ret->code = code;
	ret->inside = calloc(room, sizeof(*ret->inside));
	ret->visits = calloc(room, sizeof(*ret->visits));
	ret->stack = calloc(room, sizeof(*ret->stack));
	ret->header = calloc(room, sizeof(*ret->header));
	ret->size = calloc(room, sizeof(*ret->size));
	ret->outer = calloc(room, sizeof(*ret->outer));
	code->waiting = arena_allocate(&code->arena, room * sizeof(*code->waiting));
	if (!ret->inside || !ret->visits || !ret->stack || !ret->header || !ret->size || !ret->outer)
		return &cs_error_no_memory;
	if (code->waiting)
		memset(code->waiting, 0xff, room * sizeof(*code->waiting));
	return NULL;
}

static struct cs_error *read_blocks(struct trace *trace, struct search *search, bool *any)
{
	SQL_STATEMENT *row = NULL;
	bool is_row = true;

	CS_TRY(trace_prepare(trace, blocks_sql, &row));
	sqlite3_bind_int64(row, 1, search->code->function);
	*any = false;
	for (;;) {
		int64_t block;

		CS_TRY(trace_step(trace, row, &is_row));
		if (!is_row)
			return NULL;
		block = sqlite3_column_int64(row, 0);
		if (block >= 0 && block < search->code->block_count)
			*any = search->inside[block] = true;
	}
}

static void enter(struct search *search, uint32_t block, uint32_t back)
{
	search->visits[block] = (struct visit){
		.index = ++search->next_index,
		.low = search->next_index,
		.edge = search->code->first_edge[block],
		.back = back,
		.part = DIFF_NONE,
		.on_stack = true,
	};
	search->stack[search->stacked++] = block;
}

/* Follows one edge of a block: the block that it entered, or the block itself. */
static uint32_t follow(struct search *search, uint32_t block)
{
	uint32_t to = search->code->edges[search->visits[block].edge++].target;
	struct visit *visit = &search->visits[block], *other = &search->visits[to];

	if (!search->inside[to])
		return block;
	if (!other->index) {
		enter(search, to, block);
		return to;
	}
	if (other->on_stack && other->index < visit->low)
		visit->low = other->index;
	return block;
}

/* Takes a whole component off the stack. */
static void complete(struct search *search, uint32_t block)
{
	uint32_t part = search->parts++, member;

	search->size[part] = 0;
	search->header[part] = DIFF_NONE;
	do {
		member = search->stack[--search->stacked];
		search->visits[member].on_stack = false;
		search->visits[member].part = part;
		search->size[part]++;
	} while (member != block);
}

/* The components of the blocks that are inside. */
static void find_parts(struct search *search, uint32_t root)
{
	uint32_t block = root;

	enter(search, root, DIFF_NONE);
	while (block != DIFF_NONE) {
		struct visit *visit = &search->visits[block];
		uint32_t back = visit->back;

		if (visit->edge < search->code->first_edge[block + 1]) {
			block = follow(search, block);
			continue;
		}
		if (visit->low == visit->index)
			complete(search, block);
		if (back != DIFF_NONE && visit->low < search->visits[back].low)
			search->visits[back].low = visit->low;
		block = back;
	}
}

static bool is_in(const struct search *search, uint32_t block, uint32_t part)
{
	return search->inside[block] && search->visits[block].part == part;
}

/* What each component is entered by, and which is a single block that leads to itself. */
static void find_headers(struct search *search)
{
	for (size_t i = 0; i < search->code->edge_count; i++) {
		const struct diff_edge *edge = &search->code->edges[i];
		uint32_t part;

		if (!search->inside[edge->target])
			continue;
		part = search->visits[edge->target].part;
		if (edge->source == edge->target)
			search->size[part]++;
		else if (!is_in(search, edge->source, part) && edge->target < search->header[part])
			search->header[part] = edge->target;
	}
	for (uint32_t block = 0; block < search->code->block_count; block++)
		if (search->inside[block] && search->header[search->visits[block].part] == DIFF_NONE)
			search->header[search->visits[block].part] = block; /* nothing leads there */
}

/* One round: each component that is a loop gets its header for a name, in place of the loop around it, and loses that
 * block, so that the next round finds what is a loop without it. False: there was none. */
static bool name_loops(struct search *search)
{
	struct diff_code *code = search->code;
	bool found = false;

	search->next_index = search->parts = 0;
	memset(search->visits, 0, code->block_count * sizeof(*search->visits));
	for (uint32_t block = 0; block < code->block_count; block++)
		if (search->inside[block] && !search->visits[block].index)
			find_parts(search, block);
	find_headers(search);
	for (uint32_t block = 0; block < code->block_count; block++) {
		uint32_t part = search->visits[block].part;
		bool is_loop = search->inside[block] && search->size[part] > 1;

		if (is_loop) {
			if (code->waiting[block] != DIFF_NONE)
				search->outer[code->waiting[block]] = true;
			code->waiting[block] = search->header[part];
			found = true;
		}
		if (!is_loop || block == search->header[part])
			search->inside[block] = false;
	}
	return found;
}

struct cs_error *diff_waiting_read(struct trace *trace, struct diff_code *code)
{
	CLEANUP(search_release) struct search search = {0};
	bool any;

	CS_TRY(search_create(code, &search));
	if (!code->waiting)
		return NULL; /* the arena tells */
	CS_TRY(read_blocks(trace, &search, &any));
	for (int depth = 0; any && depth < DEPTH_MAX; depth++)
		any = name_loops(&search);
	/* What is left of a loop around others is no waiting. */
	for (uint32_t block = 0; block < code->block_count; block++)
		if (code->waiting[block] != DIFF_NONE && search.outer[code->waiting[block]])
			code->waiting[block] = DIFF_NONE;
	return NULL;
}

bool diff_waiting_leaves(const struct diff_code *code, uint32_t branch, bool taken)
{
	uint32_t block = code->branches[branch].block;

	for (size_t i = code->first_edge[block]; i < code->first_edge[block + 1]; i++)
		if (code->edges[i].taken == taken)
			return code->waiting[code->edges[i].target] != code->waiting[block];
	return true; /* to another function */
}
