/* SPDX-License-Identifier: MIT */
/* The inside of a store, for the files that write rows: trace/store*.c and record/path_store.c. */
#ifndef CLOCKSCOPE_STATEMENTS_H
#define CLOCKSCOPE_STATEMENTS_H

#include <pthread.h>

#include "trace/sql.h"
#include "trace/store.h"
#include "trace/store_file.h"

/* Those beside the INSERT of each table, whose number is the table's. */
enum store_statement {
	STORE_LAST_ORDINAL = TRACE_TABLE_COUNT, /* of an event's values, -1: it has none */
	STORE_NOTE,
	STORE_NOTE_SHIELDED,
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_STATEMENT_COUNT,
};

struct store {
	_Atomic unsigned references;
	pid_t process;         /* that made it: SQLite forbids a child by fork() to touch the file */
	pthread_mutex_t mutex; /* guards all that follows but the name */
	char *name;
	uint64_t began_ns; /* the host's monotonic clock; constant */
	struct store_file file;
	sqlite3 *db; /* NULL once closed */
	sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
	int64_t last_seq;
	uint64_t pending; /* rows in the open transaction */
	uint64_t pending_since_ns;
	enum cs_error_code failure_code;
	bool logged;   /* closed, with a part in the log */
	char *failure; /* the error that ended the recording, or NULL */
};

static inline void store_unlock_guard(pthread_mutex_t **mutex)
{
	if (*mutex)
		pthread_mutex_unlock(*mutex);
}

static inline pthread_mutex_t *store_lock(struct store *store)
{
	pthread_mutex_lock(&store->mutex);
	return &store->mutex;
}

/* Holds the store's mutex until the end of the scope. */
#define STORE_LOCKED(STORE)                                                                                            \
	CLEANUP(store_unlock_guard) __attribute__((unused)) pthread_mutex_t *locked_ = store_lock(STORE)

/* All below are called with the lock held. */

/* Prepares the statements of store_rows.c. */
struct cs_error *store_prepare(struct store *store);

/* Opens a batch, if none is open, before the rows of one call are written; an error where the recording
 * is closed or has failed. */
struct cs_error *store_begin(struct store *store);

/* Runs a statement whose parameters are bound, and lets them go. */
struct cs_error *store_run(struct store *store, unsigned statement);

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
