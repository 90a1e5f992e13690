/* SPDX-License-Identifier: MIT */
#include "trace/diff.h"

#include <string.h>

#include "trace/diff_facts.h"
#include "trace/diff_waiting.h"
#include "trace/rows.h"
#include "trace/sql.h"

/* Between two looks at whether the user has had enough. */
#define DECISIONS_PER_LOOK 65536
#define PAIRS_PER_LOOK 1024
/* So many decisions of one side may wait for the other's: the code of another version may be in another order. */
#define WAITING_MAX 65536

struct decision {
	int64_t ordinal;
	bool taken;
	uint64_t address;
	uint32_t branch; /* as both sides call it; of the way out of a waiting loop */
};

struct waiting {
	struct waiting *next;
	struct decision decision;
};

/* One branch of the pair of invocations that is being compared. */
struct track {
	uint64_t round; /* that pair's number: the rest is stale if it is another */
	struct waiting *first, *last;
	int side;     /* whose decisions wait */
	bool lost[2]; /* the side may have come by in a gap: its later decisions are not to be counted */
	/* Of a branch in a loop that waits, the side's last decision that stayed in it. */
	struct decision stayed[2];
	bool has_stayed[2];
};

struct invocation {
	int64_t id;
	int64_t seq;
	bool whole; /* without gaps */
	bool ended; /* nothing is missing at its end */
	char caller[128];
};

struct side {
	struct trace *trace;
	struct diff_code code;
	struct diff_facts *facts;
	sqlite3_stmt *invocations; /* by caller and time */
	sqlite3_stmt *decisions;
	sqlite3_stmt *gaps;
	struct invocation now;
	bool has_invocation;
	bool has_decision; /* there may be more of them in this invocation */
	bool has_gap;      /* `gaps` stands on a row */
};

struct comparison {
	struct side sides[2];
	struct track *tracks;   /* by branch of side 0 */
	struct track *ways_out; /* by loop of side 0 that waits: how it was left, each time */
	struct waiting *pool;
	struct waiting *free;
	uint64_t round;
	size_t waiting;
	bool parted; /* the pair has differed */
	bool full;
	struct diff_point at[2];
	diff_interrupted *interrupted;
	void *context;
	struct diff_result *result;
};

static void comparison_release(struct comparison *comparison)
{
	for (int s = 0; s < 2; s++) {
		struct side *side = &comparison->sides[s];

		sqlite3_finalize(side->invocations);
		sqlite3_finalize(side->decisions);
		sqlite3_finalize(side->gaps);
		diff_facts_destroy(side->facts);
		diff_code_release(&side->code);
	}
	free(comparison->tracks);
	free(comparison->ways_out);
	free(comparison->pool);
}

/* A caller's name without offset and suffixes (".part.0"): versions differ in these. A path may be incomplete for want
 * of its end alone. */
static const char invocations_sql[] =
	"WITH named AS (SELECT *, substr(caller_name, 1, instr(caller_name || '+', '+') - 1) AS name FROM invocation"
	" WHERE function = ?)"
	"SELECT id, seq, complete OR NOT EXISTS (SELECT 1 FROM step s WHERE s.invocation = named.id AND s.block IS "
	"NULL),"
	" consistent AND returned <> 'not seen', substr(name, 1, instr(name || '.', '.') - 1) AS caller"
	" FROM named ORDER BY caller, seq, id";
static const char decisions_sql[] =
	"SELECT ordinal, address, taken FROM decision WHERE invocation = ? ORDER BY ordinal";
static const char gaps_sql[] = "SELECT ordinal, block FROM gap_block WHERE invocation = ? ORDER BY ordinal, block";

static struct cs_error *open_side(struct side *side, struct trace *trace, int64_t function)
{
	side->trace = trace;
	CS_TRY(diff_code_read(trace, function, &side->code));
	CS_TRY(diff_waiting_read(trace, &side->code));
	CS_TRY(diff_facts_create(&side->code, &side->facts));
	CS_TRY(trace_prepare(trace, invocations_sql, &side->invocations));
	CS_TRY(trace_prepare(trace, decisions_sql, &side->decisions));
	CS_TRY(trace_prepare(trace, gaps_sql, &side->gaps));
	sqlite3_bind_int64(side->invocations, 1, function);
	return NULL;
}

static struct cs_error *next_invocation(struct side *side, uint64_t *count)
{
	sqlite3_stmt *row = side->invocations;
	const char *caller;

