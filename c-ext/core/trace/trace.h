/* SPDX-License-Identifier: MIT */
/*
 * A trace opened for reading.
 *
 * The file may come from anyone: it is opened read-only with SQLite's defences on, each row is held against the schema
 * as it is read (checked.h), and neither a value nor the time of one question is without limit. Traces of all versions
 * up to this program's are read as if they were of today's (migrate.h). What a killed recording left in its log
 * (FILE-wal) is read too. One thread at a time may use a trace.
 */
#ifndef CLOCKSCOPE_TRACE_H
#define CLOCKSCOPE_TRACE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct trace;

/* Opens a trace; the caller owns *RET. CS_ERROR_NOT_FOUND: no such file. CS_ERROR_FORMAT: a directory,
 * empty, no trace, made by a newer clockscope, truncated or damaged. */
struct cs_error *trace_open(const char *path, struct trace **ret);

/* NULL is legal. Statements prepared on it must have been finalized. */
void trace_destroy(struct trace *trace);

/* The name given to trace_open(). */
const char *trace_path(const struct trace *trace);

/* Prepares one statement that only reads; the caller finalizes it. CS_ERROR_ARGUMENT: SQL is wrong, or
 * would write. */
struct cs_error *trace_prepare(struct trace *trace, const char *sql, sqlite3_stmt **ret);

/* Whether rows that break the schema are left out from now on, instead of ending a question; trace_end() tells. */
void trace_set_lenient(struct trace *trace, bool lenient);

/* After the last row of a lenient question: CS_ERROR_FORMAT where rows were left out. */
struct cs_error *trace_end(struct trace *trace);

/* How much memory what is read of a trace may take, in bytes: by the file's size, since a small file that fills the
 * memory is made for that. */
uint64_t trace_allowance(const struct trace *trace);

/* Limits the time of each question from now on, in nanoseconds; unless set, by the file's size. */
void trace_set_limit(struct trace *trace, uint64_t limit_ns);

/* Gives statements that were prepared before, and are run again, the time of a question. */
void trace_restart(struct trace *trace);

/* Steps to the next row; *ROW is false after the last. CS_ERROR_FORMAT: the file is damaged there. */
struct cs_error *trace_step(struct trace *trace, sqlite3_stmt *statement, bool *row);

#endif
