/* SPDX-License-Identifier: MIT */
/* The comparison of two traces' decisions, on a small function with a loop, a window and two ways out. */
#include "support/trace_support.h"

#include "trace/diff.h"

/*
 *      0: je 4          "if (early)"
 *   ┌► 1: jb 4 ─────┐   "if (short)"   blocks 1 and 2 are a loop that may be a gap
 *   └─ 2: jne 1     │   "if (again)"
 *      3: ret       │
 *      4: ret  ◄────┘
 * The branch at the end of block N lies at entry + 16 * N + 8.
 */
#define ENTRY 0x1000
#define BRANCH(N) (ENTRY + 16 * (N) + 8)

struct traces {
	char path[64];
	char names[2][96];
	sqlite3 *db[2]; /* open while rows are added */
};

static void run(sqlite3 *db, const char *format, ...)
{
	char sql[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sql, sizeof(sql), format, arguments);
	va_end(arguments);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sqlite3_errmsg(db), sql);
}

static void add_branch(sqlite3 *db, int block, const char *condition, const char *text, int line, uint64_t entry)
{
	run(db, "INSERT INTO instruction VALUES (1, %lld, %d, 'branch', '%s', 0, NULL, 'j%s', 'f.c', %d, '')",
	    (long long)(entry + 16 * block + 8), block, condition, condition, line);
	if (text)
		run(db, "INSERT OR IGNORE INTO source VALUES ('f.c', %d, '%s')", line, text);
}

static void add_code(sqlite3 *db)
{
	static const struct {
		int from, to;
		const char *kind;
	} edges[] = {{0, 1, "next"}, {0, 4, "taken"}, {1, 2, "next"}, {1, 4, "taken"}, {2, 3, "next"}, {2, 1, "taken"}};

	run(db, "INSERT INTO function VALUES (1, 'f', %d, 'f.c', 10, 1, '')", ENTRY);
	for (int block = 0; block < 5; block++)
		run(db, "INSERT INTO block VALUES (1, %d, %d, %d, 0, 0, 0)", block, ENTRY + 16 * block,
		    ENTRY + 16 * block + 16);
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		run(db, "INSERT INTO edge VALUES (1, %d, %d, '%s')", edges[i].from, edges[i].to, edges[i].kind);
	add_branch(db, 0, "e", NULL, 11, ENTRY);
	add_branch(db, 1, "b", NULL, 12, ENTRY);
	add_branch(db, 2, "ne", NULL, 13, ENTRY);
}

static int set_up(void **state)
{
	struct traces *traces = calloc(1, sizeof(*traces));
	char path[] = "/tmp/clockscope-test-XXXXXX";

	assert_non_null(mkdtemp(path));
	strcpy(traces->path, path);
	for (int s = 0; s < 2; s++) {
		struct store *store;

		snprintf(traces->names[s], sizeof(traces->names[s]), "%s/%c.trace", path, 'a' + s);
		store = start(traces->names[s]);
		succeed(store_close(store, true, "done"));
		store_destroy(store);
		assert_int_equal(sqlite3_open(traces->names[s], &traces->db[s]), SQLITE_OK);
		run(traces->db[s], "PRAGMA synchronous = OFF; BEGIN");
		add_code(traces->db[s]);
	}
	*state = traces;
	return 0;
}

static int tear_down(void **state)
{
	struct traces *traces = *state;

	for (int s = 0; s < 2; s++) {
		sqlite3_close(traces->db[s]);
		remove(traces->names[s]);
	}
	assert_return_code(rmdir(traces->path), 0);
	free(traces);
	return 0;
}

/* An invocation; its id. A path is written as blocks: "0124", and "(12)" for a gap in which these may have run,
 * "(!12)" for one in which both surely did. */
