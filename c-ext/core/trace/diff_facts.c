/* SPDX-License-Identifier: MIT */
#include "trace/diff_facts.h"

#include <string.h>

#include "trace/sql.h"

static void facts_guard(struct diff_facts **facts)
{
	diff_facts_destroy(*facts);
}

struct cs_error *diff_facts_create(const struct diff_code *code, struct diff_facts **ret)
{
	CLEANUP(facts_guard) struct diff_facts *facts = calloc(1, sizeof(*facts));

	if (!facts)
		return &cs_error_no_memory;
	facts->code = code;
	facts->ran = calloc(code->block_count, sizeof(bool));
	facts->in_gap = calloc(code->block_count, sizeof(bool));
	facts->ordinal = calloc(code->block_count, sizeof(int64_t));
	facts->sure = calloc(code->edge_count + 1, sizeof(bool));
	facts->possible = calloc(code->edge_count + 1, sizeof(bool));
	if (!facts->ran || !facts->in_gap || !facts->ordinal || !facts->sure || !facts->possible)
		return &cs_error_no_memory;
	*ret = TAKE_PTR(facts);
	return NULL;
}

void diff_facts_destroy(struct diff_facts *facts)
{
	if (!facts)
		return;
	free(facts->ran);
	free(facts->in_gap);
	free(facts->ordinal);
	free(facts->sure);
	free(facts->possible);
	free(facts);
}

static void clear(struct diff_facts *facts)
{
	const struct diff_code *code = facts->code;

	memset(facts->ran, 0, code->block_count * sizeof(bool));
	memset(facts->in_gap, 0, code->block_count * sizeof(bool));
	memset(facts->ordinal, 0xff, code->block_count * sizeof(int64_t));
	memset(facts->sure, 0, code->edge_count * sizeof(bool));
	memset(facts->possible, 0, code->edge_count * sizeof(bool));
}

/* Where the reading of the steps stands. */
struct walk {
	struct diff_facts *facts;
	uint32_t last; /* the last block that is known, or DIFF_NONE */
	bool decided;  /* how its branch went is known */
	bool taken;
	bool *here;     /* by block: it may have run since */
	bool has_gap;   /* … for there was a gap */
	size_t entries; /* ways that may have led out of it … */
	size_t entry;   /* … the last of these */
};

static void note_block(struct diff_facts *facts, uint32_t block, int64_t ordinal)
{
	if (facts->ordinal[block] < 0)
		facts->ordinal[block] = ordinal;
}

/* A block that may have run in a gap. */
static void take_gap(struct walk *walk, uint32_t block, bool certain, int64_t ordinal)
{
	walk->has_gap = true;
	walk->here[block] = true;
	walk->facts->in_gap[block] = true;
	walk->facts->ran[block] |= certain;
	note_block(walk->facts, block, ordinal);
}

/* A way that may have been gone since the last known block: within the gap, or to block NEXT. */
static void take_edge(struct walk *walk, size_t edge, uint32_t next)
{
	uint32_t target = walk->facts->code->edges[edge].target;

	if (target != next && !(walk->has_gap && walk->here[target]))
		return;
	walk->facts->possible[edge] = true;
	walk->entries += target == next;
	walk->entry = target == next ? edge : walk->entry;
}

static void leave_last(struct walk *walk, uint32_t next)
{
	const struct diff_code *code = walk->facts->code;

	for (size_t i = code->first_edge[walk->last]; i < code->first_edge[walk->last + 1]; i++)
		if (!walk->decided || code->edges[i].taken == walk->taken)
			take_edge(walk, i, next);
}

static void leave_gap(struct walk *walk, uint32_t next)
{
	const struct diff_code *code = walk->facts->code;

	for (size_t i = 0; i < code->edge_count; i++)
		if (walk->here[code->edges[i].source])
			take_edge(walk, i, next);
}

/* Ends what is not known since the last known block, at block NEXT (DIFF_NONE: nothing is known behind it). If only
 * one way leads there, it surely was gone. */
static void close_stretch(struct walk *walk, uint32_t next)
{
	walk->entries = 0;
	if (walk->last != DIFF_NONE && !(walk->has_gap && walk->here[walk->last]))
		leave_last(walk, next);
	if (walk->has_gap)
		leave_gap(walk, next);
	if (walk->entries == 1)
		walk->facts->sure[walk->entry] = true;
	if (walk->has_gap)
		memset(walk->here, 0, walk->facts->code->block_count * sizeof(bool));
	walk->has_gap = false;
	walk->last = next;
	walk->decided = false;
}

static void take_block(struct walk *walk, uint32_t block, sqlite3_stmt *row)
{
	walk->facts->ran[block] = true;
	note_block(walk->facts, block, sqlite3_column_int64(row, 0));
	close_stretch(walk, block);
	walk->decided = sqlite3_column_type(row, 4) != SQLITE_NULL;
	walk->taken = sqlite3_column_int(row, 4) != 0;
}

