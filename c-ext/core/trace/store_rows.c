/* SPDX-License-Identifier: MIT */
/* The rows of a recording: one INSERT a table, as tables.h describes it, every value bound. */
#include "trace/store_rows.h"

#include <string.h>

#include "trace/store_batch.h"

/* An event's row has its values and frames behind it. */
_Static_assert(offsetof(struct record_event, address) == offsetof(struct row_event, address),
	       "an event begins as its row does");

static const char note_sql[] = "UPDATE function SET note = note || iif(note = '', '', '; ') || ?2 WHERE id = ?1";
static const char shielded_sql[] =
	"UPDATE function SET note = note || iif(note = '', '', '; ') || 'not watched while ' ||"
	" (SELECT name FROM function WHERE id = ?2) || ' is under way, which calls it in a timing window'"
	" WHERE id = ?1";

static const char *const statement_sql[STORE_STATEMENT_COUNT] = {
	[STORE_LAST_ORDINAL] = "SELECT coalesce(max(ordinal), -1) FROM event_value WHERE event = ?",
	[STORE_NOTE] = note_sql,
	[STORE_NOTE_SHIELDED] = shielded_sql,
	[STORE_BEGIN] = "BEGIN",
	[STORE_COMMIT] = "COMMIT",
};

static struct cs_error *prepare_insert(struct store *store, enum trace_table table)
{
	FREE char *sql = table_insert_sql(table);

	return sql ? sql_prepare(store->db, store->name, sql, &store->statements[table]) : &cs_error_no_memory;
}

struct cs_error *store_prepare(struct store *store)
{
	for (unsigned i = 0; i < TRACE_TABLE_COUNT; i++)
		CS_TRY(prepare_insert(store, (enum trace_table)i));
	for (unsigned i = TRACE_TABLE_COUNT; i < STORE_STATEMENT_COUNT; i++)
		CS_TRY(sql_prepare(store->db, store->name, statement_sql[i], &store->statements[i]));
	return NULL;
}

int64_t store_next_seq(struct store *store)
{
	STORE_LOCKED(store);

	return ++store->last_seq;
}

int64_t store_host_ns(const struct store *store)
{
	return (int64_t)(util_now_ns() - store->began_ns);
}

struct cs_error *store_insert(struct store *store, enum trace_table table, const void *row)
{
	table_bind(table, store->statements[table], row);
	store->pending++;
	return store_run(store, table);
}

struct cs_error *store_row(struct store *store, enum trace_table table, const void *row)
{
	STORE_LOCKED(store);

	CS_TRY(store_begin(store));
	return store_insert(store, table, row);
}

struct cs_error *store_put_meta(struct store *store, const char *key, const char *value)
{
	const struct row_meta row = {key, value};

	CS_TRY(store_begin(store));
	if (strlen(value) > STORE_LENGTH_MAX)
		return cs_error_create(CS_ERROR_ARGUMENT, "%s: the value of '%s' is too long to be kept (%zu bytes)",
				       store->name, key, strlen(value));
	return store_insert_meta(store, &row);
}

struct cs_error *store_meta(struct store *store, const char *key, const char *value)
{
	STORE_LOCKED(store);

	return store_put_meta(store, key, value);
}

static struct cs_error *put_value(struct store *store, int64_t seq, int64_t ordinal, const struct record_value *value)
{
	const int64_t number = (int64_t)value->number;
	bool is_number = value->kind == RECORD_VALUE_SIGNED || value->kind == RECORD_VALUE_UNSIGNED;
	bool is_text = value->kind == RECORD_VALUE_TEXT;
	const struct row_event_value row = {
		.event = seq,
		.ordinal = ordinal,
		.name = value->name,
		.number = is_number ? &number : NULL,
		.is_unsigned = value->kind == RECORD_VALUE_UNSIGNED && value->number > INT64_MAX,
		.text = {is_text ? value->text : NULL, is_text ? value->length : 0},
	};

	return store_insert_event_value(store, &row);
}

static struct cs_error *put_frame(struct store *store, int64_t seq, size_t level, const struct row_frame *frame)
{
	struct row_frame row = *frame;

	row.event = seq;
	row.level = (int64_t)level;
	return store_insert_frame(store, &row);
}

struct cs_error *store_event(struct store *store, const struct record_event *event, int64_t *seq)
{
	STORE_LOCKED(store);
	struct record_event row = *event;

	CS_TRY(store_begin(store));
	row.seq = store->last_seq + 1;
	row.host_ns = store_host_ns(store);
	CS_TRY(store_insert(store, TRACE_EVENT, &row));
	store->last_seq = row.seq;
	for (size_t i = 0; i < event->value_count; i++)
		CS_TRY(put_value(store, row.seq, (int64_t)i, &event->values[i]));
	for (size_t i = 0; i < event->frame_count; i++)
		CS_TRY(put_frame(store, row.seq, i, &event->frames[i]));
	*seq = row.seq;
	return NULL;
}

static struct cs_error *last_ordinal(struct store *store, int64_t seq, int64_t *ordinal)
{
	sqlite3_stmt *statement = store->statements[STORE_LAST_ORDINAL];
	struct cs_error *error = NULL;

	sqlite3_bind_int64(statement, 1, seq);
	if (sqlite3_step(statement) == SQLITE_ROW)
		*ordinal = sqlite3_column_int64(statement, 0);
	else
		error = sql_error(store->db, sqlite3_errcode(store->db), store->name);
	sqlite3_reset(statement);
	return error;
}

struct cs_error *store_add_value(struct store *store, int64_t seq, const struct record_value *value)
{
	STORE_LOCKED(store);
	struct cs_error *error;
	int64_t last;

	CS_TRY(store_begin(store));
	CS_TRY(last_ordinal(store, seq, &last));
	error = put_value(store, seq, last + 1, value);
	if (!error || error->code != CS_ERROR_ARGUMENT)
		return error;
	cs_error_destroy(error);
	return cs_error_create(CS_ERROR_ARGUMENT, "%s has no event %lld", store->name, (long long)seq);
}