static int64_t call(sqlite3 *db, int64_t seq, const char *caller, const char *path, const char *returned)
{
	int64_t id = seq;
	int ordinal = 0;
	bool gap = false, certain = false;
	bool complete = !strchr(path, '(') && strcmp(returned, "not seen") != 0;

	run(db,
	    "INSERT INTO invocation VALUES (%lld, 1, %lld, NULL, 0, NULL, 0, '1', '', 0, 0, '%s', '%s', NULL, %d, 1)",
	    (long long)id, (long long)seq, caller, returned, complete);
	for (const char *at = path; *at; at++) {
		if (*at == '(') {
			run(db, "INSERT INTO step VALUES (%lld, %d, NULL)", (long long)id, ordinal);
			gap = true;
		} else if (*at == '!') {
			certain = true;
		} else if (*at == ')') {
			gap = certain = false;
			ordinal++;
		} else if (gap) {
			run(db, "INSERT INTO gap_block VALUES (%lld, %d, %c, %d)", (long long)id, ordinal, *at,
			    certain);
		} else {
			run(db, "INSERT INTO step VALUES (%lld, %d, %c)", (long long)id, ordinal, *at);
			ordinal++;
		}
	}
	return id;
}

/* A decision of the step ORDINAL at the end of a block. */
static void decide(sqlite3 *db, int64_t id, int ordinal, int block, int taken)
{
	run(db, "INSERT INTO decision VALUES (%lld, %d, %d, %d, NULL)", (long long)id, ordinal, BRANCH(block), taken);
}

static struct cs_error *try_compare(struct traces *traces, diff_interrupted *interrupted, struct diff_result *result)
{
	struct trace *open[2] = {NULL, NULL};
	struct cs_error *error;

	for (int s = 0; s < 2; s++) {
		if (!sqlite3_get_autocommit(traces->db[s]))
			run(traces->db[s], "COMMIT");
		succeed(trace_open(traces->names[s], &open[s]));
	}
	error = diff_function(open, (int64_t[2]){1, 1}, interrupted, NULL, result);
	trace_destroy(open[0]);
	trace_destroy(open[1]);
	return error;
}

static struct diff_result compare(struct traces *traces)
{
	struct diff_result result;

	succeed(try_compare(traces, NULL, &result));
	return result;
}

static void same_decisions(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "g+4", "0123", "yes");

		decide(traces->db[s], id, 0, 0, 0);
		decide(traces->db[s], id, 1, 1, 0);
		decide(traces->db[s], id, 2, 2, 0);
	}
	result = compare(traces);
	assert_true(result.same_code);
	assert_int_equal(result.paired, 3);
	assert_int_equal(result.compared, 1);
	assert_int_equal(result.decisions, 3);
	assert_false(result.diverges);
	assert_int_equal(result.unpaired[0] + result.unpaired[1], 0);
}

static void first_difference_is_told(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++) {
		for (int n = 1; n <= 3; n++) {
			int64_t id = call(traces->db[s], n, "g+4", "0123", "yes");

			decide(traces->db[s], id, 0, 0, 0);
			decide(traces->db[s], id, 1, 1, s == 1 && n > 1);
		}
	}
	result = compare(traces);
	assert_int_equal(result.compared, 3);
	assert_int_equal(result.differing, 2);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].seq, 2);
	assert_int_equal(result.at[0].ordinal, 1);
	assert_int_equal(result.at[0].address, BRANCH(1));
	assert_false(result.at[0].taken);
	assert_true(result.at[1].taken);
	assert_true(result.at[0].decided && result.at[1].decided);
}

static void loops_are_compared_round_by_round(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", s ? "0121212123" : "012121212123", "yes");
		int rounds = s ? 4 : 5;

		for (int n = 0; n < rounds; n++) {
			decide(traces->db[s], id, 1 + 2 * n, 1, 0);
			decide(traces->db[s], id, 2 + 2 * n, 2, n + 1 < rounds);
		}
	}
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].address, BRANCH(2));
	assert_int_equal(result.at[0].ordinal, 8); /* the fourth round goes on in A, and ends in B */
	assert_true(result.at[0].taken);
}

