/* SPDX-License-Identifier: MIT */
#include "trace/timeline.h"

#include <stdio.h>
#include <string.h>

#include "trace/sql.h"
#include "trace/timeline_clocks.h"

#define MEMORY_LIMIT ((size_t)512 << 20)

static struct cs_error *take_fact(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct row_meta *fact =
		arena_append(&timeline->arena, (void **)&timeline->facts, &timeline->fact_count, sizeof(*fact));

	if (fact)
		table_read(TRACE_META, statement, &timeline->arena, fact);
	return NULL;
}

static struct cs_error *take_event(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct record_event *event;
	struct record_event row = {0};

	table_read(TRACE_EVENT, statement, &timeline->arena, &row);
	/* Pages that lead in a circle would yield rows for ever. */
	if (timeline->event_count && row.seq <= timeline->events[timeline->event_count - 1].seq)
		return cs_error_create(CS_ERROR_FORMAT, "the events are out of order");
	event = arena_append(&timeline->arena, (void **)&timeline->events, &timeline->event_count, sizeof(*event));
	if (event)
		*event = row;
	return NULL;
}

static int compare_seq(const void *key, const void *element)
{
	int64_t seq = *(const int64_t *)key;
	const struct record_event *event = element;

	return (seq > event->seq) - (seq < event->seq);
}

/* The event that a value or a frame names; NULL: it was not read. */
static struct record_event *event_of(struct timeline *timeline, int64_t seq)
{
	if (!timeline->event_count)
		return NULL;
	return bsearch(&seq, timeline->events, timeline->event_count, sizeof(*timeline->events), compare_seq);
}

static enum record_value_kind kind_of(const struct row_event_value *row)
{
	if (row->number)
		return row->is_unsigned ? RECORD_VALUE_UNSIGNED : RECORD_VALUE_SIGNED;
	return row->text.data ? RECORD_VALUE_TEXT : RECORD_VALUE_UNREADABLE;
}

static struct cs_error *take_value(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct row_event_value row = {0};
	struct record_event *event;
	struct record_value *value;

	table_read(TRACE_EVENT_VALUE, statement, &timeline->arena, &row);
	event = event_of(timeline, row.event);
	value = event ? arena_append(&timeline->arena, (void **)&event->values, &event->value_count, sizeof(*value))
		      : NULL;
	if (value)
		*value = (struct record_value){
			.name = row.name,
			.kind = kind_of(&row),
			.number = row.number ? (uint64_t)*row.number : 0,
			.text = row.number ? NULL : row.text.data,
			.length = row.number ? 0 : row.text.size,
		};
	return NULL;
}

static struct cs_error *take_frame(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct row_frame row = {0};
	struct record_event *event;
	struct row_frame *frame;

	table_read(TRACE_FRAME, statement, &timeline->arena, &row);
	event = event_of(timeline, row.event);
	frame = event ? arena_append(&timeline->arena, (void **)&event->frames, &event->frame_count, sizeof(*frame))
		      : NULL;
	if (frame)
		*frame = row;
	return NULL;
}

static struct cs_error *take_unseen(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct row_expectation *expectation = arena_append(&timeline->arena, (void **)&timeline->unseen,
							   &timeline->unseen_count, sizeof(*expectation));

	if (expectation)
		table_read(TRACE_EXPECTATION, statement, &timeline->arena, expectation);
	return NULL;
}

/* Whether a row is the next of the unseen: they come in the same order. */
static bool is_unseen(struct timeline *timeline, const struct row_expectation *row)
{
	const struct row_expectation *next;
	bool same;

	if (timeline->unseen_taken == timeline->unseen_count)
		return false;
	next = &timeline->unseen[timeline->unseen_taken];
	same = !strcmp(next->rule, row->rule) && !strcmp(next->function, row->function);
	timeline->unseen_taken += same;
	return same;
}

static struct coverage_span span_of(const struct timeline *timeline)
{
	return (struct coverage_span){
		.complete = !strcmp(timeline_fact(timeline, "complete"), "1") &&
			    strcmp(timeline_fact(timeline, "plan.ended"), "early") != 0,
		.late = !strcmp(timeline_fact(timeline, "plan.began"), "late"),
		.log = !strcmp(timeline_fact(timeline, "stub.mode"), "log"),
	};
}

