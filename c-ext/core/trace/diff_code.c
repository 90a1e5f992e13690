/* SPDX-License-Identifier: MIT */
#include "trace/diff_code.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "trace/sql.h"

/* No compiler makes a function of so many blocks; a hostile file may say so. */
#define BLOCKS_MAX 1000000
#define MEMORY_LIMIT ((size_t)256 << 20)

static const char *text(struct diff_code *code, sqlite3_stmt *row, int column)
{
	const char *found = (const char *)sqlite3_column_text(row, column);

	return found ? arena_copy(&code->arena, found, strlen(found)) : "";
}

static const char *trim(const char *line)
{
	return line + strspn(line, " \t");
}

/* The name by which a branch is known again: its line's text, or where the line stands in the function. */
static const char *make_key(struct diff_code *code, sqlite3_stmt *row)
{
	const char *inlined = text(code, row, 4);
	const char *source = text(code, row, 5);
	FREE char *key = NULL;
	int length;

	if (*source)
		length = asprintf(&key, "%s: %s", inlined, trim(source));
	else
		length = asprintf(&key, "%s+%" PRId64 " %s", inlined, (int64_t)sqlite3_column_int64(row, 6),
				  text(code, row, 7));
	if (length < 0) {
		code->arena.exhausted = true;
		key = NULL;
		return "";
	}
	return arena_copy(&code->arena, key, (size_t)length);
}

static void take_branch(struct diff_code *code, sqlite3_stmt *row)
{
	struct diff_branch *branch =
		arena_append(&code->arena, (void **)&code->branches, &code->count, sizeof(*branch));

	if (branch)
		*branch = (struct diff_branch){
			.address = (uint64_t)sqlite3_column_int64(row, 0),
			.block = (uint32_t)sqlite3_column_int64(row, 1),
			.line = sqlite3_column_int64(row, 2),
			.condition = text(code, row, 3),
			.key = make_key(code, row),
			.pair = DIFF_NONE,
		};
}

static void take_edge(struct diff_code *code, sqlite3_stmt *row)
{
	struct diff_edge *edge = arena_append(&code->arena, (void **)&code->edges, &code->edge_count, sizeof(*edge));

	if (edge)
		*edge = (struct diff_edge){
			.source = (uint32_t)sqlite3_column_int64(row, 0),
			.target = (uint32_t)sqlite3_column_int64(row, 1),
			.taken = sqlite3_column_int(row, 2) != 0,
		};
}

static void take_function(struct diff_code *code, sqlite3_stmt *row)
{
	code->entry = (uint64_t)sqlite3_column_int64(row, 0);
	code->block_count = (uint32_t)sqlite3_column_int64(row, 1);
}

static const struct {
	const char *sql;
	void (*take)(struct diff_code *code, sqlite3_stmt *row);
} questions[] = {
	{"SELECT f.entry, coalesce((SELECT max(number) + 1 FROM block WHERE function = f.id), 0)"
	 " FROM function f WHERE f.id = ?",
	 take_function},
	/* A line of the function's own file is told by its distance, so that other changes of the file do not count. */
	{"SELECT i.address, i.block, i.line, i.condition, i.inlined, s.text,"
	 " CASE WHEN i.file = f.file THEN i.line - f.line ELSE i.line END,"
	 " CASE WHEN i.file = f.file THEN '' ELSE i.file END"
	 " FROM instruction i JOIN function f ON f.id = i.function"
	 " LEFT JOIN source s ON s.file = i.file AND s.line = i.line"
	 " WHERE i.function = ? AND i.kind = 'branch' ORDER BY i.address",
	 take_branch},
	{"SELECT source, target, kind = 'taken' FROM edge WHERE function = ? ORDER BY source, target, kind", take_edge},
};

static struct cs_error *ask(struct diff_code *code, struct trace *trace, size_t question)
{
	SQL_STATEMENT *row = NULL;
	bool is_row = true;

	CS_TRY(trace_prepare(trace, questions[question].sql, &row));
	sqlite3_bind_int64(row, 1, code->function);
	while (is_row && !code->arena.exhausted) {
		CS_TRY(trace_step(trace, row, &is_row));
		if (is_row)
			questions[question].take(code, row);
	}
	return NULL;
}

/* The rows refer to each other by number: hold those numbers against what there is. */
static struct cs_error *check(const struct diff_code *code, const char *name)
{
	bool fits = code->block_count <= BLOCKS_MAX;

	for (size_t i = 0; fits && i < code->count; i++)
		fits = code->branches[i].block < code->block_count;
	for (size_t i = 0; fits && i < code->edge_count; i++)
		fits = code->edges[i].source < code->block_count && code->edges[i].target < code->block_count;
	if (fits)
		return NULL;
	return cs_error_create(CS_ERROR_FORMAT,
			       "%s is damaged: function %" PRId64 " names blocks that it does not have", name,
			       code->function);
}

static void index_branches(struct diff_code *code)
{
	code->branch_of = arena_allocate(&code->arena, (code->block_count + 1) * sizeof(*code->branch_of));
	if (!code->branch_of)
		return;
	memset(code->branch_of, 0xff, code->block_count * sizeof(*code->branch_of));
	for (size_t i = 0; i < code->count; i++)
		code->branch_of[code->branches[i].block] = (uint32_t)i;
}