/* The loop of blocks 1 and 2 waits. */
static void waits(struct traces *traces)
{
	for (int s = 0; s < 2; s++)
		run(traces->db[s], "INSERT INTO window VALUES (1, 0, %d, %d, 1)", ENTRY + 16, ENTRY + 48);
}

/* Goes round so often, and leaves at the end of a block. */
static void go_round(sqlite3 *db, int64_t id, int rounds, int last)
{
	int step = 1;

	for (; rounds; rounds--) {
		decide(db, id, step++, 1, 0);
		decide(db, id, step++, 2, 1);
	}
	decide(db, id, step++, 1, last == 1);
	if (last == 2)
		decide(db, id, step, 2, 0);
}

static void rounds_of_a_loop_that_waits_are_no_difference(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	waits(traces);
	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", s ? "0123" : "0121212123", "yes");

		go_round(traces->db[s], id, s ? 0 : 3, 2);
	}
	result = compare(traces);
	assert_false(result.diverges);
	assert_int_equal(result.decisions, 1);
}

static void how_a_loop_that_waits_was_left_is_a_difference(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	waits(traces);
	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", s ? "0121214" : "0123", "yes");

		go_round(traces->db[s], id, s ? 2 : 0, s ? 1 : 2);
	}
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].address, result.at[1].address);
	assert_true(result.at[0].taken != result.at[1].taken);
	/* A left at block 2, where B went on, for the last time in its second round. */
	assert_int_equal(result.at[1].address, BRANCH(2));
	assert_int_equal(result.at[1].ordinal, 4);
}

/* A loop around one that waits decides by itself: only the inner one's rounds do not count. Block 2 waits, block 1 goes
 * on. */
static void a_loop_around_one_that_waits(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	waits(traces);
	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", s ? "012124" : "01222124", "yes");
		int step = 1;

		run(traces->db[s], "UPDATE edge SET target = 2 WHERE source = 2 AND kind = 'taken'");
		run(traces->db[s], "UPDATE edge SET target = 1 WHERE source = 2 AND kind = 'next'");
		for (int rounds = 0; rounds < 2; rounds++) {
			decide(traces->db[s], id, step++, 1, s && rounds);
			if (s && rounds)
				break;
			if (!s)
				decide(traces->db[s], id, step++, 2, 1);
			decide(traces->db[s], id, step++, 2, 0);
		}
	}
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].address, BRANCH(1));
	assert_true(result.at[1].taken);
}

static void a_path_that_was_cut_off_is_no_difference(void **state)
{
	struct traces *traces = *state;

	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", s ? "0" : "0123", s ? "not seen" : "yes");

		decide(traces->db[s], id, 0, 0, 0);
		if (s == 0)
			decide(traces->db[s], id, 1, 1, 0);
	}
	assert_false(compare(traces).diverges);
}

static void callers_are_told_apart(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	/* The offset in the caller, and the suffix of a part, are another compiler's matter. */
	decide(traces->db[0], call(traces->db[0], 1, "init+8", "04", "yes"), 0, 0, 1);
	decide(traces->db[0], call(traces->db[0], 2, "work.part.0+9", "01", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 1, "other+1", "01", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 2, "work+7", "01", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 3, "init+1", "04", "yes"), 0, 0, 1);
	result = compare(traces);
	assert_int_equal(result.compared, 2);
	assert_int_equal(result.unpaired[0], 0);
	assert_int_equal(result.unpaired[1], 1);
	assert_false(result.diverges);
}

static void gaps_are_no_difference(void **state)
{
	struct traces *traces = *state;

	/* Any number of rounds, and what B saw of them, may be the same. */
	call(traces->db[0], 1, "", "0(12)4", "yes");
	decide(traces->db[1], call(traces->db[1], 1, "", "01214", "yes"), 2, 2, 1);
	assert_false(compare(traces).diverges);
}

