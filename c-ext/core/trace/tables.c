/* SPDX-License-Identifier: MIT */
#include "trace/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define COLUMN(ROW, KIND, NAME) {#NAME, COLUMN_##KIND, offsetof(struct ROW, NAME)},
#define COLUMNS(TABLE, NAME, VERB, CONFLICT)                                                                           \
	static const struct table_column NAME##_columns[] = {TABLE_##TABLE(COLUMN, row_##NAME)};
TABLES(COLUMNS)

#define TABLE(TABLE, NAME, VERB, CONFLICT)                                                                             \
	[TRACE_##TABLE] = {#NAME, VERB, CONFLICT, NAME##_columns, ARRAY_SIZE(NAME##_columns)},
const struct table tables[TRACE_TABLE_COUNT] = {TABLES(TABLE)};

static void write_names(FILE *sql, const struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		fprintf(sql, "%s\"%s\"", i ? ", " : "", table->columns[i].name);
}

static void write_insert(FILE *sql, const struct table *table, const char *unused)
{
	(void)unused;
	fprintf(sql, "%s INTO \"%s\" (", table->verb, table->name);
	write_names(sql, table);
	fputs(") VALUES (", sql);
	for (size_t i = 0; i < table->count; i++)
		fputs(i ? ", ?" : "?", sql);
	fprintf(sql, ")%s", table->conflict);
}

static void write_select(FILE *sql, const struct table *table, const char *rest)
{
	fputs("SELECT ", sql);
	write_names(sql, table);
	fprintf(sql, " FROM \"%s\" %s", table->name, rest);
}

static char *written(enum trace_table table, void (*write)(FILE *sql, const struct table *table, const char *rest),
		     const char *rest)
{
	char *text = NULL;
	size_t length;
	FILE *sql = open_memstream(&text, &length);

	if (!sql)
		return NULL;
	write(sql, &tables[table], rest);
	if (fclose(sql) == 0)
		return text;
	free(text);
	return NULL;
}

char *table_insert_sql(enum trace_table table)
{
	return written(table, write_insert, NULL);
}

char *table_select_sql(enum trace_table table, const char *rest)
{
	return written(table, write_select, rest);
}

/* The length of TEXT, or where to cut it: not within a UTF-8 sequence. */
static size_t cut_length(const char *text, size_t length)
{
	size_t end = STORE_TEXT_MAX;

	if (length <= STORE_TEXT_MAX)
		return length;
	while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	return end;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, index, text, (int)cut_length(text, strlen(text)), SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, index);
}

static void bind_number(sqlite3_stmt *statement, int index, const int64_t *number)
{
	if (number)
		sqlite3_bind_int64(statement, index, *number);
	else
		sqlite3_bind_null(statement, index);
}

static void bind_content(sqlite3_stmt *statement, int index, const struct row_bytes *text)
{
	if (text->data)
		sqlite3_bind_text(statement, index, text->data, (int)cut_length(text->data, text->size), SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, index);
}

static void bind_column(sqlite3_stmt *statement, int index, enum column_kind kind, const void *field)
{
	const int64_t *number = field;
	const struct row_bytes *bytes = field;
	const char *const *text = field;

	switch (kind) {
	case COLUMN_NUMBER:
	case COLUMN_ADDRESS: bind_number(statement, index, number); break;
	case COLUMN_KNOWN: bind_number(statement, index, *number == RECORD_UNKNOWN ? NULL : number); break;
	case COLUMN_GIVEN: bind_number(statement, index, *(const int64_t *const *)field); break;
	case COLUMN_FLAG: sqlite3_bind_int(statement, index, *(const bool *)field); break;
	case COLUMN_TEXT:
	case COLUMN_OPTIONAL: bind_text(statement, index, *text); break;
	case COLUMN_WHOLE: sqlite3_bind_text(statement, index, *text, -1, SQLITE_STATIC); break;
	case COLUMN_CONTENT: bind_content(statement, index, bytes); break;
	case COLUMN_BLOB: sqlite3_bind_blob(statement, index, bytes->data, (int)bytes->size, SQLITE_STATIC); break;
	}
}

void table_bind(enum trace_table table, sqlite3_stmt *statement, const void *row)
{
	for (size_t i = 0; i < tables[table].count; i++) {
		const struct table_column *column = &tables[table].columns[i];

		bind_column(statement, (int)i + 1, column->kind, (const char *)row + column->offset);
	}
}

static const char *read_text(sqlite3_stmt *statement, int index, struct arena *arena)
{
	const void *data = sqlite3_column_text(statement, index);

	return arena_copy(arena, data, (size_t)sqlite3_column_bytes(statement, index));
}

static const int64_t *read_given(sqlite3_stmt *statement, int index, struct arena *arena)
{
	int64_t *number = arena_allocate(arena, sizeof(*number));

	if (number)
		*number = sqlite3_column_int64(statement, index);
	return number;
}

/* Not the column's size where memory ran out: the text is "" then. */
static struct row_bytes read_bytes(sqlite3_stmt *statement, int index, struct arena *arena)
{
	const char *data = read_text(statement, index, arena);

	return (struct row_bytes){data, arena->exhausted ? 0 : (size_t)sqlite3_column_bytes(statement, index)};
}

static void read_column(sqlite3_stmt *statement, int index, enum column_kind kind, struct arena *arena, void *field)
{
	bool is_null = sqlite3_column_type(statement, index) == SQLITE_NULL;
	int64_t number = sqlite3_column_int64(statement, index);

	switch (kind) {
	case COLUMN_NUMBER:
	case COLUMN_ADDRESS: *(int64_t *)field = number; break;
	case COLUMN_KNOWN: *(int64_t *)field = is_null ? RECORD_UNKNOWN : number; break;
	case COLUMN_GIVEN: *(const int64_t **)field = is_null ? NULL : read_given(statement, index, arena); break;
	case COLUMN_FLAG: *(bool *)field = number != 0; break;
	case COLUMN_TEXT:
	case COLUMN_WHOLE: *(const char **)field = read_text(statement, index, arena); break;
	case COLUMN_OPTIONAL: *(const char **)field = is_null ? NULL : read_text(statement, index, arena); break;
	case COLUMN_CONTENT:
	case COLUMN_BLOB:
		*(struct row_bytes *)field = is_null ? (struct row_bytes){0} : read_bytes(statement, index, arena);
		break;
	}
}

void table_read(enum trace_table table, sqlite3_stmt *statement, struct arena *arena, void *row)
{
	for (size_t i = 0; i < tables[table].count; i++) {
		const struct table_column *column = &tables[table].columns[i];

		read_column(statement, (int)i, column->kind, arena, (char *)row + column->offset);
	}
}
