/* SPDX-License-Identifier: MIT */
/* The reader of traces and the clock model, with files that are damaged or made to do harm. */
#include "support/trace_support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "trace/schema.h"

static const struct timeline_clock *clock_of(const struct timeline *timeline, const char *name, const char *kind)
{
	for (size_t i = 0; i < timeline->clock_count; i++)
		if (!strcmp(timeline->clocks[i].name, name) && !strcmp(timeline->clocks[i].kind, kind))
			return &timeline->clocks[i];
	fail_msg("no %s '%s'", kind, name);
	return NULL;
}

static struct timeline *finish(const struct directory *directory, struct store *store)
{
	succeed(store_close(store, true, "done"));
	store_destroy(store);
	return read_timeline(directory->trace);
}

static void clock_is_registered_selected_lost(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct record_value reason = {.name = "reason", .kind = RECORD_VALUE_TEXT, .text = "skew", .length = 4};
	struct record_value mask = {.name = "mask", .kind = RECORD_VALUE_UNSIGNED, .number = UINT64_MAX};
	struct timeline *timeline;
	const struct timeline_clock *tsc, *hpet;
	int64_t registered;

	TELL(store, "frequency.detected", "tsc", {"frequency_khz", 2903998});
	registered = TELL(store, "clock.registered", "tsc", {"rating", 300}, {"flags", 0x21});
	succeed(store_add_value(store, registered, &mask));
	TELL(store, "clock.registered", "hpet", {"rating", 250}, {"frequency_hz", 0});
	TELL_NO_MORE(store, "clock.selected", "tsc");
	succeed(store_add_value(store, TELL_NO_MORE(store, "clock.unstable", "tsc"), &reason));
	TELL_NO_MORE(store, "clock.selected", "hpet");
	timeline = finish(directory, store);
	assert_true(timeline->complete);
	assert_int_equal(timeline->clock_count, 2);
	tsc = clock_of(timeline, "tsc", "clocksource");
	assert_int_equal(tsc->frequency_hz, 2903998000);
	assert_int_equal(tsc->rating->number, 300);
	assert_int_equal(tsc->mask->kind, RECORD_VALUE_UNSIGNED);
	assert_int_equal(tsc->mask->number, UINT64_MAX);
	assert_int_equal(tsc->registered->seq, registered);
	assert_int_equal(tsc->selection_count, 1);
	assert_false(tsc->current);
	assert_int_equal(tsc->lost->seq, 5);
	assert_string_equal(tsc->lost_reason, "skew");
	hpet = clock_of(timeline, "hpet", "clocksource");
	assert_true(hpet->current);
	assert_int_equal(hpet->frequency_hz, 0);
	assert_null(hpet->lost);
	assert_null(hpet->mask);
	timeline_destroy(timeline);
}

static void clock_registers_again(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;
	const struct timeline_clock *clock;

	TELL(store, "clock.registered", "a", {"quality", 1000});
	TELL(store, "clock.registered", "a", {"quality", 1500});
	TELL_NO_MORE(store, "clock.unregistered", "b"); /* before the trace began to see it */
	TELL_NO_MORE(store, "clock.unregistered", "a");
	TELL(store, "clock.registered", "a", {"quality", -2000});
	TELL(store, "quality.changed", "a", {"quality", -100});
	TELL(store, "quality.changed", "never heard of", {"quality", 1});
	succeed(store_meta(store, "guest.os", "netbsd"));
	timeline = finish(directory, store);
	assert_int_equal(timeline->clock_count, 2);
	clock = clock_of(timeline, "a", "timecounter");
	assert_int_equal((int64_t)clock->quality->number, -100);
	assert_int_equal(clock->registered->seq, 5);
	assert_null(clock->lost);
	clock = clock_of(timeline, "b", "timecounter");
	assert_null(clock->registered);
	assert_string_equal(clock->lost_reason, "unregistered");
	timeline_destroy(timeline);
}

