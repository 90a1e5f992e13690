/* SPDX-License-Identifier: MIT */
/*
 * A trace opened for reading.
 *
 * The file may come from anyone: it is opened read-only with SQLite's defences on, its tables must be
 * the schema's own, and neither a value nor the time of one question is without limit. What a killed
 * recording left in its log (FILE-wal) is read too. One thread at a time may use a trace.
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

/* Limits the time of each question from now on (60 s unless set), in nanoseconds. */
void trace_set_limit(struct trace *trace, uint64_t limit_ns);

/* Steps to the next row; *ROW is false after the last. CS_ERROR_FORMAT: the file is damaged there. */
struct cs_error *trace_step(struct trace *trace, sqlite3_stmt *statement, bool *row);

#endif