	CS_TRY(trace_step(side->trace, row, &side->has_invocation));
	if (!side->has_invocation)
		return NULL;
	++*count;
	side->now.id = sqlite3_column_int64(row, 0);
	side->now.seq = sqlite3_column_int64(row, 1);
	side->now.whole = sqlite3_column_int(row, 2) != 0;
	side->now.ended = sqlite3_column_int(row, 3) != 0;
	caller = (const char *)sqlite3_column_text(row, 4);
	strncpy(side->now.caller, caller ? caller : "", sizeof(side->now.caller) - 1);
	return NULL;
}

static struct cs_error *begin(struct side *side)
{
	trace_restart(side->trace);
	sqlite3_reset(side->decisions);
	sqlite3_bind_int64(side->decisions, 1, side->now.id);
	side->has_decision = true;
	side->has_gap = !side->now.whole;
	if (side->now.whole)
		return NULL;
	sqlite3_reset(side->gaps);
	sqlite3_bind_int64(side->gaps, 1, side->now.id);
	return trace_step(side->trace, side->gaps, &side->has_gap);
}

static struct track *current(const struct comparison *comparison, struct track *track)
{
	if (track->round != comparison->round)
		*track = (struct track){.round = comparison->round};
	return track;
}

static struct track *track_of(struct comparison *comparison, uint32_t branch)
{
	return current(comparison, &comparison->tracks[branch]);
}

/* The number that the branch has on side 0, by which both sides go; DIFF_NONE: it is on one side only. */
static uint32_t common_branch(const struct comparison *comparison, int s, uint32_t branch)
{
	const struct diff_branch *own = &comparison->sides[s].code.branches[branch];

	return s == 0 && own->pair != DIFF_NONE ? branch : own->pair;
}

/* Side 0's loop in which both sides wait at a branch; DIFF_NONE: there is none. */
static uint32_t common_loop(const struct comparison *comparison, uint32_t common)
{
	const struct diff_code *a = &comparison->sides[0].code, *b = &comparison->sides[1].code;
	uint32_t own = a->waiting[a->branches[common].block];

	return b->waiting[b->branches[a->branches[common].pair].block] == DIFF_NONE ? DIFF_NONE : own;
}

/* The side may have come by in a gap. */
static void lose(struct comparison *comparison, int s, uint32_t common)
{
	uint32_t loop = common_loop(comparison, common);

	track_of(comparison, common)->lost[s] = true;
	if (loop != DIFF_NONE)
		current(comparison, &comparison->ways_out[loop])->lost[s] = true;
}

/* Goes through the side's gaps before the step ORDINAL. */
static struct cs_error *pass_gaps(struct comparison *comparison, int s, int64_t ordinal)
{
	struct side *side = &comparison->sides[s];

	while (side->has_gap && sqlite3_column_int64(side->gaps, 0) < ordinal) {
		int64_t block = sqlite3_column_int64(side->gaps, 1);
		uint32_t branch =
			block >= 0 && block < side->code.block_count ? side->code.branch_of[block] : DIFF_NONE;
		uint32_t common = branch == DIFF_NONE ? DIFF_NONE : common_branch(comparison, s, branch);

		if (common != DIFF_NONE)
			lose(comparison, s, common);
		CS_TRY(trace_step(side->trace, side->gaps, &side->has_gap));
	}
	return NULL;
}

static void wait_for_other(struct comparison *comparison, struct track *track, int s, const struct decision *decision)
{
	struct waiting *entry = comparison->free;

	if (!entry) {
		comparison->full = true;
		return;
	}
	comparison->free = entry->next;
	*entry = (struct waiting){NULL, *decision};
	if (track->first)
		track->last->next = entry;
	else
		track->first = entry;
	track->last = entry;
	track->side = s;
	comparison->waiting++;
}

static struct diff_point point_of(const struct side *side, const struct decision *decision)
{
	return (struct diff_point){
		.invocation = side->now.id,
		.seq = side->now.seq,
		.ordinal = decision->ordinal,
		.address = decision->address,
		.taken = decision->taken,
		.decided = true,
		.reached = true,
	};
}

/* Compares with the decision that has waited longest. */
static void meet(struct comparison *comparison, struct track *track, int s, const struct decision *decision,
		 bool inverted)
{
	struct waiting *entry = track->first;
	int other = 1 - s;

	comparison->result->decisions++;
	if (entry->decision.taken != (decision->taken != inverted)) {
		comparison->parted = true;
		comparison->at[s] = point_of(&comparison->sides[s], decision);
		comparison->at[other] = point_of(&comparison->sides[other], &entry->decision);
	}
	track->first = entry->next;
	entry->next = comparison->free;
	comparison->free = entry;
	comparison->waiting--;
}

/* Two ways out of one loop that differ. It is told at the branch by which one side left it, where the other had gone
 * on. */
