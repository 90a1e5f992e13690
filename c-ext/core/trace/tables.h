/* SPDX-License-Identifier: MIT */
/*
 * The one description of a trace's tables in C: each column once, as in schemas/trace.sql, which says what it means.
 * From it come the rows' structs (rows.h, path_rows.h), the INSERT of each table, what readers select, and the names
 * and types that the binding takes and gives. c-ext/tests/trace/test_tables.c holds it against trace.sql.
 *
 * X(S, KIND, NAME): S is handed through; KIND says how the column is kept in C, and whether it may be NULL.
 */
#ifndef CLOCKSCOPE_TABLES_H
#define CLOCKSCOPE_TABLES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* Texts longer than this are cut (provenance is not: it may be up to STORE_LENGTH_MAX). In bytes. */
#define STORE_TEXT_MAX 65536
/* The longest value of any kind that a trace may hold, in bytes. */
#define STORE_LENGTH_MAX 1048576

/* For the times and counts that may be unknown; stored as NULL. */
#define RECORD_UNKNOWN (-1)

/* A text that may hold NUL bytes, or bytes. */
struct row_bytes {
	const void *data; /* NULL: none */
	size_t size;
};

/* INTEGER NOT NULL */
#define ROW_TYPE_NUMBER int64_t
#define ROW_TYPE_ADDRESS uint64_t /* and whatever else has 64 bits of its own */
#define ROW_TYPE_FLAG bool
/* INTEGER: RECORD_UNKNOWN is NULL; or, where it may be any number, a NULL pointer is */
#define ROW_TYPE_KNOWN int64_t
#define ROW_TYPE_GIVEN const int64_t *
/* TEXT NOT NULL, cut at STORE_TEXT_MAX; the same, whole; TEXT */
#define ROW_TYPE_TEXT const char *
#define ROW_TYPE_WHOLE const char *
#define ROW_TYPE_OPTIONAL const char *
/* TEXT that may hold NUL bytes, or be NULL; BLOB NOT NULL */
#define ROW_TYPE_CONTENT struct row_bytes
#define ROW_TYPE_BLOB struct row_bytes

#define TABLE_META(X, S) X(S, TEXT, key) X(S, WHOLE, value)

#define TABLE_EVENT(X, S)                                                                                              \
	X(S, NUMBER, seq)                                                                                              \
	X(S, NUMBER, run_ns)                                                                                           \
	X(S, NUMBER, host_ns)                                                                                          \
	X(S, KNOWN, guest_ns)                                                                                          \
	X(S, KNOWN, icount)                                                                                            \
	X(S, KNOWN, tsc)                                                                                               \
	X(S, NUMBER, cpu)                                                                                              \
	X(S, TEXT, thread)                                                                                             \
	X(S, TEXT, what)                                                                                               \
	X(S, TEXT, rule)                                                                                               \
	X(S, OPTIONAL, clock)                                                                                          \
	X(S, TEXT, function)                                                                                           \
	X(S, TEXT, file)                                                                                               \
	X(S, NUMBER, line)                                                                                             \
	X(S, ADDRESS, address)

#define TABLE_EVENT_VALUE(X, S)                                                                                        \
	X(S, NUMBER, event)                                                                                            \
	X(S, NUMBER, ordinal)                                                                                          \
	X(S, TEXT, name)                                                                                               \
	X(S, GIVEN, number)                                                                                            \
	X(S, FLAG, is_unsigned)                                                                                        \
	X(S, CONTENT, text)

#define TABLE_FRAME(X, S)                                                                                              \
	X(S, NUMBER, event)                                                                                            \
	X(S, NUMBER, level)                                                                                            \
	X(S, TEXT, function)                                                                                           \
	X(S, TEXT, file)                                                                                               \
	X(S, NUMBER, line)                                                                                             \
	X(S, ADDRESS, address)                                                                                         \
	X(S, FLAG, inlined)

