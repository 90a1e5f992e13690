/* SPDX-License-Identifier: MIT */
#include "trace/checked.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "trace/migrate.h"
#include "trace/schema.h"
#include "trace/sql.h"

#define ROW_FUNCTION "clockscope_row"
/* No table of ours has so many columns. */
#define COLUMNS_MAX 64

struct checked {
	char *damage;
	bool lenient;
};

/* What a file has of one of our tables. */
struct found {
	bool exists;
	bool numbered;
	bool columns[COLUMNS_MAX];
};

struct inspection {
	sqlite3 *db;
	const char *path;
	int64_t version;
	struct found *found; /* for each table of ours */
};

/* ---------------------------------------------------------------- rows */

static const char *const type_names[] = {
	[SQLITE_INTEGER] = "INTEGER", [SQLITE_FLOAT] = "REAL", [SQLITE_TEXT] = "TEXT",
	[SQLITE_BLOB] = "BLOB",       [SQLITE_NULL] = "NULL",
};

static void __attribute__((format(printf, 3, 4)))
refuse(sqlite3_context *context, struct checked *checked, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!checked->damage && vasprintf(&checked->damage, format, arguments) < 0)
		checked->damage = NULL;
	va_end(arguments);
	if (checked->lenient)
		sqlite3_result_int(context, 0);
	else
		sqlite3_result_error_code(context, SQLITE_CORRUPT);
}

static bool fits(const struct schema_column *column, sqlite3_value *value)
{
	int type = sqlite3_value_type(value);

	return type == SQLITE_NULL ? column->nullable : !strcmp(type_names[type], column->type);
}

/* clockscope_row(table, column …, rule …): 1, or an error; in lenient questions 0. */
static void check_row(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct checked *checked = sqlite3_user_data(context);
	const struct schema_table *table = &schema_described.tables[sqlite3_value_int(values[0])];

	(void)count;
	values++;
	for (size_t i = 0; i < table->column_count; i++, values++) {
		const struct schema_column *column = &table->columns[i];

		if (!fits(column, *values)) {
			refuse(context, checked, "%s.%s holds a value of type %s, not %s", table->name, column->name,
			       type_names[sqlite3_value_type(*values)], column->type);
			return;
		}
	}
	for (size_t i = 0; i < table->rule_count; i++, values++)
		if (sqlite3_value_type(*values) != SQLITE_NULL && !sqlite3_value_int(*values)) {
			refuse(context, checked, "a row of %s %s", table->name, table->rules[i].words);
			return;
		}
	sqlite3_result_int(context, 1);
}

/* ---------------------------------------------------------------- tables */

static struct cs_error *not_ours(const struct inspection *inspection, const char *what, const char *name)
{
	return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: its tables are not a trace's (%s%s)", inspection->path,
			       what, name);
}

static struct cs_error *step(const struct inspection *inspection, sqlite3_stmt *statement, bool *row)
{
	int rc = sqlite3_step(statement);

	*row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? NULL : sql_error(inspection->db, rc, inspection->path);
}

/* A computed column, or one with a DEFAULT of its own, may be of any size, however small the file. */
static struct cs_error *take_column(const struct inspection *inspection, const struct schema_table *table,
				    sqlite3_stmt *row, struct found *found)
{
	const char *name = (const char *)sqlite3_column_text(row, 0);
	const char *type = (const char *)sqlite3_column_text(row, 1);
	const char *standard = (const char *)sqlite3_column_text(row, 2);

	for (size_t i = 0; name && type && standard && i < table->column_count; i++) {
		const struct schema_column *column = &table->columns[i];

		if (strcmp(column->name, name) != 0)
			continue;
		if (strcmp(column->type, type) != 0 || strcmp(column->standard, standard) != 0 ||
		    sqlite3_column_int(row, 3))
			return not_ours(inspection, "another kind of ", name);
		found->columns[i] = true;
	}
	return NULL;
}

static size_t number_of(const char *table)
{
	size_t i = 0;

	while (i < schema_described.table_count && sqlite3_stricmp(table, schema_described.tables[i].name) != 0)
		i++;
	return i;
}

/* One question for all columns of all tables: SQLite looks at all tables and views for each that is asked for alone. */
static const char tables_sql[] =
	"SELECT x.name, x.type, coalesce(x.dflt_value, ''), x.hidden, l.wr, l.name FROM pragma_table_list AS l"
	" JOIN pragma_table_xinfo AS x ON x.arg = l.name AND x.schema = 'main'"
	" WHERE l.schema = 'main' AND l.type = 'table' AND l.strict AND instr(?, '|' || lower(l.name) || '|')";

static struct cs_error *find_tables(const struct inspection *inspection)
{
	SQL_STATEMENT *row = NULL;
	bool is_row;

	CS_TRY(sql_prepare(inspection->db, inspection->path, tables_sql, &row));
	sqlite3_bind_text(row, 1, schema_described.names, -1, SQLITE_STATIC);
	for (;;) {
		const char *table;
		size_t number;

		CS_TRY(step(inspection, row, &is_row));
		if (!is_row)
			return NULL;
		table = (const char *)sqlite3_column_text(row, 5);
		number = table ? number_of(table) : schema_described.table_count;
		if (number == schema_described.table_count)
			continue;
		inspection->found[number].exists = true;
		inspection->found[number].numbered = !sqlite3_column_int(row, 4);
		CS_TRY(take_column(inspection, &schema_described.tables[number], row, &inspection->found[number]));
	}
}