static void devices_are_not_clocks(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;
	const struct timeline_clock *lapic;

	TELL(store, "frequency.detected", "lapic", {"frequency_hz", 62500000});
	TELL(store, "clock.registered", "hpet", {"rating", 250});
	TELL(store, "device.registered", "hpet", {"rating", 50});
	TELL_NO_MORE(store, "clock.selected", "hpet");
	tell(store, "device.selected", "hpet", 0, NULL, 0);
	tell(store, "device.registered", "lapic", 0, NULL, 0);
	tell(store, "device.selected", "lapic", 1, NULL, 0);
	tell(store, "device.selected", "lapic", 0, NULL, 0);
	timeline = finish(directory, store);
	assert_int_equal(timeline->clock_count, 3);
	lapic = clock_of(timeline, "lapic", "event device");
	assert_int_equal(lapic->frequency_hz, 62500000);
	assert_int_equal(lapic->selection_count, 2);
	assert_true(lapic->current);
	assert_false(clock_of(timeline, "hpet", "event device")->current);
	assert_int_equal(clock_of(timeline, "hpet", "event device")->rating->number, 50);
	assert_true(clock_of(timeline, "hpet", "clocksource")->current);
	assert_int_equal(clock_of(timeline, "hpet", "clocksource")->rating->number, 250);
	timeline_destroy(timeline);
}

static void device_of_each_cpu_is_current(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;

	tell(store, "device.selected", "a", 0, NULL, 0);
	tell(store, "device.selected", "b", 1, NULL, 0);
	timeline = finish(directory, store);
	assert_true(clock_of(timeline, "a", "event device")->current);
	assert_true(clock_of(timeline, "b", "event device")->current);
	timeline_destroy(timeline);
}

static void mhz_as_kernels_print_it(void **state)
{
	static const struct {
		const char *text;
		uint64_t hz;
	} cases[] = {
		{"2903.998", 2903998000},
		{"100", 100000000},
		{"0.032768", 32768},
		{"14.3181818", 14318181},
		{"", 0},
		{"fast", 0},
		{"1.2.3", 0},
		{"-5", 0},
		{".", 0},
		{"99999999999999999999", 0},
	};
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[2] = {(char)('a' + i), '\0'};
		struct record_value mhz = {.name = "mhz",
					   .kind = RECORD_VALUE_TEXT,
					   .text = cases[i].text,
					   .length = strlen(cases[i].text)};

		succeed(store_add_value(store, TELL_NO_MORE(store, "frequency.detected", name), &mhz));
	}
	TELL(store, "frequency.detected", "whole", {"mhz", 2904});
	TELL(store, "frequency.detected", "negative", {"frequency_hz", -1});
	timeline = finish(directory, store);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(timeline->clocks[i].frequency_hz, cases[i].hz);
	assert_int_equal(clock_of(timeline, "whole", "clocksource")->frequency_hz, 2904000000);
	assert_int_equal(clock_of(timeline, "negative", "clocksource")->frequency_hz, 0);
	timeline_destroy(timeline);
}

/* As older traces have them: without an interval, and nothing counted. */
#define OLD(RULE, WHAT, FUNCTION, STATUS, NOTE)                                                                        \
	{                                                                                                              \
		.rule = (RULE), .what = (WHAT), .function = (FUNCTION), .status = (STATUS), .note = (NOTE),            \
		.within = "", .from_ns = RECORD_UNKNOWN, .to_ns = RECORD_UNKNOWN, .reached = RECORD_UNKNOWN,           \
		.matched = RECORD_UNKNOWN, .unfinished = RECORD_UNKNOWN                                                \
	}

