/* SPDX-License-Identifier: MIT */
#include "trace/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "trace/sql.h"
#include "trace_sql.h"

const char *const schema_sql = trace_sql;
const int schema_application_id = trace_sql_application_id;
const int schema_version = trace_sql_user_version;

static const char name[] = "the trace's schema";
#define MEMORY_LIMIT ((size_t)1 << 20)

/* What hangs together by way of an invocation's function. */
#define OF_INVOCATION(TABLE, OTHER, KEY, COLUMN)                                                                       \
	"EXISTS (SELECT 1 FROM main.invocation i JOIN main." OTHER " o ON o.function = i.function AND o." KEY          \
	" = " TABLE "." COLUMN " WHERE i.id = " TABLE ".invocation)"
#define BLOCK_OF(TABLE, COLUMN)                                                                                        \
	"EXISTS (SELECT 1 FROM main.block b WHERE b.function = " TABLE ".function AND b.number = " TABLE "." COLUMN ")"
#define NO_BLOCK "names a block that its function does not have"

static const struct {
	const char *table;
	struct schema_rule rule;
} references[] = {
	{"edge", {BLOCK_OF("edge", "source"), NO_BLOCK}},
	{"edge", {BLOCK_OF("edge", "target"), NO_BLOCK}},
	{"instruction", {BLOCK_OF("instruction", "block"), NO_BLOCK}},
	{"probe", {BLOCK_OF("probe", "block"), NO_BLOCK}},
	{"step", {"block IS NULL OR " OF_INVOCATION("step", "block", "number", "block"), NO_BLOCK}},
	{"gap_block", {OF_INVOCATION("gap_block", "block", "number", "block"), NO_BLOCK}},
	{"window_pass",
	 {OF_INVOCATION("window_pass", "window", "number", "window"),
	  "names a window that its function does not have"}},
	{"decision",
	 {OF_INVOCATION("decision", "instruction", "address", "address"),
	  "names an instruction that its function does not "
	  "have"}},
};

static const char *copy(struct schema *schema, const char *text)
{
	return arena_copy(&schema->arena, text, strlen(text));
}

static void add_rule(struct schema *schema, struct schema_table *table, const char *sql, const char *words)
{
	struct schema_rule *rule =
		arena_append(&schema->arena, (void **)&table->rules, &table->rule_count, sizeof(*rule));

	if (rule)
		*rule = (struct schema_rule){.sql = copy(schema, sql), .words = copy(schema, words)};
}

/* What follows one token of SQL: a comment, a quoted text, or one character. */
static const char *skip_token(const char *at)
{
	const char *end;

	if (!strncmp(at, "--", 2))
		end = strchr(at, '\n');
	else if (*at == '\'' || *at == '"')
		end = strchr(at + 1, *at);
	else
		return at + 1;
	return end ? end + 1 : at + strlen(at);
}

/* What follows the parenthesis that is opened at AT. */
static const char *skip_group(const char *at)
{
	int depth = 0;

	do {
		depth += (*at == '(') - (*at == ')');
		at = skip_token(at);
	} while (depth > 0 && *at);
	return at;
}

/* The CHECKs in a table's SQL. SQLite itself tells of no pragma by which to ask for them. */
static struct cs_error *add_checks(struct schema *schema, struct schema_table *table, const char *sql)
{
	for (const char *at = sql; *at; at = skip_token(at)) {
		FREE char *check = NULL;
		FREE char *words = NULL;
		const char *end;

		if (strncmp(at, "CHECK (", 7) != 0 || (at > sql && isalnum((unsigned char)at[-1])))
			continue;
		at += strlen("CHECK ");
		end = skip_group(at);
		check = strndup(at, (size_t)(end - at));
		if (!check || asprintf(&words, "is not %.*s", (int)(end - at - 2), at + 1) < 0)
			return &cs_error_no_memory;
		add_rule(schema, table, check, words);
		at = end - 1;
	}
	return NULL;
}

/* For each foreign key: the table that is meant, and a condition that joins it. */
static const char keys_sql[] =
	"SELECT \"table\", group_concat(printf('p.\"%w\" = \"%w\".\"%w\"', \"to\", ?1, \"from\"), "
	"' AND ') FROM pragma_foreign_key_list(?1) GROUP BY id";

static struct cs_error *add_keys(struct schema *schema, sqlite3 *db, struct schema_table *table)
{
	SQL_STATEMENT *row = NULL;