static void index_edges(struct diff_code *code)
{
	size_t edge = 0;

	code->first_edge = arena_allocate(&code->arena, (code->block_count + 1) * sizeof(*code->first_edge));
	for (uint32_t block = 0; code->first_edge && block <= code->block_count; block++) {
		while (edge < code->edge_count && code->edges[edge].source < block)
			edge++;
		code->first_edge[block] = edge;
	}
}

struct cs_error *diff_code_read(struct trace *trace, int64_t function, struct diff_code *code)
{
	*code = (struct diff_code){.arena = {.limit = MEMORY_LIMIT}, .function = function};
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		CS_TRY(ask(code, trace, i));
	if (!code->block_count)
		return cs_error_create(CS_ERROR_NOT_FOUND, "%s has no function %" PRId64, trace_path(trace), function);
	CS_TRY(check(code, trace_path(trace)));
	index_branches(code);
	index_edges(code);
	if (code->arena.exhausted)
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: function %" PRId64 " takes more than %zu MiB",
				       trace_path(trace), function, MEMORY_LIMIT >> 20);
	return NULL;
}

void diff_code_release(struct diff_code *code)
{
	arena_release(&code->arena);
}

static bool is_same(const struct diff_code *a, const struct diff_code *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->branches[i].address - a->entry != b->branches[i].address - b->entry ||
		    strcmp(a->branches[i].condition, b->branches[i].condition) != 0)
			return false;
	return true;
}

/* Condition codes that differ in their lowest bit are each other's opposites: Intel SDM vol. 2, B.1.4.7. */
static bool is_opposite(const char *condition, const char *other)
{
	static const char *const pairs[][2] = {{"o", "no"}, {"b", "ae"}, {"e", "ne"}, {"be", "a"},
					       {"s", "ns"}, {"p", "np"}, {"l", "ge"}, {"le", "g"}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		for (size_t k = 0; k < 2; k++)
			if (!strcmp(condition, pairs[i][k]) && !strcmp(other, pairs[i][1 - k]))
				return true;
	return false;
}

/* A comparison with its operands exchanged cannot be told from another one: it stays without a counterpart. */
static void pair_branches(struct diff_code *a, struct diff_code *b, uint32_t in_a, uint32_t in_b)
{
	struct diff_branch *first = &a->branches[in_a];
	struct diff_branch *second = &b->branches[in_b];
	bool inverted = is_opposite(first->condition, second->condition);

	if (!inverted && strcmp(first->condition, second->condition) != 0)
		return;
	first->pair = in_b;
	second->pair = in_a;
	first->inverted = second->inverted = inverted;
}

static int compare_branches(const void *left, const void *right, void *context)
{
	const struct diff_branch *branches = context;
	const struct diff_branch *a = &branches[*(const uint32_t *)left];
	const struct diff_branch *b = &branches[*(const uint32_t *)right];
	int keys = strcmp(a->key, b->key);

	if (keys)
		return keys;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return (a->address > b->address) - (a->address < b->address);
}

/* The branches' indices, by key; the caller frees it. NULL: no memory. */
static uint32_t *sorted(const struct diff_code *code)
{
	uint32_t *order = calloc(code->count + 1, sizeof(*order));

	for (size_t i = 0; order && i < code->count; i++)
		order[i] = (uint32_t)i;
	if (order)
		qsort_r(order, code->count, sizeof(*order), compare_branches, code->branches);
	return order;
}

/* How many from index I on have the same key. */
static size_t run_length(const struct diff_code *code, const uint32_t *order, size_t i)
{
	size_t end = i;

	while (end < code->count && !strcmp(code->branches[order[end]].key, code->branches[order[i]].key))
		end++;
	return end - i;
}

/* A line with more branches on one side than on the other does not say which is which. */
static void pair_by_key(struct diff_code *a, struct diff_code *b, const uint32_t *order_a, const uint32_t *order_b)
{
	size_t i = 0;
	size_t k = 0;

	while (i < a->count && k < b->count) {
		size_t run_a = run_length(a, order_a, i);
		size_t run_b = run_length(b, order_b, k);
		int keys = strcmp(a->branches[order_a[i]].key, b->branches[order_b[k]].key);

		for (size_t n = 0; !keys && run_a == run_b && n < run_a; n++)
			pair_branches(a, b, order_a[i + n], order_b[k + n]);
		i += keys <= 0 ? run_a : 0;
		k += keys >= 0 ? run_b : 0;
	}
}

struct cs_error *diff_code_pair(struct diff_code *a, struct diff_code *b, bool *same)
{
	FREE uint32_t *order_a = NULL;
	FREE uint32_t *order_b = NULL;

	*same = is_same(a, b);
	if (*same) {
		for (uint32_t i = 0; i < a->count; i++)
			pair_branches(a, b, i, i);
		return NULL;
	}
	order_a = sorted(a);
	order_b = sorted(b);
	if (!order_a || !order_b)
		return &cs_error_no_memory;
	pair_by_key(a, b, order_a, order_b);
	return NULL;
}

uint32_t diff_code_find(const struct diff_code *code, uint64_t address)
{
	size_t low = 0;
	size_t high = code->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (code->branches[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->count && code->branches[low].address == address ? (uint32_t)low : DIFF_NONE;
}