static void what_was_never_reached(void **state)
{
	static const struct row_expectation expectations[] = {
		OLD("z-first", "clock.registered", "zeta", "planted", ""),
		OLD("rule", "clock.registered", "seen_elsewhere", "missing", "an alternative of what was seen"),
		OLD("counted", "function.reached", "counted", "planted", ""),
		OLD("uncounted", "function.reached", "uncounted", "planted", ""),
		OLD("gone", "clock.selected", "gone", "missing", "no such function"),
		OLD("a-last", "clock.selected", "alpha", "refused", "no slot"),
	};
	struct row_counter counted = {1, "counted", 2, 5, 0, RECORD_UNKNOWN};
	struct row_counter uncounted = {2, "uncounted", 0, RECORD_UNKNOWN, RECORD_UNKNOWN, RECORD_UNKNOWN};
	const char *const wanted[] = {"z-first", "uncounted", "gone", "a-last"};
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;

	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++)
		succeed(store_row_expectation(store, &expectations[i]));
	succeed(store_row_counter(store, &uncounted));
	succeed(store_row_counter(store, &counted));
	TELL_NO_MORE(store, "x-a", NULL);
	timeline = finish(directory, store);
	assert_int_equal(timeline->never_reached_count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_string_equal(timeline->never_reached[i].expectation.rule, wanted[i]);
	assert_string_equal(timeline->never_reached[2].expectation.note, "no such function");
	assert_string_equal(timeline->counters[0].function, "counted");
	assert_int_equal(timeline->counters[1].first_run_ns, RECORD_UNKNOWN);
	timeline_destroy(timeline);
}

/* What became of what was watched, by what the recording knows of it. */
static void each_state_of_coverage(void **state)
{
	static const struct coverage_span whole = {.complete = true}, broken = {0},
					  late = {.complete = true, .late = true},
					  from_log = {.complete = true, .log = true};
	static const struct {
		const char *state, *status;
		int64_t reached, unfinished;
		bool happened;
		const struct coverage_span *span;
	} cases[] = {
		{"happened", "planted", 3, 1, true, &broken},
		{"did not happen", "planted", 0, 0, false, &whole},
		{"condition never met", "planted", 2, 0, false, &whole},
		{"condition never met", "planted", 2, 0, false, &broken},
		{"did not return", "planted", 2, 1, false, &broken},
		{"begun late", "planted", 0, 0, false, &late},
		{"ended early", "planted", 0, 0, false, &broken},
		{"inlined", "inlined", 1, 0, false, &whole},
		{"inlined", "inlined", RECORD_UNKNOWN, 0, false, &whole},
		{"did not happen", "inlined", 0, 0, false, &whole},
		{"ended early", "inlined", 0, 0, false, &broken},
		{"not in this kernel", "missing", RECORD_UNKNOWN, RECORD_UNKNOWN, false, &broken},
		{"refused", "refused", RECORD_UNKNOWN, RECORD_UNKNOWN, false, &whole},
		{"not told", "untold", RECORD_UNKNOWN, RECORD_UNKNOWN, false, &from_log},
		{"not in the log", "planted", RECORD_UNKNOWN, RECORD_UNKNOWN, false, &from_log},
		{"not known", "planted", RECORD_UNKNOWN, RECORD_UNKNOWN, false, &whole},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coverage coverage = {.happened = cases[i].happened};

		coverage.expectation.status = cases[i].status;
		coverage.expectation.reached = cases[i].reached;
		coverage.expectation.from_ns = RECORD_UNKNOWN;
		coverage.expectation.unfinished = cases[i].unfinished;
		assert_string_equal(coverage_state(&coverage, cases[i].span), cases[i].state);
	}
}

/* A watch that does not see all. */
static void a_state_of_coverage_that_is_partly_seen(void **state)
{
	static const struct coverage_span whole = {.complete = true}, broken = {0};
	struct coverage coverage = {.expectation = {.status = "planted", .reached = RECORD_UNKNOWN, .from_ns = 1}};

	(void)state;
	assert_string_equal(coverage_state(&coverage, &whole), "not seen");
	assert_string_equal(coverage_state(&coverage, &broken), "ended early");
}

static void coverage_is_as_written(void **state)
{
	struct row_expectation expectation = {"r", "f", "w", "planted", "note", true, "g", 5, 9, 3, 0, 1};
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	const struct row_expectation *read;
	struct timeline *timeline;

	succeed(store_row_expectation(store, &expectation));
	timeline = finish(directory, store);
	assert_int_equal(timeline->coverage_count, 1);
	assert_int_equal(timeline->never_reached_count, 0); /* optional */
	read = &timeline->coverage[0].expectation;
	assert_string_equal(read->within, "g");
	assert_true(read->optional && read->from_ns == 5 && read->to_ns == 9 && read->reached == 3);
	assert_true(read->matched == 0 && read->unfinished == 1);
	timeline_destroy(timeline);
}