	CS_TRY(sql_prepare(db, name, keys_sql, &row));
	sqlite3_bind_text(row, 1, table->name, -1, SQLITE_STATIC);
	while (sqlite3_step(row) == SQLITE_ROW) {
		const char *parent = (const char *)sqlite3_column_text(row, 0);
		FREE char *rule = NULL;
		FREE char *words = NULL;

		if (asprintf(&rule, "EXISTS (SELECT 1 FROM main.\"%s\" p WHERE %s)", parent,
			     (const char *)sqlite3_column_text(row, 1)) < 0 ||
		    asprintf(&words, "names no row of %s", parent) < 0)
			return &cs_error_no_memory;
		add_rule(schema, table, rule, words);
	}
	return NULL;
}

static struct cs_error *add_columns(struct schema *schema, sqlite3 *db, struct schema_table *table)
{
	SQL_STATEMENT *row = NULL;

	CS_TRY(sql_prepare(db, name,
			   "SELECT name, type, NOT \"notnull\" AND NOT pk, coalesce(dflt_value, ''),"
			   " pk AND type = 'INTEGER' FROM pragma_table_xinfo(?) ORDER BY cid",
			   &row));
	sqlite3_bind_text(row, 1, table->name, -1, SQLITE_STATIC);
	while (sqlite3_step(row) == SQLITE_ROW) {
		struct schema_column *column =
			arena_append(&schema->arena, (void **)&table->columns, &table->column_count, sizeof(*column));

		if (!column)
			return &cs_error_no_memory;
		*column = (struct schema_column){
			.name = copy(schema, (const char *)sqlite3_column_text(row, 0)),
			.type = copy(schema, (const char *)sqlite3_column_text(row, 1)),
			.nullable = sqlite3_column_int(row, 2) != 0,
			.standard = copy(schema, (const char *)sqlite3_column_text(row, 3)),
		};
		table->numbered &= !sqlite3_column_int(row, 4);
	}
	return NULL;
}

/* Those of more than one step hold only where the steps do: the table's own keys would cost a look more for each row.
 */
static struct cs_error *add_references(struct schema *schema, sqlite3 *db, struct schema_table *table)
{
	bool has_own = false;

	for (size_t i = 0; i < ARRAY_SIZE(references); i++)
		if (!strcmp(references[i].table, table->name)) {
			add_rule(schema, table, references[i].rule.sql, references[i].rule.words);
			has_own = true;
		}
	return has_own ? NULL : add_keys(schema, db, table);
}

static struct cs_error *add_table(struct schema *schema, sqlite3 *db, sqlite3_stmt *row)
{
	struct schema_table *table =
		arena_append(&schema->arena, (void **)&schema->tables, &schema->table_count, sizeof(*table));

	if (!table)
		return &cs_error_no_memory;
	table->name = copy(schema, (const char *)sqlite3_column_text(row, 0));
	table->numbered = !sqlite3_column_int(row, 1);
	CS_TRY(add_columns(schema, db, table));
	CS_TRY(add_checks(schema, table, (const char *)sqlite3_column_text(row, 2)));
	CS_TRY(add_references(schema, db, table));
	return schema->arena.exhausted ? &cs_error_no_memory : NULL;
}

static struct cs_error *describe(struct schema *schema, sqlite3 *db)
{
	SQL_STATEMENT *row = NULL;
	SQL_STATEMENT *indices = NULL;

	CS_TRY(sql_prepare(db, name,
			   "SELECT t.name, t.wr, s.sql FROM pragma_table_list AS t JOIN sqlite_schema AS s USING (name)"
			   " WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name",
			   &row));
	while (sqlite3_step(row) == SQLITE_ROW)
		CS_TRY(add_table(schema, db, row));
	CS_TRY(sql_prepare(db, name, "SELECT group_concat(sql, '; ') FROM sqlite_schema WHERE type = 'index'",
			   &indices));
	sqlite3_step(indices);
	schema->indices = copy(schema, (const char *)sqlite3_column_text(indices, 0));
	return schema->arena.exhausted ? &cs_error_no_memory : NULL;
}

static void schema_guard(struct schema **schema)
{
	schema_destroy(*schema);
}

struct cs_error *schema_create(struct schema **ret)
{
	CLEANUP(schema_guard) struct schema *schema = calloc(1, sizeof(*schema));
	SQL_DATABASE *db = NULL;
	int rc = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);

	if (!schema || rc != SQLITE_OK)
		return schema ? sql_error(db, rc, name) : &cs_error_no_memory;
	schema->arena.limit = MEMORY_LIMIT;
	CS_TRY(sql_execute(db, name, schema_sql));
	CS_TRY(describe(schema, db));
	*ret = TAKE_PTR(schema);
	return NULL;
}

void schema_destroy(struct schema *schema)
{
	if (!schema)
		return;
	arena_release(&schema->arena);
	free(schema);
}
