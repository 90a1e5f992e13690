/* SPDX-License-Identifier: MIT */
/* What the writer and the reader of traces share of SQLite: errors, statements, scope guards. */
#ifndef CLOCKSCOPE_SQL_H
#define CLOCKSCOPE_SQL_H

#include <sqlite3.h>

#include "base/error.h"
#include "base/util.h"

/* An error for SQLite's result code RC, with the file's name and SQLite's words. What the file's own
 * content brought about is CS_ERROR_FORMAT, a full disk and other I/O CS_ERROR_SYSTEM. */
struct cs_error *sql_error(sqlite3 *db, int rc, const char *path) __attribute__((returns_nonnull, warn_unused_result));

/* Runs SQL that yields no rows of interest. */
struct cs_error *sql_execute(sqlite3 *db, const char *path, const char *sql);

/* Prepares one statement; the caller owns it. CS_ERROR_ARGUMENT where SQL itself is wrong. */
struct cs_error *sql_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **ret);

static inline void sql_finalize_guard(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

static inline void sql_close_guard(sqlite3 **db)
{
	sqlite3_close(*db);
}

/* `SQL_STATEMENT *s = NULL;` and `SQL_DATABASE *db = NULL;` are released at the end of the scope. */
#define SQL_STATEMENT CLEANUP(sql_finalize_guard) sqlite3_stmt
#define SQL_DATABASE CLEANUP(sql_close_guard) sqlite3

#endif