static void values_and_frames_are_as_written(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct record_value values[] = {
		{.name = "text", .kind = RECORD_VALUE_TEXT, .text = "\xff\0x", .length = 3},
		{.name = "least", .kind = RECORD_VALUE_SIGNED, .number = (uint64_t)INT64_MIN},
		{.name = "most", .kind = RECORD_VALUE_UNSIGNED, .number = UINT64_MAX},
		{.name = "none", .kind = RECORD_VALUE_UNREADABLE},
	};
	struct row_frame frames[] = {{0, 0, "inner", "a.h", 1, 0x10, true}, {0, 0, "outer", "", 0, UINT64_MAX, false}};
	struct record_event event = {
		.run_ns = 5,
		.guest_ns = 6,
		.icount = 0,
		.cpu = 3,
		.thread = "p1.2",
		.what = "x-a",
		.rule = "r",
		.function = "f",
		.file = "f.c",
		.line = 9,
		.address = UINT64_MAX - 1,
		.values = values,
		.value_count = ARRAY_SIZE(values),
		.frames = frames,
		.frame_count = ARRAY_SIZE(frames),
	};
	struct timeline *timeline;
	const struct record_event *read;
	int64_t seq;

	succeed(store_event(store, &event, &seq));
	timeline = finish(directory, store);
	read = &timeline->events[0];
	assert_int_equal(timeline->event_count, 1);
	assert_int_equal(read->guest_ns, 6);
	assert_int_equal(read->icount, 0);
	assert_int_equal(read->cpu, 3);
	assert_string_equal(read->thread, "p1.2");
	assert_null(read->clock);
	assert_int_equal(read->address, UINT64_MAX - 1);
	assert_int_equal(read->value_count, 4);
	assert_int_equal(read->values[0].length, 3);
	assert_memory_equal(read->values[0].text, "\xff\0x", 3);
	assert_int_equal((int64_t)read->values[1].number, INT64_MIN);
	assert_int_equal(read->values[1].kind, RECORD_VALUE_SIGNED);
	assert_int_equal(read->values[2].number, UINT64_MAX);
	assert_int_equal(read->values[2].kind, RECORD_VALUE_UNSIGNED);
	assert_int_equal(read->values[3].kind, RECORD_VALUE_UNREADABLE);
	assert_int_equal(read->frame_count, 2);
	assert_string_equal(read->frames[0].function, "inner");
	assert_true(read->frames[0].inlined);
	assert_int_equal(read->frames[1].address, UINT64_MAX);
	timeline_destroy(timeline);
}

static void refuse(const char *path, enum cs_error_code code, const char *words)
{
	struct trace *trace = NULL;

	fails(trace_open(path, &trace), code, words);
}

static void put_file(const char *path, const void *data, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, data, length), length);
	close(fd);
}

static void files_that_are_no_traces(void **state)
{
	const struct directory *directory = *state;

	refuse(directory->trace, CS_ERROR_NOT_FOUND, "No such file");
	refuse(directory->path, CS_ERROR_FORMAT, "is a directory");
	refuse("/dev/null", CS_ERROR_FORMAT, "not an ordinary file");
	put_file(directory->trace, "", 0);
	refuse(directory->trace, CS_ERROR_FORMAT, "is empty");
	put_file(directory->trace, "S", 1);
	refuse(directory->trace, CS_ERROR_FORMAT, "not a clockscope trace");
	put_file(directory->trace, "SQLite format 3\0", 16);
	refuse(directory->trace, CS_ERROR_FORMAT, "not a clockscope trace");
	unlink(directory->trace);
	alter(directory->trace, "CREATE TABLE event (seq INTEGER)");
	refuse(directory->trace, CS_ERROR_FORMAT, "an SQLite file of another kind");
}