#define TABLE_EXPECTATION(X, S)                                                                                        \
	X(S, TEXT, rule)                                                                                               \
	X(S, TEXT, function)                                                                                           \
	X(S, TEXT, what)                                                                                               \
	X(S, TEXT, status)                                                                                             \
	X(S, TEXT, note)                                                                                               \
	X(S, FLAG, optional)                                                                                           \
	X(S, TEXT, within)                                                                                             \
	X(S, KNOWN, from_ns)                                                                                           \
	X(S, KNOWN, to_ns)                                                                                             \
	X(S, KNOWN, reached)                                                                                           \
	X(S, KNOWN, matched)                                                                                           \
	X(S, KNOWN, unfinished)

#define TABLE_CPUID(X, S)                                                                                              \
	X(S, TEXT, moment)                                                                                             \
	X(S, NUMBER, leaf)                                                                                             \
	X(S, NUMBER, subleaf)                                                                                          \
	X(S, NUMBER, eax)                                                                                              \
	X(S, NUMBER, ebx)                                                                                              \
	X(S, NUMBER, ecx)                                                                                              \
	X(S, NUMBER, edx)

#define TABLE_MSR(X, S) X(S, TEXT, moment) X(S, NUMBER, number) X(S, ADDRESS, value)

#define TABLE_COUNTER(X, S)                                                                                            \
	X(S, ADDRESS, address)                                                                                         \
	X(S, TEXT, function)                                                                                           \
	X(S, NUMBER, hits)                                                                                             \
	X(S, KNOWN, first_run_ns)                                                                                      \
	X(S, KNOWN, first_cpu)                                                                                         \
	X(S, KNOWN, first_icount)

#define TABLE_FUNCTION(X, S)                                                                                           \
	X(S, NUMBER, id)                                                                                               \
	X(S, TEXT, name)                                                                                               \
	X(S, ADDRESS, entry)                                                                                           \
	X(S, TEXT, file)                                                                                               \
	X(S, NUMBER, line)                                                                                             \
	X(S, FLAG, determined)                                                                                         \
	X(S, TEXT, note)

#define TABLE_BLOCK(X, S)                                                                                              \
	X(S, NUMBER, function)                                                                                         \
	X(S, NUMBER, number)                                                                                           \
	X(S, ADDRESS, from_address)                                                                                    \
	X(S, ADDRESS, to_address)                                                                                      \
	X(S, NUMBER, depth)                                                                                            \
	X(S, FLAG, cold)                                                                                               \
	X(S, NUMBER, gaps)

#define TABLE_EDGE(X, S) X(S, NUMBER, function) X(S, NUMBER, source) X(S, NUMBER, target) X(S, TEXT, kind)

#define TABLE_INSTRUCTION(X, S)                                                                                        \
	X(S, NUMBER, function)                                                                                         \
	X(S, ADDRESS, address)                                                                                         \
	X(S, NUMBER, block)                                                                                            \
	X(S, TEXT, kind)                                                                                               \
	X(S, TEXT, condition)                                                                                          \
	X(S, NUMBER, flags)                                                                                            \
	X(S, GIVEN, target)                                                                                            \
	X(S, TEXT, text)                                                                                               \
	X(S, TEXT, file)                                                                                               \
	X(S, NUMBER, line)                                                                                             \
	X(S, TEXT, inlined)

#define TABLE_VARIABLE(X, S) X(S, NUMBER, function) X(S, ADDRESS, address) X(S, TEXT, operand) X(S, TEXT, name)

#define TABLE_SOURCE(X, S) X(S, TEXT, file) X(S, NUMBER, line) X(S, TEXT, text)

#define TABLE_WINDOW(X, S)                                                                                             \
	X(S, NUMBER, function)                                                                                         \
	X(S, NUMBER, number)                                                                                           \
	X(S, ADDRESS, from_address)                                                                                    \
	X(S, ADDRESS, to_address)                                                                                      \
	X(S, FLAG, polls)

#define TABLE_PROBE(X, S)                                                                                              \
	X(S, NUMBER, function) X(S, ADDRESS, address) X(S, NUMBER, block) X(S, NUMBER, roles) X(S, FLAG, in_window)

