/* SPDX-License-Identifier: MIT */
#include "trace/timeline.h"

#include <stdio.h>
#include <string.h>

#include "trace/sql.h"

#define MEMORY_LIMIT ((size_t)512 << 20)

/* What follows takes column COLUMN of the current row, whatever a hostile file holds there. */

static const char *text(struct timeline *timeline, sqlite3_stmt *row, int column)
{
	const void *data = sqlite3_column_text(row, column);

	return arena_copy(&timeline->arena, data, (size_t)sqlite3_column_bytes(row, column));
}

static int64_t known(sqlite3_stmt *row, int column)
{
	return sqlite3_column_type(row, column) == SQLITE_NULL ? RECORD_UNKNOWN : sqlite3_column_int64(row, column);
}

static struct cs_error *take_fact(struct timeline *timeline, sqlite3_stmt *row)
{
	struct timeline_fact *fact =
		arena_append(&timeline->arena, (void **)&timeline->facts, &timeline->fact_count, sizeof(*fact));

	if (fact)
		*fact = (struct timeline_fact){text(timeline, row, 0), text(timeline, row, 1)};
	return NULL;
}

static struct cs_error *take_event(struct timeline *timeline, sqlite3_stmt *row)
{
	struct record_event *event;
	int64_t seq = sqlite3_column_int64(row, 0);

	/* Pages that lead in a circle would yield rows for ever. */
	if (timeline->event_count && seq <= timeline->events[timeline->event_count - 1].seq)
		return cs_error_create(CS_ERROR_FORMAT, "the events are out of order");
	event = arena_append(&timeline->arena, (void **)&timeline->events, &timeline->event_count, sizeof(*event));
	if (!event)
		return NULL;
	*event = (struct record_event){
		.seq = seq,
		.run_ns = sqlite3_column_int64(row, 1),
		.guest_ns = known(row, 2),
		.icount = known(row, 3),
		.cpu = sqlite3_column_int64(row, 4),
		.thread = text(timeline, row, 5),
		.what = text(timeline, row, 6),
		.rule = text(timeline, row, 7),
		.clock = sqlite3_column_type(row, 8) == SQLITE_NULL ? NULL : text(timeline, row, 8),
		.function = text(timeline, row, 9),
		.file = text(timeline, row, 10),
		.line = sqlite3_column_int64(row, 11),
		.address = (uint64_t)sqlite3_column_int64(row, 12),
		.tsc = known(row, 13),
	};
	return NULL;
}

static int compare_seq(const void *key, const void *element)
{
	int64_t seq = *(const int64_t *)key;
	const struct record_event *event = element;

	return (seq > event->seq) - (seq < event->seq);
}

/* The event that column 0 of a value or frame names; NULL: it was not read. */
static struct record_event *event_of(struct timeline *timeline, sqlite3_stmt *row)
{
	int64_t seq = sqlite3_column_int64(row, 0);

	if (!timeline->event_count)
		return NULL;
	return bsearch(&seq, timeline->events, timeline->event_count, sizeof(*timeline->events), compare_seq);
}

static enum record_value_kind kind_of(sqlite3_stmt *row)
{
	if (sqlite3_column_type(row, 2) != SQLITE_NULL)
		return sqlite3_column_int(row, 3) ? RECORD_VALUE_UNSIGNED : RECORD_VALUE_SIGNED;
	return sqlite3_column_type(row, 4) == SQLITE_NULL ? RECORD_VALUE_UNREADABLE : RECORD_VALUE_TEXT;
}

static struct cs_error *take_value(struct timeline *timeline, sqlite3_stmt *row)
{
	struct record_event *event = event_of(timeline, row);
	struct record_value *value =
		event ? arena_append(&timeline->arena, (void **)&event->values, &event->value_count, sizeof(*value))
		      : NULL;

	if (!value)
		return NULL;
	value->name = text(timeline, row, 1);
	value->kind = kind_of(row);
	value->number = (uint64_t)sqlite3_column_int64(row, 2);
	if (value->kind == RECORD_VALUE_TEXT) {
		value->text = text(timeline, row, 4);
		/* Not the column's length: the text is "" when memory ran out. */
		value->length = timeline->arena.exhausted ? 0 : (size_t)sqlite3_column_bytes(row, 4);
	}
	return NULL;
}

static struct cs_error *take_frame(struct timeline *timeline, sqlite3_stmt *row)
{
	struct record_event *event = event_of(timeline, row);
	struct record_frame *frame =
		event ? arena_append(&timeline->arena, (void **)&event->frames, &event->frame_count, sizeof(*frame))
		      : NULL;

	if (frame)
		*frame = (struct record_frame){
			.function = text(timeline, row, 1),
			.file = text(timeline, row, 2),
			.line = sqlite3_column_int64(row, 3),
			.address = (uint64_t)sqlite3_column_int64(row, 4),
			.inlined = sqlite3_column_int(row, 5) != 0,
		};
	return NULL;
}

static struct cs_error *take_never_reached(struct timeline *timeline, sqlite3_stmt *row)
{
	struct record_expectation *expectation = arena_append(&timeline->arena, (void **)&timeline->never_reached,
							      &timeline->never_reached_count, sizeof(*expectation));

	if (expectation)
		*expectation = (struct record_expectation){
			.rule = text(timeline, row, 0),
			.what = text(timeline, row, 1),
			.function = text(timeline, row, 2),
			.status = text(timeline, row, 3),
			.note = text(timeline, row, 4),
		};
	return NULL;
}

static struct cs_error *take_counter(struct timeline *timeline, sqlite3_stmt *row)
{
	struct record_counter *counter = arena_append(&timeline->arena, (void **)&timeline->counters,
						      &timeline->counter_count, sizeof(*counter));

	if (counter)
		*counter = (struct record_counter){
			.address = (uint64_t)sqlite3_column_int64(row, 0),
			.function = text(timeline, row, 1),
			.hits = sqlite3_column_int64(row, 2),
			.first_run_ns = known(row, 3),
			.first_cpu = known(row, 4),
			.first_icount = known(row, 5),
		};
	return NULL;
}

static const struct {
	const char *sql;
	struct cs_error *(*take)(struct timeline *timeline, sqlite3_stmt *row);
} questions[] = {
	{"SELECT key, value FROM meta ORDER BY key", take_fact},
	{"SELECT seq, run_ns, guest_ns, icount, cpu, thread, what, rule, clock, function, file, line, address,"
	 " tsc FROM event ORDER BY seq",
	 take_event},
	{"SELECT event, name, number, is_unsigned, text FROM event_value ORDER BY event, ordinal", take_value},
	{"SELECT event, function, file, line, address, inlined FROM frame ORDER BY event, level", take_frame},
	{"SELECT rule, what, function, status, note FROM expectation"
	 " WHERE rule NOT IN (SELECT rule FROM event)"
	 " AND function NOT IN (SELECT function FROM counter WHERE hits > 0) ORDER BY rowid",
	 take_never_reached},
	{"SELECT address, function, hits, first_run_ns, first_cpu, first_icount FROM counter"
	 " ORDER BY first_run_ns IS NULL, first_run_ns, function",
	 take_counter},
};

static struct cs_error *ask(struct timeline *timeline, struct trace *trace, size_t question)
{
	SQL_STATEMENT *row = NULL;
	bool is_row;

	CS_TRY(trace_prepare(trace, questions[question].sql, &row));
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

const char *timeline_fact(const struct timeline *timeline, const char *key)
{
	for (size_t i = 0; i < timeline->fact_count; i++)
		if (!strcmp(timeline->facts[i].key, key))
			return timeline->facts[i].value;
	return "";
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
