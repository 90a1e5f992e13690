/* SPDX-License-Identifier: MIT */
#include "trace/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/checked.h"
#include "trace/schema.h"
#include "trace/sql.h"
#include "trace/tables.h"

/* A question that takes longer is one to a file whose pages lead in circles: so long, and longer for each megabyte. */
#define QUESTION_NS 10000000000u
#define MEGABYTE_NS 1000000000u
/* Instructions of SQLite's virtual machine between two looks at the clock: about 1 ms. */
#define PROGRESS_STEPS 100000
/* What any trace may take in memory, and how much more for each of its bytes: rows in a file are small. */
#define ALLOWANCE_BYTES (UINT64_C(64) << 20)
#define ALLOWANCE_FACTOR 64

struct trace {
	char *name;
	sqlite3 *db;
	struct checked *checked;
	uint64_t limit_ns; /* for one question */
	uint64_t deadline_ns;
	uint64_t allowance;
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
	if ((rc & 0xff) == SQLITE_CORRUPT && checked_damage(trace->checked))
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: %s", trace->name,
				       checked_damage(trace->checked));
	return sql_error(trace->db, rc, trace->name);
}

struct cs_error *trace_step(struct trace *trace, sqlite3_stmt *statement, bool *row)
{
	int rc = sqlite3_step(statement);

	*row = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return NULL;
	/* SQL that was prepared is right: what it meets with now, such as numbers too large for a sum, is in the file.
	 */
	if ((rc & 0xff) == SQLITE_ERROR)
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: %s", trace->name, sqlite3_errmsg(trace->db));
	return read_error(trace, rc);
}

void trace_set_lenient(struct trace *trace, bool lenient)
{
	checked_set_lenient(trace->checked, lenient);
}

struct cs_error *trace_end(struct trace *trace)
{
	return checked_damage(trace->checked) ? read_error(trace, SQLITE_CORRUPT) : NULL;
}

struct cs_error *trace_prepare(struct trace *trace, const char *sql, sqlite3_stmt **ret)
{
	SQL_STATEMENT *statement = NULL;
	const char *rest = "";
	int rc;

	trace->deadline_ns = util_now_ns() + trace->limit_ns;
	checked_forget(trace->checked);
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

/* Says which program reads it, as far as the trace itself tells: its other tables may be anything. */
static struct cs_error *newer_error(struct trace *trace, int64_t version)
{
	SQL_STATEMENT *row = NULL;
	struct cs_error *error =
		trace_prepare(trace, "SELECT substr(value, 1, 40) FROM meta WHERE key = 'tool.clockscope'", &row);
	const char *program = NULL;
	bool is_row = false;

	if (!error)
		error = trace_step(trace, row, &is_row);
	if (is_row)
		program = (const char *)sqlite3_column_text(row, 0);
	cs_error_destroy(error);
	return cs_error_create(CS_ERROR_FORMAT,
			       "%s was made by a newer clockscope (version %lld; this reads up to %d): read it with "
			       "clockscope %s or newer",
			       trace->name, (long long)version, schema_version,
			       program ? program : "of the version that recorded it,");
}

static struct cs_error *check_version(struct trace *trace, int64_t *version)
{
	int64_t id;

	CS_TRY(read_integer(trace, "PRAGMA application_id", &id));
	CS_TRY(read_integer(trace, "PRAGMA user_version", version));
	if (id != schema_application_id)
		return cs_error_create(CS_ERROR_FORMAT, "%s: not a clockscope trace (an SQLite file of another kind)",
				       trace->name);
	if (*version > schema_version)
		return newer_error(trace, *version);
	if (*version < 1)
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: it has no version", trace->name);
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

static uint64_t size_of(const char *path, const char *suffix)
{
	FREE char *name = NULL;
	struct stat status;

	if (asprintf(&name, "%s%s", path, suffix) < 0 || stat(name, &status) < 0)
		return 0;
	return (uint64_t)status.st_size;
}

static struct cs_error *open_database(struct trace *trace)
{
	/* An absolute name, because SQLite gives some others, such as ":memory:", a meaning of their own. */
	FREE char *path = realpath(trace->name, NULL);
	int64_t version;
	uint64_t size;
	int rc;

	if (!path)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot read %s", trace->name);
	rc = sqlite3_open_v2(path, &trace->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return sql_error(trace->db, rc, trace->name);
	trace_set_limit(trace, QUESTION_NS);
	CS_TRY(configure(trace));
	CS_TRY(check_version(trace, &version));
	CS_TRY(check_length(trace));
	size = size_of(path, "") + size_of(path, "-wal");
	trace->allowance = ALLOWANCE_BYTES + ALLOWANCE_FACTOR * size;
	trace_set_limit(trace, QUESTION_NS + size / (1 << 20) * MEGABYTE_NS);
	return checked_create(trace->db, trace->name, version, &trace->checked);
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
	checked_destroy(trace->checked);
	free(trace->name);
	free(trace);
}

void trace_set_limit(struct trace *trace, uint64_t limit_ns)
{
	trace->limit_ns = limit_ns;
	trace->deadline_ns = util_now_ns() + limit_ns;
}

void trace_restart(struct trace *trace)
{
	trace_set_limit(trace, trace->limit_ns);
}

const char *trace_path(const struct trace *trace)
{
	return trace->name;
}

uint64_t trace_allowance(const struct trace *trace)
{
	return trace->allowance;
}
