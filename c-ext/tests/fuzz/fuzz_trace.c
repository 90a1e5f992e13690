/* SPDX-License-Identifier: MIT */
/* Whatever a trace's file holds, all that reads it in the core ends, soon, with an answer or an error. */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "trace/diff.h"
#include "trace/schema.h"
#include "trace/sql.h"
#include "trace/timeline.h"

/* Of one question: pages that lead in circles would take as long as they are let. */
#define LIMIT_NS 50000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of its own for this process: SQLite asks for a name. */
static const char *put_file(const uint8_t *data, size_t size)
{
	static char path[64];
	FILE *file;

	if (!path[0])
		snprintf(path, sizeof(path), "/tmp/clockscope-fuzz-%d.trace", (int)getpid());
	file = fopen(path, "wb");
	if (!file)
		abort();
	if (size && fwrite(data, size, 1, file) != 1)
		abort();
	fclose(file);
	return path;
}

/* Every row of a table, each value of it looked at. */
static struct cs_error *read_table(struct trace *trace, const char *table)
{
	SQL_STATEMENT *statement = NULL;
	char sql[128];
	bool is_row = true;

	snprintf(sql, sizeof(sql), "SELECT * FROM \"%s\"", table);
	CS_TRY(trace_prepare(trace, sql, &statement));
	while (is_row) {
		CS_TRY(trace_step(trace, statement, &is_row));
		for (int i = 0; is_row && i < sqlite3_column_count(statement); i++)
			sqlite3_column_text(statement, i);
	}
	return NULL;
}

static void read_tables(struct trace *trace)
{
	for (size_t i = 0; i < schema_described.table_count; i++)
		cs_error_destroy(read_table(trace, schema_described.tables[i].name));
}

static void read_trace(const char *path, struct trace *trace)
{
	struct timeline *timeline = NULL;
	struct trace *other = NULL;
	struct diff_result result;
	struct cs_error *error = timeline_create(trace, &timeline);

	cs_error_destroy(error);
	timeline_destroy(timeline);
	read_tables(trace);
	error = trace_open(path, &other);
	if (!error) {
		trace_set_limit(other, LIMIT_NS);
		error = diff_function((struct trace *const[2]){trace, other}, (int64_t[2]){1, 1}, NULL, NULL, &result);
	}
	cs_error_destroy(error);
	trace_destroy(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = put_file(data, size);
	struct trace *trace = NULL;
	struct cs_error *error = trace_open(path, &trace);

	if (!error) {
		trace_set_limit(trace, LIMIT_NS);
		read_trace(path, trace);
	}
	cs_error_destroy(error);
	trace_destroy(trace);
	remove(path);
	return 0;
}