#define TABLE_INVOCATION(X, S)                                                                                         \
	X(S, NUMBER, id)                                                                                               \
	X(S, NUMBER, function)                                                                                         \
	X(S, NUMBER, seq)                                                                                              \
	X(S, KNOWN, end_seq)                                                                                           \
	X(S, NUMBER, run_ns)                                                                                           \
	X(S, KNOWN, end_run_ns)                                                                                        \
	X(S, NUMBER, cpu)                                                                                              \
	X(S, TEXT, thread)                                                                                             \
	X(S, TEXT, task)                                                                                               \
	X(S, ADDRESS, stack)                                                                                           \
	X(S, ADDRESS, caller)                                                                                          \
	X(S, TEXT, caller_name)                                                                                        \
	X(S, TEXT, returned)                                                                                           \
	X(S, GIVEN, value)                                                                                             \
	X(S, FLAG, complete)                                                                                           \
	X(S, FLAG, consistent)

#define TABLE_STEP(X, S) X(S, NUMBER, invocation) X(S, NUMBER, ordinal) X(S, GIVEN, block)

#define TABLE_WINDOW_PASS(X, S)                                                                                        \
	X(S, NUMBER, invocation)                                                                                       \
	X(S, NUMBER, number)                                                                                           \
	X(S, NUMBER, window)                                                                                           \
	X(S, NUMBER, first_step)                                                                                       \
	X(S, NUMBER, step_count)                                                                                       \
	X(S, NUMBER, stops_inside)                                                                                     \
	X(S, NUMBER, tries_min)                                                                                        \
	X(S, KNOWN, tries_max)

#define TABLE_GAP_BLOCK(X, S) X(S, NUMBER, invocation) X(S, NUMBER, ordinal) X(S, NUMBER, block) X(S, FLAG, certain)

#define TABLE_DECISION(X, S)                                                                                           \
	X(S, NUMBER, invocation) X(S, NUMBER, ordinal) X(S, ADDRESS, address) X(S, FLAG, taken) X(S, KNOWN, stop)

#define TABLE_STOP(X, S)                                                                                               \
	X(S, NUMBER, seq)                                                                                              \
	X(S, NUMBER, cpu)                                                                                              \
	X(S, ADDRESS, address)                                                                                         \
	X(S, NUMBER, run_ns)                                                                                           \
	X(S, NUMBER, host_ns)                                                                                          \
	X(S, KNOWN, icount)                                                                                            \
	X(S, FLAG, in_window)                                                                                          \
	X(S, BLOB, registers)

#define TABLE_INTERVENTION(X, S)                                                                                       \
	X(S, NUMBER, number)                                                                                           \
	X(S, TEXT, kind)                                                                                               \
	X(S, TEXT, option)                                                                                             \
	X(S, TEXT, function)                                                                                           \
	X(S, TEXT, file)                                                                                               \
	X(S, NUMBER, line)                                                                                             \
	X(S, ADDRESS, address)

#define TABLE_INTERVENTION_USE(X, S)                                                                                   \
	X(S, NUMBER, seq)                                                                                              \
	X(S, NUMBER, intervention)                                                                                     \
	X(S, NUMBER, run_ns)                                                                                           \
	X(S, NUMBER, cpu)                                                                                              \
	X(S, TEXT, was)                                                                                                \
	X(S, TEXT, became)