static void part_at_ways_out(struct comparison *comparison, int s, const struct decision *decision,
			     const struct decision *waited)
{
	const struct decision *own[2];

	own[s] = decision;
	own[1 - s] = waited;
	for (int leaver = 0; leaver < 2; leaver++) {
		const struct track *track = track_of(comparison, own[leaver]->branch);

		if (!track->has_stayed[1 - leaver])
			continue;
		own[1 - leaver] = &track->stayed[1 - leaver];
		break;
	}
	comparison->parted = true;
	for (int side = 0; side < 2; side++)
		comparison->at[side] = point_of(&comparison->sides[side], own[side]);
}

/* The way out of a loop that waits, in its turn. */
static void leave(struct comparison *comparison, struct track *track, int s, const struct decision *decision,
		  bool inverted)
{
	struct waiting *entry = track->first;

	if (track->lost[s])
		return;
	if (!entry || track->side == s) {
		if (!track->lost[1 - s])
			wait_for_other(comparison, track, s, decision);
		return;
	}
	comparison->result->decisions++;
	if (entry->decision.branch != decision->branch || entry->decision.taken != (decision->taken != inverted))
		part_at_ways_out(comparison, s, decision, &entry->decision);
	track->first = entry->next;
	entry->next = comparison->free;
	comparison->free = entry;
	comparison->waiting--;
}

static void take(struct comparison *comparison, int s, struct decision *decision)
{
	const struct diff_code *code = &comparison->sides[s].code;
	uint32_t branch = diff_code_find(code, decision->address);
	uint32_t common = branch == DIFF_NONE ? DIFF_NONE : common_branch(comparison, s, branch);
	uint32_t loop = common == DIFF_NONE ? DIFF_NONE : common_loop(comparison, common);
	struct track *track;

	if (common == DIFF_NONE)
		return;
	track = track_of(comparison, common);
	decision->branch = common;
	if (loop != DIFF_NONE) {
		if (diff_waiting_leaves(code, branch, decision->taken)) {
			leave(comparison, current(comparison, &comparison->ways_out[loop]), s, decision,
			      code->branches[branch].inverted);
		} else {
			track->stayed[s] = *decision;
			track->has_stayed[s] = true;
		}
		return;
	}
	if (track->lost[s])
		return;
	if (track->first && track->side != s)
		meet(comparison, track, s, decision, code->branches[branch].inverted);
	else if (!track->lost[1 - s])
		wait_for_other(comparison, track, s, decision);
}

static struct cs_error *advance(struct comparison *comparison, int s)
{
	struct side *side = &comparison->sides[s];
	struct decision decision;

	if (!side->has_decision)
		return NULL;
	CS_TRY(trace_step(side->trace, side->decisions, &side->has_decision));
	if (!side->has_decision)
		return NULL;
	decision.ordinal = sqlite3_column_int64(side->decisions, 0);
	decision.address = (uint64_t)sqlite3_column_int64(side->decisions, 1);
	decision.taken = sqlite3_column_int(side->decisions, 2) != 0;
	CS_TRY(pass_gaps(comparison, s, decision.ordinal));
	take(comparison, s, &decision);
	return NULL;
}

static struct cs_error *look(const struct comparison *comparison)
{
	if (comparison->interrupted && comparison->interrupted(comparison->context))
		return cs_error_create(CS_ERROR_STATE, "the comparison was interrupted");
	return NULL;
}

/* Whether more decisions of the pair can tell anything. */
static bool goes_on(const struct comparison *comparison)
{
	bool more_a = comparison->sides[0].has_decision;
	bool more_b = comparison->sides[1].has_decision;

	if (comparison->parted || comparison->full)
		return false;
	return (more_a && more_b) || ((more_a || more_b) && comparison->waiting);
}

static struct cs_error *compare_decisions(struct comparison *comparison)
{
	for (uint64_t n = 1; goes_on(comparison); n++) {
		CS_TRY(advance(comparison, 0));
		if (!comparison->parted)
			CS_TRY(advance(comparison, 1));
		if (n % DECISIONS_PER_LOOK == 0)
			CS_TRY(look(comparison));
	}
	return NULL;
}

/* The point of side S at branch BRANCH of its code, which a gap holds. */
static struct diff_point point_in_gap(const struct side *side, uint32_t branch, bool taken)
{
	return (struct diff_point){
		.invocation = side->now.id,
		.seq = side->now.seq,
		.ordinal = side->facts->ordinal[side->code.branches[branch].block],
		.address = side->code.branches[branch].address,
		.taken = taken,
		.reached = diff_facts_reached(side->facts, branch),
	};
}

/* What gaps leave certain, where that comes before a difference that was seen. */
static struct cs_error *compare_gaps(struct comparison *comparison)
{
	struct side *a = &comparison->sides[0];
	struct side *b = &comparison->sides[1];
	uint32_t branch;
	bool taken = false;
	struct diff_point point;