static void how_a_gap_was_left_is_certain(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	/* A: a short try, some time; B: never one. */
	decide(traces->db[0], call(traces->db[0], 1, "", "0(12)4", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 1, "", "0(!12)3", "yes"), 0, 0, 0);
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].address, BRANCH(1));
	assert_true(result.at[0].taken);
	assert_false(result.at[1].taken);
	assert_true(result.at[1].reached);
	assert_false(result.at[0].decided || result.at[1].decided);
	assert_int_equal(result.at[0].ordinal, 1);
}

static void a_gap_that_may_go_round_a_branch(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	call(traces->db[0], 1, "", "(!012)3", "yes"); /* left at block 2, surely */
	call(traces->db[1], 1, "", "(01)4", "yes");   /* came to block 1, or did not */
	result = compare(traces);
	assert_true(result.diverges);
	assert_true(result.at[0].reached);
	assert_false(result.at[1].reached);
}

static void what_precedes_a_gap_comes_first(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	decide(traces->db[0], call(traces->db[0], 1, "", "0(12)4", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 1, "", "04", "yes"), 0, 0, 1);
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].address, BRANCH(0));
	assert_true(result.at[0].decided);
}

/* Another version: a branch more, others elsewhere, one turned round. */
static void rewrite_code(sqlite3 *db, bool with_text)
{
	run(db, "DELETE FROM instruction; DELETE FROM source");
	add_branch(db, 0, "ne", with_text ? "  if (early)" : NULL, 31, ENTRY);
	add_branch(db, 1, "b", with_text ? "if (short)" : NULL, 35, ENTRY);
	add_branch(db, 2, "a", with_text ? "if (new)" : NULL, 36, ENTRY);
}

static void other_code_is_paired_by_text(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	run(traces->db[0], "INSERT INTO source VALUES ('f.c', 11, 'if (early)'), ('f.c', 12, '\tif (short)')");
	rewrite_code(traces->db[1], true);
	for (int s = 0; s < 2; s++) {
		int64_t id = call(traces->db[s], 1, "", "0123", "yes");

		decide(traces->db[s], id, 0, s ? 1 : 0, 0); /* in another order, too */
		decide(traces->db[s], id, 1, s ? 0 : 1, s ? 1 : 0);
		decide(traces->db[s], id, 2, 2, s);
	}
	result = compare(traces);
	assert_false(result.same_code);
	assert_int_equal(result.paired, 2);
	assert_int_equal(result.decisions, 2);
	assert_false(result.diverges); /* "je, not taken" is "jne, taken" */
}

static void other_code_without_text_is_paired_by_line(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	rewrite_code(traces->db[1], false);
	run(traces->db[1], "UPDATE function SET line = 30"); /* so line 31 is what 11 is in A */
	decide(traces->db[0], call(traces->db[0], 1, "", "01", "yes"), 0, 0, 0);
	decide(traces->db[1], call(traces->db[1], 1, "", "01", "yes"), 0, 0, 0);
	result = compare(traces);
	assert_int_equal(result.paired, 1);
	assert_true(result.diverges); /* "je, not taken" is not "jne, not taken" */
}

static void decisions_of_millions_do_not_fill_memory(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++) {
		call(traces->db[s], 1, "", "0", "yes");
		run(traces->db[s],
		    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)"
		    " INSERT INTO decision SELECT 1, i, %d, i <> %d, NULL FROM n",
		    BRANCH(2), s ? 150000 : -1);
	}
	result = compare(traces);
	assert_true(result.diverges);
	assert_int_equal(result.at[0].ordinal, 150000);
	assert_int_equal(result.decisions, 150001);
}