/* X(TABLE, name, verb, conflict): each table, and what its INSERT does where the row is there already. */
#define TABLES(X)                                                                                                      \
	X(META, meta, "INSERT OR REPLACE", "")                                                                         \
	X(EVENT, event, "INSERT", "")                                                                                  \
	X(EVENT_VALUE, event_value, "INSERT", "")                                                                      \
	X(FRAME, frame, "INSERT", "")                                                                                  \
	X(EXPECTATION, expectation, "INSERT",                                                                          \
	  " ON CONFLICT (rule, function) DO UPDATE SET what = excluded.what, status = excluded.status,"                \
	  " note = excluded.note, optional = excluded.optional, within = excluded.within,"                             \
	  " from_ns = excluded.from_ns, to_ns = excluded.to_ns, reached = excluded.reached,"                           \
	  " matched = excluded.matched, unfinished = excluded.unfinished")                                             \
	X(CPUID, cpuid, "INSERT OR REPLACE", "")                                                                       \
	X(MSR, msr, "INSERT OR REPLACE", "")                                                                           \
	X(COUNTER, counter, "INSERT OR REPLACE", "")                                                                   \
	X(FUNCTION, function, "INSERT", "")                                                                            \
	X(BLOCK, block, "INSERT", "")                                                                                  \
	X(EDGE, edge, "INSERT OR IGNORE", "")                                                                          \
	X(INSTRUCTION, instruction, "INSERT", "")                                                                      \
	X(VARIABLE, variable, "INSERT OR IGNORE", "")                                                                  \
	X(SOURCE, source, "INSERT OR REPLACE", "")                                                                     \
	X(WINDOW, window, "INSERT", "")                                                                                \
	X(PROBE, probe, "INSERT", "")                                                                                  \
	X(INVOCATION, invocation, "INSERT", "")                                                                        \
	X(STEP, step, "INSERT", "")                                                                                    \
	X(WINDOW_PASS, window_pass, "INSERT", "")                                                                      \
	X(GAP_BLOCK, gap_block, "INSERT", "")                                                                          \
	X(DECISION, decision, "INSERT", "")                                                                            \
	X(STOP, stop, "INSERT", "")                                                                                    \
	X(INTERVENTION, intervention, "INSERT", "")                                                                    \
	X(INTERVENTION_USE, intervention_use, "INSERT", "")

#define TABLE_ENUM(TABLE, NAME, VERB, CONFLICT) TRACE_##TABLE,
enum trace_table { TABLES(TABLE_ENUM) TRACE_TABLE_COUNT };
#undef TABLE_ENUM

/* The columns of a table as fields of a struct: `struct row_step { ROW_FIELDS(STEP) };` */
#define ROW_FIELD(S, KIND, NAME) ROW_TYPE_##KIND NAME;
#define ROW_FIELDS(TABLE) TABLE_##TABLE(ROW_FIELD, )

/* The rows of tables that nothing more is added to; `struct row_event` is the beginning of a `struct record_event`. */
#define TABLE_ROW(TABLE, NAME, VERB, CONFLICT)                                                                         \
	struct row_##NAME {                                                                                            \
		ROW_FIELDS(TABLE)                                                                                      \
	};
TABLES(TABLE_ROW)
#undef TABLE_ROW

enum column_kind {
	COLUMN_NUMBER,
	COLUMN_ADDRESS,
	COLUMN_FLAG,
	COLUMN_KNOWN,
	COLUMN_GIVEN,
	COLUMN_TEXT,
	COLUMN_WHOLE,
	COLUMN_OPTIONAL,
	COLUMN_CONTENT,
	COLUMN_BLOB,
};

struct table_column {
	const char *name;
	enum column_kind kind;
	size_t offset; /* of the field in its row */
};

struct table {
	const char *name;
	const char *verb;
	const char *conflict;
	const struct table_column *columns;
	size_t count;
};

/* By enum trace_table. */
extern const struct table tables[TRACE_TABLE_COUNT];

/* The statement that inserts a row, a parameter for each column; malloc'd, NULL when memory is out. */
char *table_insert_sql(enum trace_table table);

/* The statement that reads all columns; REST is what follows the table's name, such as "ORDER BY seq". As above. */
char *table_select_sql(enum trace_table table, const char *rest);

/* Binds a row to the statement that inserts it. The row and what it points to are kept until that has run. */
void table_bind(enum trace_table table, sqlite3_stmt *statement, const void *row);

/* Reads the current row of a statement by table_select_sql(). Texts lie in the arena; they are empty once that is
 * exhausted. */
void table_read(enum trace_table table, sqlite3_stmt *statement, struct arena *arena, void *row);

#endif