static void make_sample(const char *path)
{
	struct store *store = start(path);
	struct row_frame frame = {0, 0, "f", "f.c", 1, 2, false};
	struct row_expectation expectation = OLD("r", "w", "f", "planted", "");
	struct row_counter counter = {1, "f", 1, 5, 0, RECORD_UNKNOWN};
	int64_t seq;

	for (int i = 0; i < 60; i++) {
		struct record_value value = {.name = "rating", .kind = RECORD_VALUE_SIGNED, .number = (uint64_t)i};
		struct record_event event = {.thread = "",
					     .what = i % 2 ? "clock.registered" : "clock.selected",
					     .rule = "rule",
					     .clock = i % 3 ? "tsc" : "hpet",
					     .function = "f",
					     .file = "f.c",
					     .values = &value,
					     .value_count = 1,
					     .frames = &frame,
					     .frame_count = 1};

		succeed(store_event(store, &event, &seq));
	}
	succeed(store_row_expectation(store, &expectation));
	succeed(store_row_counter(store, &counter));
	succeed(store_close(store, true, ""));
	store_destroy(store);
}

/* Each turns a good trace into one that could mislead a trusting reader. */
static void altered_schemas(void **state)
{
	static const struct {
		const char *sql;
		const char *words;
	} cases[] = {
		{"PRAGMA user_version = 4", "newer clockscope (version 4; this reads up to 3)"},
		{"PRAGMA user_version = 0", "no version"},
		{"PRAGMA user_version = -1", "no version"},
		{"DROP TABLE counter", "no counter"},
		{"ALTER TABLE event DROP COLUMN icount", "no event.icount"},
		/* A view that never ends. */
		{"DROP TABLE counter; CREATE VIEW counter AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM "
		 "n)"
		 " SELECT i AS address, '' AS function, i AS hits, i AS first_run_ns, i AS first_cpu, i AS first_icount"
		 " FROM n",
		 "no counter"},
		/* Columns that are computed, and columns of any type. */
		{"DROP TABLE meta; CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT AS (hex(zeroblob(1000)))) "
		 "STRICT",
		 "another kind of value"},
		{"DROP TABLE meta; CREATE TABLE meta (key TEXT, value TEXT)", "no meta"},
		/* Texts that are not in the file. */
		{"DROP TABLE meta; CREATE TABLE meta (key TEXT, value TEXT DEFAULT 'long') STRICT",
		 "another kind of value"},
		/* Orders, and values, of the file's own making. */
		{"CREATE INDEX mine ON event (what COLLATE NOCASE)", "an index of its own: mine"},
		{"CREATE INDEX mine ON event (hex(zeroblob(seq)))", "an index of its own: mine"},
	};
	const struct directory *directory = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_sample(directory->trace);
		alter(directory->trace, cases[i].sql);
		refuse(directory->trace, CS_ERROR_FORMAT, cases[i].words);
		unlink(directory->trace);
	}
}

static void hostile_rows(void **state)
{
	const struct directory *directory = *state;
	struct timeline *timeline;

	make_sample(directory->trace);
	alter(directory->trace,
	      "PRAGMA ignore_check_constraints = 1;"
	      "CREATE TEMP TABLE evil AS SELECT * FROM event WHERE seq = 1;"
	      "UPDATE evil SET seq = 9223372036854775807, run_ns = -9223372036854775807, guest_ns = -1, icount = -1,"
	      " cpu = -9223372036854775808, what = 'clock.unstable', clock = char(27) || '[2J',"
	      " function = CAST(x'ff00fe' AS TEXT), line = -1;"
	      "INSERT INTO event SELECT * FROM evil;"
	      "INSERT INTO event_value VALUES (9223372036854775807, 0, 'rating', 1, 7, 'both');"
	      "INSERT INTO event_value VALUES (12345678, 0, 'nobody''s', 1, 0, NULL);"
	      "INSERT INTO frame VALUES (9223372036854775807, -5, '', '', -1, -1, 77)");
	timeline = read_timeline(directory->trace);
	assert_non_null(strstr(timeline->damage, "is damaged: a row of event is not "));
	assert_int_equal(timeline->event_count, 60); /* what is well is shown */
	timeline_destroy(timeline);
}

