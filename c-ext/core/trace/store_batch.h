/* SPDX-License-Identifier: MIT */
/* The inside of a store, for the files that write rows, and its batches: the transactions that rows gather in. */
#ifndef CLOCKSCOPE_STORE_BATCH_H
#define CLOCKSCOPE_STORE_BATCH_H

#include <pthread.h>

#include "trace/sql.h"
#include "trace/store_file.h"
#include "trace/tables.h"

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

/* The state error, the failure that ended the recording, or NULL: whether rows can be written. */
struct cs_error *store_check_usable(struct store *store);

/* Opens a batch, if none is open, before the rows of one call are written; an error where the recording
 * is closed or has failed. */
struct cs_error *store_begin(struct store *store);

/* Runs a statement whose parameters are bound, and lets them go. */
struct cs_error *store_run(struct store *store, unsigned statement);

/* Commits the open batch, if there is one. */
struct cs_error *store_commit(struct store *store);

/* The same where it is large or old enough. */
struct cs_error *store_commit_if_due(struct store *store);

#endif
