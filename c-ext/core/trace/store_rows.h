/* SPDX-License-Identifier: MIT */
/* The rows of a recording. store.h says what its threads and its errors are. */
#ifndef CLOCKSCOPE_STORE_ROWS_H
#define CLOCKSCOPE_STORE_ROWS_H

#include "base/error.h"
#include "trace/rows.h"

struct store;

/* Sets one row of provenance. */
struct cs_error *store_meta(struct store *store, const char *key, const char *value);

/* Takes the next number of the one sequence that orders events, stops and decisions; the first is 1. */
int64_t store_next_seq(struct store *store);

/* Host time since the recording began, stops of the guest included, in nanoseconds. */
int64_t store_host_ns(const struct store *store);

/* Records an event with its values and backtrace; its number. */
struct cs_error *store_event(struct store *store, const struct record_event *event, int64_t *seq);

/* Adds a value after those that event SEQ has. CS_ERROR_ARGUMENT: there is no such event. */
struct cs_error *store_add_value(struct store *store, int64_t seq, const struct record_value *value);

/* Records a row of a table in which rows stand alone; store_row_X() for table X. Where the table says so, it replaces
 * the one of the same key. */
struct cs_error *store_row(struct store *store, enum trace_table table, const void *row);

#define STORE_ROW(TABLE, NAME, VERB, CONFLICT)                                                                         \
	static inline struct cs_error *store_row_##NAME(struct store *store, const struct row_##NAME *row)             \
	{                                                                                                              \
		return store_row(store, TRACE_##TABLE, row);                                                           \
	}
TABLES(STORE_ROW)
#undef STORE_ROW

/* All below are called with the store's lock held. */

/* Prepares the statements that write rows. */
struct cs_error *store_prepare(struct store *store);

/* Inserts a row into the batch; store_insert_X() for table X. */
struct cs_error *store_insert(struct store *store, enum trace_table table, const void *row);

#define STORE_INSERT(TABLE, NAME, VERB, CONFLICT)                                                                      \
	static inline struct cs_error *store_insert_##NAME(struct store *store, const struct row_##NAME *row)          \
	{                                                                                                              \
		return store_insert(store, TRACE_##TABLE, row);                                                        \
	}
TABLES(STORE_INSERT)
#undef STORE_INSERT

/* store_meta() for who holds the lock. */
struct cs_error *store_put_meta(struct store *store, const char *key, const char *value);

#endif