static struct cs_error *read_steps(struct walk *walk, struct trace *trace, int64_t invocation)
{
	SQL_STATEMENT *row = NULL;
	int64_t block_count = walk->facts->code->block_count;
	bool is_row;

	CS_TRY(trace_prepare(trace,
			     "SELECT s.ordinal, s.block, g.block, g.certain, d.taken FROM step s"
			     " LEFT JOIN gap_block g ON g.invocation = s.invocation AND g.ordinal = s.ordinal"
			     " LEFT JOIN decision d ON d.invocation = s.invocation AND d.ordinal = s.ordinal"
			     " WHERE s.invocation = ? ORDER BY s.ordinal",
			     &row));
	sqlite3_bind_int64(row, 1, invocation);
	for (;;) {
		int column;
		int64_t block;

		CS_TRY(trace_step(trace, row, &is_row));
		if (!is_row)
			return NULL;
		column = sqlite3_column_type(row, 1) == SQLITE_NULL ? 2 : 1;
		block = sqlite3_column_int64(row, column);
		if (sqlite3_column_type(row, column) == SQLITE_NULL || block < 0 || block >= block_count)
			continue; /* a gap without blocks, or damage: the path then says less */
		if (column == 2)
			take_gap(walk, (uint32_t)block, sqlite3_column_int(row, 3) != 0, sqlite3_column_int64(row, 0));
		else
			take_block(walk, (uint32_t)block, row);
	}
}

struct cs_error *diff_facts_read(struct diff_facts *facts, struct trace *trace, int64_t invocation, bool ended)
{
	FREE bool *here = calloc(facts->code->block_count, sizeof(bool));
	struct walk walk = {.facts = facts, .last = DIFF_NONE, .here = here};

	if (!here)
		return &cs_error_no_memory;
	clear(facts);
	facts->ended = ended;
	CS_TRY(read_steps(&walk, trace, invocation));
	if (walk.has_gap)
		close_stretch(&walk, DIFF_NONE);
	return NULL;
}

/* What is known of one way out of a branch. */
struct way {
	bool sure;   /* it was gone at least once */
	bool absent; /* it was never gone */
};

static struct way look_at_way(const struct diff_facts *facts, uint32_t block, bool taken)
{
	const struct diff_code *code = facts->code;
	struct way way = {0};
	bool found = false;
	bool possible = false;

	for (size_t i = code->first_edge[block]; i < code->first_edge[block + 1]; i++) {
		if (code->edges[i].taken != taken)
			continue;
		found = true;
		possible |= facts->possible[i];
		way.sure |= facts->sure[i];
	}
	way.absent = facts->ended && found && !possible; /* a way out of the function is no edge */
	return way;
}

/* A branch that was reached, and not left in one way, was left in the other. */
static struct way way_of(const struct diff_facts *facts, uint32_t block, bool taken)
{
	struct way way = look_at_way(facts, block, taken);

	way.sure |= facts->ran[block] && look_at_way(facts, block, !taken).absent;
	return way;
}

/* Whether the two parted at branch I of A, and how A went there. */
static bool parts(const struct diff_facts *a, const struct diff_facts *b, uint32_t i, bool *taken)
{
	const struct diff_branch *branch = &a->code->branches[i];
	uint32_t other = b->code->branches[branch->pair].block;

	if (!a->in_gap[branch->block] && !b->in_gap[other])
		return false;
	for (int way = 0; way < 2; way++) {
		struct way here = way_of(a, branch->block, way);
		struct way there = way_of(b, other, way != branch->inverted);

		*taken = here.sure ? way : !way;
		if ((here.sure && there.absent) || (here.absent && there.sure))
			return true;
	}
	return false;
}

bool diff_facts_reached(const struct diff_facts *facts, uint32_t branch)
{
	return facts->ran[facts->code->branches[branch].block];
}

/* By A's order; at the same place, one that both surely came to says more. */
static bool is_better(const struct diff_facts *a, const struct diff_facts *b, uint32_t i, uint32_t than)
{
	const struct diff_branch *branches = a->code->branches;
	int64_t ordinal = a->ordinal[branches[i].block];
	int64_t best = a->ordinal[branches[than].block];
	bool both = diff_facts_reached(a, i) && diff_facts_reached(b, branches[i].pair);
	bool best_both = diff_facts_reached(a, than) && diff_facts_reached(b, branches[than].pair);

	return ordinal != best ? ordinal < best : both && !best_both;
}

uint32_t diff_facts_compare(const struct diff_facts *a, const struct diff_facts *b, bool *taken)
{
	uint32_t first = DIFF_NONE;

	for (uint32_t i = 0; i < a->code->count; i++) {
		bool way;

		if (a->code->branches[i].pair == DIFF_NONE || a->ordinal[a->code->branches[i].block] < 0)
			continue;
		if ((first == DIFF_NONE || is_better(a, b, i, first)) && parts(a, b, i, &way)) {
			first = i;
			*taken = way;
		}
	}
	return first;
}