static struct cs_error *take_coverage(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct coverage_span span = span_of(timeline);
	struct coverage *absent, *coverage = arena_append(&timeline->arena, (void **)&timeline->coverage,
							  &timeline->coverage_count, sizeof(*coverage));

	if (!coverage)
		return NULL;
	*coverage = (struct coverage){0};
	table_read(TRACE_EXPECTATION, statement, &timeline->arena, &coverage->expectation);
	coverage->happened = !is_unseen(timeline, &coverage->expectation);
	coverage->state = coverage_state(coverage, &span);
	if (coverage->happened || coverage->expectation.optional)
		return NULL;
	absent = arena_append(&timeline->arena, (void **)&timeline->never_reached, &timeline->never_reached_count,
			      sizeof(*absent));
	if (absent)
		*absent = timeline->coverage[timeline->coverage_count - 1];
	return NULL;
}

static struct cs_error *take_counter(struct timeline *timeline, sqlite3_stmt *statement)
{
	struct row_counter *counter = arena_append(&timeline->arena, (void **)&timeline->counters,
						   &timeline->counter_count, sizeof(*counter));

	if (counter)
		table_read(TRACE_COUNTER, statement, &timeline->arena, counter);
	return NULL;
}

static const struct {
	enum trace_table table;
	const char *rest;
	struct cs_error *(*take)(struct timeline *timeline, sqlite3_stmt *statement);
} questions[] = {
	{TRACE_META, "ORDER BY key", take_fact},
	{TRACE_EVENT, "ORDER BY seq", take_event},
	{TRACE_EVENT_VALUE, "ORDER BY event, ordinal", take_value},
	{TRACE_FRAME, "ORDER BY event, level", take_frame},
	/* A counter tells of a function that ran; where its rule was judged as well, that counts. */
	{TRACE_EXPECTATION,
	 "WHERE rule NOT IN (SELECT rule FROM event) AND (reached IS NOT NULL"
	 " OR function NOT IN (SELECT function FROM counter WHERE hits > 0)) ORDER BY rowid",
	 take_unseen},
	{TRACE_EXPECTATION, "ORDER BY rowid", take_coverage},
	{TRACE_COUNTER, "ORDER BY first_run_ns IS NULL, first_run_ns, function", take_counter},
};

static struct cs_error *ask(struct timeline *timeline, struct trace *trace, size_t question)
{
	FREE char *sql = table_select_sql(questions[question].table, questions[question].rest);
	SQL_STATEMENT *row = NULL;
	bool is_row;

	if (!sql)
		return &cs_error_no_memory;
	CS_TRY(trace_prepare(trace, sql, &row));
	for (;;) {
		CS_TRY(trace_step(trace, row, &is_row));
		if (!is_row)
			return trace_end(trace);
		CS_TRY(questions[question].take(timeline, row));
		if (timeline->arena.exhausted)
			return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: its rows take more than %zu MiB",
					       trace_path(trace), timeline->arena.limit >> 20);
	}
}

/* Keeps the first word about damage, which is shown with the rows that could be read; other errors are
 * passed on. */
static struct cs_error *tolerate(struct timeline *timeline, const char *path, struct cs_error *error)
{
	if (!error || error->code != CS_ERROR_FORMAT)
		return error;
	if (!timeline->damage && strstr(error->message, " is damaged: "))
		timeline->damage = strdup(error->message);
	else if (!timeline->damage && asprintf(&timeline->damage, "%s is damaged: %s", path, error->message) < 0)
		timeline->damage = NULL;
	cs_error_destroy(error);
	return NULL;
}

static void timeline_guard(struct timeline **timeline)
{
	timeline_destroy(*timeline);
}

/* Damage costs the rows that have it, and no others. */
static struct cs_error *read_all(struct timeline *timeline, struct trace *trace)
{
	struct cs_error *error = NULL;

	trace_set_lenient(trace, true);
	for (size_t i = 0; i < ARRAY_SIZE(questions) && !error; i++)
		error = tolerate(timeline, trace_path(trace), ask(timeline, trace, i));
	trace_set_lenient(trace, false);
	return error;
}

struct cs_error *timeline_create(struct trace *trace, struct timeline **ret)
{
	CLEANUP(timeline_guard) struct timeline *timeline = calloc(1, sizeof(*timeline));

	if (!timeline)
		return &cs_error_no_memory;
	timeline->arena.limit = trace_allowance(trace) < MEMORY_LIMIT ? (size_t)trace_allowance(trace) : MEMORY_LIMIT;
	CS_TRY(read_all(timeline, trace));
	CS_TRY(tolerate(timeline, trace_path(trace), timeline_find_clocks(timeline)));
	timeline->complete = !timeline->damage && !strcmp(timeline_fact(timeline, "complete"), "1");
	*ret = TAKE_PTR(timeline);
	return NULL;
}

void timeline_destroy(struct timeline *timeline)
{
	if (!timeline)
		return;
	arena_release(&timeline->arena);
	free(timeline->damage);
	free(timeline);
}
