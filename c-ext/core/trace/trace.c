/* SPDX-License-Identifier: MIT */
#include "trace/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/schema.h"
#include "trace/sql.h"
#include "trace/store.h"

/* A question that takes longer is one to a file whose pages lead in circles. */
#define QUESTION_NS 60000000000u
/* Instructions of SQLite's virtual machine between two looks at the clock: about 1 ms. */
#define PROGRESS_STEPS 100000

struct trace {
	char *name;
	sqlite3 *db;
	uint64_t limit_ns; /* for one question */
	uint64_t deadline_ns;
};

static int is_too_late(void *context)
{
	const struct trace *trace = context;

	return util_now_ns() > trace->deadline_ns;
}

static struct cs_error *check_file(const char *name)
{
	struct stat status;

	if (stat(name, &status) < 0)
		return cs_error_system(errno == ENOENT ? CS_ERROR_NOT_FOUND : CS_ERROR_SYSTEM, errno, "cannot read %s",
				       name);
	if (S_ISDIR(status.st_mode))
		return cs_error_create(CS_ERROR_FORMAT, "%s is a directory, not a trace", name);
	if (!S_ISREG(status.st_mode))
		return cs_error_create(CS_ERROR_FORMAT, "%s is not an ordinary file, so not a trace", name);
	if (status.st_size == 0)
		return cs_error_create(CS_ERROR_FORMAT, "%s is empty: not a clockscope trace", name);
	return NULL;
}