/* Other code, and one side never comes to what the other waits for. */
static void a_drift_beyond_measure_is_told(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	run(traces->db[0], "INSERT INTO source VALUES ('f.c', 11, 'if (early)'), ('f.c', 12, 'if (short)')");
	rewrite_code(traces->db[1], true);
	for (int s = 0; s < 2; s++) {
		call(traces->db[s], 1, "", "0", "yes");
		run(traces->db[s],
		    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
		    " INSERT INTO decision SELECT 1, i, %d, 0, NULL FROM n",
		    BRANCH(s));
	}
	result = compare(traces);
	assert_false(result.diverges);
	assert_int_equal(result.cut_short, 1);
}

static bool at_once(void *context)
{
	(void)context;
	return true;
}

static void can_be_interrupted(void **state)
{
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++)
		run(traces->db[s], "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
				   " INSERT INTO invocation SELECT i, 1, i, NULL, 0, NULL, 0, '1', '', 0, 0, '', "
				   "'yes', NULL, 1, 1 FROM n");
	fails(try_compare(traces, at_once, &result), CS_ERROR_STATE, "interrupted");
}

/* Blocks that there are not, addresses of no instruction: none of them is followed. */
static void hostile_rows(void **state)
{
	static const struct {
		const char *sql;
		const char *undo;
		const char *words;
	} cases[] = {
		{"INSERT INTO gap_block VALUES (1, 1, -5, 0)", "DELETE FROM gap_block",
		 "a row of gap_block names a block"},
		{"INSERT INTO gap_block VALUES (1, 1, 4000000000, 0)", "DELETE FROM gap_block", "a row of gap_block"},
		{"INSERT INTO step VALUES (1, 9, 1234567)", "DELETE FROM step WHERE ordinal = 9",
		 "a row of step names a block"},
		{"INSERT INTO decision VALUES (1, 0, 99, 1, NULL)", "DELETE FROM decision", "names an instruction"},
		{"INSERT INTO edge VALUES (1, 3, 77, 'next')", "DELETE FROM edge WHERE target = 77",
		 "a row of edge names a block"},
	};
	struct traces *traces = *state;
	struct diff_result result;

	for (int s = 0; s < 2; s++)
		assert_int_equal(call(traces->db[s], 1, "", "0()4", "yes"), 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(traces->db[1], "%s", cases[i].sql);
		fails(try_compare(traces, NULL, &result), CS_ERROR_FORMAT, cases[i].words);
		run(traces->db[1], "%s", cases[i].undo);
	}
	succeed(try_compare(traces, NULL, &result)); /* with gaps that have no blocks */
	assert_false(result.diverges);
	run(traces->db[1], "DELETE FROM edge; DELETE FROM block");
	fails(try_compare(traces, NULL, &result), CS_ERROR_FORMAT, "names a block");
}

#define DIFF_TEST(FUNCTION) cmocka_unit_test_setup_teardown(FUNCTION, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(same_decisions),
		DIFF_TEST(first_difference_is_told),
		DIFF_TEST(loops_are_compared_round_by_round),
		DIFF_TEST(rounds_of_a_loop_that_waits_are_no_difference),
		DIFF_TEST(how_a_loop_that_waits_was_left_is_a_difference),
		DIFF_TEST(a_loop_around_one_that_waits),
		DIFF_TEST(a_path_that_was_cut_off_is_no_difference),
		DIFF_TEST(callers_are_told_apart),
		DIFF_TEST(gaps_are_no_difference),
		DIFF_TEST(how_a_gap_was_left_is_certain),
		DIFF_TEST(a_gap_that_may_go_round_a_branch),
		DIFF_TEST(what_precedes_a_gap_comes_first),
		DIFF_TEST(other_code_is_paired_by_text),
		DIFF_TEST(other_code_without_text_is_paired_by_line),
		DIFF_TEST(decisions_of_millions_do_not_fill_memory),
		DIFF_TEST(a_drift_beyond_measure_is_told),
		DIFF_TEST(can_be_interrupted),
		DIFF_TEST(hostile_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