/* An index may hold what the table does not, and one by an expression does what it likes. */
static struct cs_error *check_indices(const struct inspection *inspection)
{
	SQL_STATEMENT *row = NULL;
	bool is_row;

	CS_TRY(sql_prepare(inspection->db, inspection->path,
			   "SELECT name FROM main.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
			   " AND instr('; ' || ?1 || ';', '; ' || sql || ';') = 0",
			   &row));
	sqlite3_bind_text(row, 1, schema_described.indices, -1, SQLITE_STATIC);
	CS_TRY(step(inspection, row, &is_row));
	if (is_row)
		return not_ours(inspection, "an index of its own: ", (const char *)sqlite3_column_text(row, 0));
	return NULL;
}

/* ---------------------------------------------------------------- views */

/* The columns of a table as ours, from what the file has. */
static struct cs_error *write_columns(FILE *sql, const struct inspection *inspection, const struct schema_table *table,
				      const struct found *found)
{
	for (size_t i = 0; i < table->column_count; i++) {
		const char *column = table->columns[i].name;
		const char *value = migrate_value(inspection->version, table->name, column);

		if (!found->exists)
			value = "NULL";
		else if (!found->columns[i] && !value)
			return cs_error_create(CS_ERROR_FORMAT,
					       "%s is damaged: its tables are not a trace's (no %s.%s)",
					       inspection->path, table->name, column);
		if (found->columns[i])
			fprintf(sql, "%s\"%s\"", i ? ", " : "", column);
		else
			fprintf(sql, "%s%s AS \"%s\"", i ? ", " : "", value, column);
	}
	if (table->numbered)
		fputs(found->numbered ? ", rowid AS rowid" : ", NULL AS rowid", sql);
	return NULL;
}

/* Where a file has all columns, the view is as flat as may be. */
static bool is_whole(const struct schema_table *table, const struct found *found)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (!found->columns[i])
			return false;
	return true;
}

static void write_condition(FILE *sql, const struct schema_table *table, size_t number)
{
	fprintf(sql, " WHERE " ROW_FUNCTION "(%zu", number);
	for (size_t i = 0; i < table->column_count; i++)
		fprintf(sql, ", \"%s\"", table->columns[i].name);
	for (size_t i = 0; i < table->rule_count; i++)
		fprintf(sql, ", (%s)", table->rules[i].sql);
	fputc(')', sql);
}

static struct cs_error *write_view(FILE *sql, const struct inspection *inspection, size_t number,
				   const struct found *found)
{
	const struct schema_table *table = &schema_described.tables[number];

	fprintf(sql, "CREATE TEMP VIEW \"%s\" AS SELECT ", table->name);
	if (!found->exists || is_whole(table, found)) {
		CS_TRY(write_columns(sql, inspection, table, found));
		if (!found->exists)
			fputs(" WHERE 0", sql);
		else
			fprintf(sql, " FROM main.\"%s\"", table->name);
	} else {
		fputs("* FROM (SELECT ", sql);
		CS_TRY(write_columns(sql, inspection, table, found));
		fprintf(sql, " FROM main.\"%s\") AS \"%s\"", table->name, table->name);
	}
	if (found->exists)
		write_condition(sql, table, number);
	return NULL;
}

/* All of them at once. */
static struct cs_error *write_views(FILE *sql, const struct inspection *inspection)
{
	for (size_t i = 0; i < schema_described.table_count; i++) {
		const char *table = schema_described.tables[i].name;

		if (!inspection->found[i].exists && !migrate_may_lack(inspection->version, table))
			return not_ours(inspection, "no ", table);
		CS_TRY(write_view(sql, inspection, i, &inspection->found[i]));
		fputs(";\n", sql);
	}
	return NULL;
}

static struct cs_error *make_views(const struct inspection *inspection)
{
	FREE char *sql = NULL;
	size_t length = 0;
	struct cs_error *error;
	FILE *stream = open_memstream(&sql, &length);

	if (!stream)
		return &cs_error_no_memory;
	error = write_views(stream, inspection);
	if (fclose(stream) != 0 && !error)
		error = &cs_error_no_memory;
	return error ? error : sql_execute(inspection->db, inspection->path, sql);
}

static void checked_guard(struct checked **checked)
{
	checked_destroy(*checked);
}

struct cs_error *checked_create(sqlite3 *db, const char *path, int64_t version, struct checked **ret)
{
	CLEANUP(checked_guard) struct checked *checked = calloc(1, sizeof(*checked));
	FREE struct found *found = calloc(schema_described.table_count, sizeof(*found));
	struct inspection inspection = {db, path, version, found};
	int rc;

	if (!checked || !found)
		return &cs_error_no_memory;
	CS_TRY(check_indices(&inspection));
	CS_TRY(find_tables(&inspection));
	rc = sqlite3_create_function(db, ROW_FUNCTION, -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, checked, check_row, NULL,
				     NULL);
	if (rc != SQLITE_OK)
		return sql_error(db, rc, path);
	CS_TRY(make_views(&inspection));
	*ret = TAKE_PTR(checked);
	return NULL;
}

void checked_destroy(struct checked *checked)
{
	if (!checked)
		return;
	free(checked->damage);
	free(checked);
}

const char *checked_damage(const struct checked *checked)
{
	return checked ? checked->damage : NULL;
}

void checked_set_lenient(struct checked *checked, bool lenient)
{
	checked->lenient = lenient;
}

void checked_forget(struct checked *checked)
{
	if (checked)
		free(TAKE_PTR(checked->damage));
}