static struct cs_error *configure(struct trace *trace)
{
	sqlite3_progress_handler(trace->db, PROGRESS_STEPS, is_too_late, trace);
	sqlite3_limit(trace->db, SQLITE_LIMIT_LENGTH, STORE_LENGTH_MAX);
	sqlite3_limit(trace->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_busy_timeout(trace->db, 1000);
	sqlite3_db_config(trace->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(trace->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(trace->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(trace->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	/* A file that shrinks while it is mapped would kill the process. */
	return sql_execute(trace->db, trace->name, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
}

/* The error for RC; better words for a log that cannot be read where it lies. */
static struct cs_error *read_error(struct trace *trace, int rc)
{
	if ((rc & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(trace->db) == 0)
		return cs_error_create(CS_ERROR_SYSTEM,
				       "%s was cut short; copy it and %s-wal to a directory that you can write to",
				       trace->name, trace->name);
	return sql_error(trace->db, rc, trace->name);
}

struct cs_error *trace_step(struct trace *trace, sqlite3_stmt *statement, bool *row)
{
	int rc = sqlite3_step(statement);

	*row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? NULL : read_error(trace, rc);
}

struct cs_error *trace_prepare(struct trace *trace, const char *sql, sqlite3_stmt **ret)
{
	SQL_STATEMENT *statement = NULL;
	const char *rest = "";
	int rc;

	trace->deadline_ns = util_now_ns() + trace->limit_ns;
	rc = sqlite3_prepare_v2(trace->db, sql, -1, &statement, &rest);
	if (rc != SQLITE_OK)
		return read_error(trace, rc);
	if (!statement || rest[strspn(rest, "; \t\n")] || !sqlite3_stmt_readonly(statement))
		return cs_error_create(CS_ERROR_ARGUMENT, "%s: not one statement that reads: %s", trace->name, sql);
	*ret = TAKE_PTR(statement);
	return NULL;
}

static struct cs_error *read_integer(struct trace *trace, const char *sql, int64_t *ret)
{
	SQL_STATEMENT *statement = NULL;
	bool row;

	CS_TRY(trace_prepare(trace, sql, &statement));
	CS_TRY(trace_step(trace, statement, &row));
	*ret = row ? sqlite3_column_int64(statement, 0) : 0;
	return NULL;
}

static struct cs_error *check_version(struct trace *trace)
{
	int64_t id;
	int64_t version;

	CS_TRY(read_integer(trace, "PRAGMA application_id", &id));
	CS_TRY(read_integer(trace, "PRAGMA user_version", &version));
	if (id != SCHEMA_APPLICATION_ID)
		return cs_error_create(CS_ERROR_FORMAT, "%s: not a clockscope trace (an SQLite file of another kind)",
				       trace->name);
	if (version > SCHEMA_VERSION)
		return cs_error_create(CS_ERROR_FORMAT,
				       "%s was made by a newer clockscope (version %lld; this reads %d)", trace->name,
				       (long long)version, SCHEMA_VERSION);
	if (version < 1)
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: it has no version", trace->name);
	if (version < SCHEMA_VERSION)
		return cs_error_create(
			CS_ERROR_FORMAT,
			"%s was made by an older clockscope (version %lld; this reads %d): record it again",
			trace->name, (long long)version, SCHEMA_VERSION);
	return NULL;
}

/* SQLite reads what is cut off a file's last page as zeros. A killed recording's file is not looked at so: its
 * pages are in the log as well. */
static struct cs_error *check_length(struct trace *trace)
{
	struct stat status;
	int64_t length;
	int64_t is_logged;

	CS_TRY(read_integer(trace, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_logged));
	CS_TRY(read_integer(trace, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &length));
	if (is_logged || stat(trace->name, &status) < 0 || status.st_size >= length)
		return NULL;
	return cs_error_create(CS_ERROR_FORMAT, "%s is truncated: %lld bytes of %lld", trace->name,
			       (long long)status.st_size, (long long)length);
}

/* One text for each column of each true table, in order, such as "event.seq INTEGER". */
static const char columns_sql[] =
	"SELECT t.name || '.' || c.name || ' ' || c.type FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c"
	" WHERE t.schema = 'main' AND t.type = 'table' AND t.strict AND c.hidden = 0 ORDER BY 1";

/* Advances THEIRS, in the same order, to the text WANTED. */
static struct cs_error *find_column(struct trace *trace, sqlite3_stmt *theirs, const char *wanted)
{
	for (;;) {
		const char *found;
		bool row;

		CS_TRY(trace_step(trace, theirs, &row));
		found = row ? (const char *)sqlite3_column_text(theirs, 0) : NULL;
		if (!found || strcmp(found, wanted) > 0)
			return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: its tables are not a trace's (no %s)",
					       trace->name, wanted);
		if (!strcmp(found, wanted))
			return NULL;
	}
}

/* The tables must be the schema's: a view or a computed column of that name could do anything. */
static struct cs_error *check_tables(struct trace *trace)
{
	SQL_DATABASE *memory = NULL;
	SQL_STATEMENT *ours = NULL;
	SQL_STATEMENT *theirs = NULL;
	int rc = sqlite3_open_v2(":memory:", &memory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);

	if (rc != SQLITE_OK)
		return sql_error(memory, rc, trace->name);
	CS_TRY(sql_execute(memory, trace->name, schema_sql));
	CS_TRY(sql_prepare(memory, trace->name, columns_sql, &ours));
	CS_TRY(trace_prepare(trace, columns_sql, &theirs));
	while (sqlite3_step(ours) == SQLITE_ROW)
		CS_TRY(find_column(trace, theirs, (const char *)sqlite3_column_text(ours, 0)));
	return NULL;
}

static struct cs_error *open_database(struct trace *trace)
{
	/* An absolute name, because SQLite gives some others, such as ":memory:", a meaning of their own. */
	FREE char *path = realpath(trace->name, NULL);
	int rc;

	if (!path)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot read %s", trace->name);
	rc = sqlite3_open_v2(path, &trace->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return sql_error(trace->db, rc, trace->name);
	trace_set_limit(trace, QUESTION_NS);
	CS_TRY(configure(trace));
	CS_TRY(check_version(trace));
	CS_TRY(check_length(trace));
	return check_tables(trace);
}

static void trace_guard(struct trace **trace)
{
	trace_destroy(*trace);
}

struct cs_error *trace_open(const char *path, struct trace **ret)
{
	CLEANUP(trace_guard) struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return &cs_error_no_memory;
	trace->name = strdup(path);
	if (!trace->name)
		return &cs_error_no_memory;
	CS_TRY(check_file(path));
	CS_TRY(open_database(trace));
	*ret = TAKE_PTR(trace);
	return NULL;
}

void trace_destroy(struct trace *trace)
{
	if (!trace)
		return;
	sqlite3_close(trace->db);
	free(trace->name);
	free(trace);
}

void trace_set_limit(struct trace *trace, uint64_t limit_ns)
{
	trace->limit_ns = limit_ns;
	trace->deadline_ns = util_now_ns() + limit_ns;
}

const char *trace_path(const struct trace *trace)
{
	return trace->name;
}