static void huge_text_is_damage(void **state)
{
	const struct directory *directory = *state;
	struct timeline *timeline;

	make_sample(directory->trace);
	alter(directory->trace, "UPDATE event SET function = hex(zeroblob(1000000)) WHERE seq = 30");
	timeline = read_timeline(directory->trace);
	assert_non_null(strstr(timeline->damage, "is damaged"));
	assert_false(timeline->complete);
	assert_int_equal(timeline->event_count, 29);
	assert_int_equal(timeline->counter_count, 1); /* what can be read is shown */
	timeline_destroy(timeline);
}

static void too_many_clocks(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct timeline *timeline;

	for (int i = 0; i < 400; i++) {
		char name[24];

		snprintf(name, sizeof(name), "clock%d", i);
		TELL_NO_MORE(store, "clock.registered", name);
	}
	timeline = finish(directory, store);
	assert_non_null(strstr(timeline->damage, "more than 256 clocks"));
	assert_false(timeline->complete);
	assert_int_equal(timeline->event_count, 400);
	for (size_t i = 0; i < timeline->clock_count; i++)
		assert_non_null(timeline->clocks[i].kind);
	timeline_destroy(timeline);
}

/* Prepares and runs. */
static struct cs_error *ask(struct trace *trace, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	struct cs_error *error = trace_prepare(trace, sql, &statement);
	bool row;

	if (!error)
		error = trace_step(trace, statement, &row);
	sqlite3_finalize(statement);
	return error;
}

static void questions_only_read(void **state)
{
	static const char *const refused[] = {
		"DELETE FROM event", "SELECT 1; SELECT 2",   "",
		"-- nothing",        "CREATE TABLE t (i)",   "SELECT nothing FROM event",
		"ATTACH 'x' AS x",   "VACUUM INTO 'x.copy'", "PRAGMA user_version = 7",
	};
	const struct directory *directory = *state;
	struct trace *trace = NULL;

	make_sample(directory->trace);
	succeed(trace_open(directory->trace, &trace));
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct cs_error *error = ask(trace, refused[i]);

		if (!error)
			fail_msg("done: %s", refused[i]);
		cs_error_destroy(error);
	}
	succeed(ask(trace, "SELECT count(*) FROM event; "));
	trace_destroy(trace);
	assert_int_equal(look(directory->trace, "PRAGMA user_version"), schema_version);
	assert_int_equal(directory_visit(directory, NULL), 1);
}

static void endless_question_ends(void **state)
{
	const struct directory *directory = *state;
	struct trace *trace = NULL;

	make_sample(directory->trace);
	succeed(trace_open(directory->trace, &trace));
	trace_set_limit(trace, 100000000);
	fails(ask(trace, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"),
	      CS_ERROR_FORMAT, "without end");
	trace_destroy(trace);
}

/* Opens and reads whatever lies there: an error or a timeline, but no crash, and soon. */
static bool reads(const char *path)
{
	struct trace *trace = NULL;
	struct timeline *timeline = NULL;
	struct cs_error *error = trace_open(path, &trace);

	if (!error)
		error = timeline_create(trace, &timeline);
	if (error)
		assert_true(error->message[0] && !strchr(error->message, '\n'));
	else if (timeline->damage)
		assert_false(timeline->complete);
	cs_error_destroy(error);
	timeline_destroy(timeline);
	trace_destroy(trace);
	return timeline != NULL;
}

static unsigned char *load(const char *path, size_t *length)
{
	struct stat status;
	int fd = open(path, O_RDONLY);
	unsigned char *bytes;

	assert_return_code(fstat(fd, &status), 0);
	bytes = malloc((size_t)status.st_size);
	assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
	close(fd);
	*length = (size_t)status.st_size;
	return bytes;
}

static void truncated(void **state)
{
	const struct directory *directory = *state;
	size_t length;
	FREE unsigned char *bytes = NULL;

	make_sample(directory->trace);
	bytes = load(directory->trace, &length);
	for (size_t cut = 0; cut < length; cut += cut < 200 ? 1 : 1531) {
		put_file(directory->trace, bytes, cut);
		assert_false(reads(directory->trace));
	}
	put_file(directory->trace, bytes, length);
	assert_true(reads(directory->trace));
}

static uint32_t random_state = 1;

/* Numerical Recipes' generator: the same damage in every run. */
static uint32_t random_below(size_t limit)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)random_state * limit >> 32);
}

