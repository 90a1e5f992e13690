/* SPDX-License-Identifier: MIT */
/* The inside of a store, for the files that write rows: trace/store*.c and record/path_store.c. */
#ifndef CLOCKSCOPE_STATEMENTS_H
#define CLOCKSCOPE_STATEMENTS_H

#include <pthread.h>

#include "trace/sql.h"
#include "trace/store.h"
#include "trace/store_file.h"

enum store_statement {
	STORE_PUT_META,
	STORE_PUT_EVENT,
	STORE_PUT_VALUE,
	STORE_ADD_VALUE,
	STORE_PUT_FRAME,
	STORE_PUT_EXPECTATION,
	STORE_PUT_COUNTER,
	STORE_PUT_CPUID,
	STORE_PUT_MSR,
	STORE_PUT_FUNCTION,
	STORE_PUT_BLOCK,
	STORE_PUT_EDGE,
	STORE_PUT_INSTRUCTION,
	STORE_PUT_VARIABLE,
	STORE_PUT_WINDOW,
	STORE_PUT_PROBE,
	STORE_PUT_INVOCATION,
	STORE_PUT_STEP,
	STORE_PUT_WINDOW_PASS,
	STORE_PUT_GAP_BLOCK,
	STORE_PUT_DECISION,
	STORE_PUT_STOP,
	STORE_PUT_SOURCE,
	STORE_NOTE,
	STORE_PUT_INTERVENTION,
	STORE_PUT_INTERVENTION_USE,
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
struct cs_error *store_run(struct store *store, enum store_statement which);

/* Binds a parameter of a statement that is run within the call: the text is not copied. */
void store_bind_string(sqlite3_stmt *statement, int index, const char *text);
/* Binds a number, or NULL for RECORD_UNKNOWN. */
void store_bind_known(sqlite3_stmt *statement, int index, int64_t number);

/* store_meta() for who holds the lock. */
struct cs_error *store_put_meta(struct store *store, const char *key, const char *value);

#endif