	if (a->now.whole && b->now.whole)
		return NULL;
	CS_TRY(diff_facts_read(a->facts, a->trace, a->now.id, a->now.ended));
	CS_TRY(diff_facts_read(b->facts, b->trace, b->now.id, b->now.ended));
	branch = diff_facts_compare(a->facts, b->facts, &taken);
	if (branch == DIFF_NONE)
		return NULL;
	point = point_in_gap(a, branch, taken);
	if (comparison->parted && comparison->at[0].ordinal <= point.ordinal)
		return NULL;
	comparison->parted = true;
	comparison->at[0] = point;
	comparison->at[1] = point_in_gap(b, a->code.branches[branch].pair, taken == a->code.branches[branch].inverted);
	return NULL;
}

static bool is_before(const struct diff_point *point, const struct diff_point *other)
{
	return point->seq != other->seq ? point->seq < other->seq : point->ordinal < other->ordinal;
}

/* Forgets what the last pair left waiting. */
static void empty_pool(struct comparison *comparison)
{
	comparison->round++;
	comparison->parted = comparison->full = false;
	if (!comparison->waiting && comparison->free)
		return;
	comparison->waiting = 0;
	comparison->free = NULL;
	for (size_t i = 0; i < WAITING_MAX; i++) {
		comparison->pool[i].next = comparison->free;
		comparison->free = &comparison->pool[i];
	}
}

static struct cs_error *compare_pair(struct comparison *comparison)
{
	struct diff_result *result = comparison->result;

	empty_pool(comparison);
	CS_TRY(begin(&comparison->sides[0]));
	CS_TRY(begin(&comparison->sides[1]));
	CS_TRY(compare_decisions(comparison));
	CS_TRY(compare_gaps(comparison));
	result->compared++;
	result->cut_short += comparison->full && !comparison->parted;
	result->differing += comparison->parted;
	if (comparison->parted && (!result->diverges || is_before(&comparison->at[0], &result->at[0]))) {
		result->diverges = true;
		memcpy(result->at, comparison->at, sizeof(result->at));
	}
	return NULL;
}

/* Which side's invocation stands alone: less than 0 the first's, more than 0 the second's, 0 neither. */
static int order_of(const struct side *a, const struct side *b)
{
	if (!a->has_invocation || !b->has_invocation)
		return b->has_invocation - a->has_invocation;
	return strcmp(a->now.caller, b->now.caller);
}

static struct cs_error *compare_invocations(struct comparison *comparison)
{
	struct side *sides = comparison->sides;
	struct diff_result *result = comparison->result;

	for (int s = 0; s < 2; s++)
		CS_TRY(next_invocation(&sides[s], &result->invocations[s]));
	for (uint64_t n = 1; sides[0].has_invocation || sides[1].has_invocation; n++) {
		int order = order_of(&sides[0], &sides[1]);

		if (order == 0)
			CS_TRY(compare_pair(comparison));
		else
			result->unpaired[order > 0]++;
		if (order <= 0)
			CS_TRY(next_invocation(&sides[0], &result->invocations[0]));
		if (order >= 0)
			CS_TRY(next_invocation(&sides[1], &result->invocations[1]));
		if (n % PAIRS_PER_LOOK == 0)
			CS_TRY(look(comparison));
	}
	return NULL;
}

static void count_branches(struct diff_result *result, const struct side sides[2])
{
	for (int s = 0; s < 2; s++)
		result->branches[s] = sides[s].code.count;
	for (size_t i = 0; i < sides[0].code.count; i++)
		result->paired += sides[0].code.branches[i].pair != DIFF_NONE;
}

struct cs_error *diff_function(struct trace *const traces[2], const int64_t functions[2], diff_interrupted *interrupted,
			       void *context, struct diff_result *ret)
{
	CLEANUP(comparison_release)
	struct comparison comparison = {.interrupted = interrupted, .context = context, .result = ret};

	*ret = (struct diff_result){0};
	for (int s = 0; s < 2; s++)
		CS_TRY(open_side(&comparison.sides[s], traces[s], functions[s]));
	CS_TRY(diff_code_pair(&comparison.sides[0].code, &comparison.sides[1].code, &ret->same_code));
	count_branches(ret, comparison.sides);
	comparison.tracks = calloc(comparison.sides[0].code.count + 1, sizeof(*comparison.tracks));
	comparison.ways_out = calloc((size_t)comparison.sides[0].code.block_count + 1, sizeof(*comparison.ways_out));
	comparison.pool = calloc(WAITING_MAX, sizeof(*comparison.pool));
	if (!comparison.tracks || !comparison.ways_out || !comparison.pool)
		return &cs_error_no_memory;
	return compare_invocations(&comparison);
}