static void bits_and_bytes_flipped(void **state)
{
	const struct directory *directory = *state;
	size_t length;
	FREE unsigned char *bytes = NULL;
	FREE unsigned char *damaged = NULL;
	int readable = 0;

	make_sample(directory->trace);
	bytes = load(directory->trace, &length);
	damaged = malloc(length);
	for (int round = 0; round < 300; round++) {
		memcpy(damaged, bytes, length);
		for (uint32_t flips = 1 + random_below(8); flips; flips--) {
			/* Half of them where SQLite keeps its pointers: the heads of pages. */
			size_t page = random_below(length / 4096) * 4096;
			size_t at = random_below(2) ? random_below(length) : page + random_below(64);

			damaged[at] ^= (unsigned char)(random_below(2) ? 1u << random_below(8) : 1 + random_below(255));
		}
		put_file(directory->trace, damaged, length);
		readable += reads(directory->trace);
	}
	assert_true(readable > 20); /* the damage must not all be of one kind */
	assert_true(readable < 280);
}

static void damaged_log(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	size_t length, log_length;
	FREE unsigned char *bytes = NULL;
	FREE unsigned char *log = NULL;
	char copy[128];
	char copy_log[160];

	for (int i = 0; i < 50; i++) {
		TELL(store, "clock.registered", "tsc", {"rating", i});
		succeed(store_flush(store));
	}
	snprintf(copy_log, sizeof(copy_log), "%s-wal", directory->trace);
	bytes = load(directory->trace, &length);
	log = load(copy_log, &log_length);
	store_destroy(store);
	snprintf(copy, sizeof(copy), "%s/copy", directory->path);
	snprintf(copy_log, sizeof(copy_log), "%s-wal", copy);
	put_file(copy, bytes, length);
	for (size_t cut = 0; cut <= log_length; cut += 4099) {
		struct timeline *timeline;

		put_file(copy_log, log, cut);
		timeline = read_timeline(copy); /* all frames before the damage */
		assert_false(timeline->complete);
		assert_true(timeline->event_count <= cut / 4096);
		timeline_destroy(timeline);
	}
	for (int round = 0; round < 80; round++) {
		log[random_below(log_length)] ^= (unsigned char)(1 + random_below(255));
		put_file(copy_log, log, log_length);
		assert_true(reads(copy));
	}
}

static void arena_has_a_limit(void **state)
{
	struct arena arena = {.limit = 100000};
	int *numbers = NULL;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		*(int *)arena_append(&arena, (void **)&numbers, &count, sizeof(int)) = i;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	assert_string_equal(arena_copy(&arena, "text and more", 4), "text");
	assert_false(arena.exhausted);
	assert_null(arena_allocate(&arena, 90000));
	assert_true(arena.exhausted);
	assert_string_equal(arena_copy(&arena, numbers, 90000), "");
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRACE_TEST(clock_is_registered_selected_lost),
		TRACE_TEST(clock_registers_again),
		TRACE_TEST(devices_are_not_clocks),
		TRACE_TEST(device_of_each_cpu_is_current),
		TRACE_TEST(mhz_as_kernels_print_it),
		TRACE_TEST(what_was_never_reached),
		TRACE_TEST(each_state_of_coverage),
		TRACE_TEST(a_state_of_coverage_that_is_partly_seen),
		TRACE_TEST(coverage_is_as_written),
		TRACE_TEST(values_and_frames_are_as_written),
		TRACE_TEST(files_that_are_no_traces),
		TRACE_TEST(altered_schemas),
		TRACE_TEST(hostile_rows),
		TRACE_TEST(huge_text_is_damage),
		TRACE_TEST(too_many_clocks),
		TRACE_TEST(questions_only_read),
		TRACE_TEST(endless_question_ends),
		TRACE_TEST(truncated),
		TRACE_TEST(bits_and_bytes_flipped),
		TRACE_TEST(damaged_log),
		cmocka_unit_test(arena_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
