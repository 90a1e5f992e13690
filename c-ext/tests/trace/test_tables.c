/* SPDX-License-Identifier: MIT */
/* The description of the tables is that of schemas/trace.sql, and a row comes back as it was written. */
#include "support/trace_support.h"
#include "trace/schema.h"
#include "trace/sql.h"
#include "trace/tables.h"

static const struct {
	const char *type;
	bool nullable;
} kinds[] = {
	[COLUMN_NUMBER] = {"INTEGER", false}, [COLUMN_ADDRESS] = {"INTEGER", false}, [COLUMN_FLAG] = {"INTEGER", false},
	[COLUMN_KNOWN] = {"INTEGER", true},   [COLUMN_GIVEN] = {"INTEGER", true},    [COLUMN_TEXT] = {"TEXT", false},
	[COLUMN_WHOLE] = {"TEXT", false},     [COLUMN_OPTIONAL] = {"TEXT", true},    [COLUMN_CONTENT] = {"TEXT", true},
	[COLUMN_BLOB] = {"BLOB", false},
};

static const struct schema_table *schema_of(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->table_count; i++)
		if (!strcmp(schema->tables[i].name, name))
			return &schema->tables[i];
	fail_msg("schemas/trace.sql has no table %s", name);
	return NULL;
}

static void compare_column(const char *table, const struct table_column *ours, const struct schema_column *column)
{
	if (strcmp(ours->name, column->name) != 0 || strcmp(kinds[ours->kind].type, column->type) != 0 ||
	    kinds[ours->kind].nullable != column->nullable)
		fail_msg("trace/tables.h has %s.%s as %s%s; schemas/trace.sql has there %s, %s%s", table, ours->name,
			 kinds[ours->kind].type, kinds[ours->kind].nullable ? "" : " NOT NULL", column->name,
			 column->type, column->nullable ? "" : " NOT NULL");
}

/* The one description is not behind the other: a table or column that was forgotten is named. */
static void all_tables_are_described(void **state)
{
	const struct schema *schema = &schema_described;

	(void)state;
	assert_int_equal(schema->table_count, TRACE_TABLE_COUNT);
	for (size_t i = 0; i < TRACE_TABLE_COUNT; i++) {
		const struct schema_table *table = schema_of(schema, tables[i].name);

		if (tables[i].count != table->column_count)
			fail_msg("trace/tables.h has %zu columns of %s, schemas/trace.sql %zu", tables[i].count,
				 table->name, table->column_count);
		for (size_t column = 0; column < table->column_count; column++)
			compare_column(table->name, &tables[i].columns[column], &table->columns[column]);
	}
}

static sqlite3 *empty_trace(void)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	succeed(sql_execute(db, "a trace", schema_sql));
	succeed(sql_execute(db, "a trace", "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON"));
	return db;
}

static const int64_t number = 77;

/* Fills each field with something else than nothing. */
static void fill(const struct table_column *column, void *field, bool null)
{
	switch (column->kind) {
	case COLUMN_NUMBER:
	case COLUMN_ADDRESS: *(int64_t *)field = (int64_t)column->offset + 1; break;
	case COLUMN_KNOWN: *(int64_t *)field = null ? RECORD_UNKNOWN : (int64_t)column->offset + 1; break;
	case COLUMN_GIVEN: *(const int64_t **)field = null ? NULL : &number; break;
	case COLUMN_FLAG: *(bool *)field = true; break;
	case COLUMN_TEXT:
	case COLUMN_WHOLE: *(const char **)field = column->name; break;
	case COLUMN_OPTIONAL: *(const char **)field = null ? NULL : column->name; break;
	case COLUMN_CONTENT:
		*(struct row_bytes *)field = null ? (struct row_bytes){0} : (struct row_bytes){"a\0b", 3};
		break;
	case COLUMN_BLOB: *(struct row_bytes *)field = (struct row_bytes){"a\0b", 3}; break;
	}
}

static bool same(const struct table_column *column, const void *a, const void *b)
{
	const int64_t *const *given[] = {a, b};
	const char *const *text[] = {a, b};
	const struct row_bytes *bytes[] = {a, b};

	switch (column->kind) {
	case COLUMN_NUMBER:
	case COLUMN_ADDRESS:
	case COLUMN_KNOWN: return *(const int64_t *)a == *(const int64_t *)b;
	case COLUMN_GIVEN: return *given[0] && *given[1] ? **given[0] == **given[1] : *given[0] == *given[1];
	case COLUMN_FLAG: return *(const bool *)a == *(const bool *)b;
	case COLUMN_TEXT:
	case COLUMN_WHOLE:
	case COLUMN_OPTIONAL: return *text[0] && *text[1] ? !strcmp(*text[0], *text[1]) : *text[0] == *text[1];
	case COLUMN_CONTENT:
	case COLUMN_BLOB:
		return bytes[0]->size == bytes[1]->size && !bytes[0]->data == !bytes[1]->data &&
		       (!bytes[0]->size || !memcmp(bytes[0]->data, bytes[1]->data, bytes[0]->size));
	}
	return false;
}

union any_row {
#define MEMBER(TABLE, NAME, VERB, CONFLICT) struct row_##NAME NAME;
	TABLES(MEMBER)
};

static void write_and_read(sqlite3 *db, enum trace_table which, bool null)
{
	const struct table *table = &tables[which];
	FREE char *insert = table_insert_sql(which);
	FREE char *select = table_select_sql(which, "LIMIT 1");
	struct arena arena = {.limit = 1 << 16};
	union any_row written = {0};
	union any_row read = {0};
	sqlite3_stmt *statement = NULL;

	for (size_t i = 0; i < table->count; i++)
		fill(&table->columns[i], (char *)&written + table->columns[i].offset, null);
	succeed(sql_prepare(db, "a trace", insert, &statement));
	table_bind(which, statement, &written);
	assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
	sqlite3_finalize(statement);
	succeed(sql_prepare(db, "a trace", select, &statement));
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	table_read(which, statement, &arena, &read);
	for (size_t i = 0; i < table->count; i++)
		if (!same(&table->columns[i], (char *)&written + table->columns[i].offset,
			  (char *)&read + table->columns[i].offset))
			fail_msg("%s.%s is not read as it was written", table->name, table->columns[i].name);
	sqlite3_finalize(statement);
	arena_release(&arena);
}

static void rows_come_back(void **state)
{
	(void)state;
	for (unsigned null = 0; null < 2; null++) {
		sqlite3 *db = empty_trace();

		for (unsigned table = 0; table < TRACE_TABLE_COUNT; table++)
			write_and_read(db, (enum trace_table)table, null);
		sqlite3_close(db);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_tables_are_described),
		cmocka_unit_test(rows_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
