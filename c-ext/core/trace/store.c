/* SPDX-License-Identifier: MIT */
#include "trace/statements.h"

#include <string.h>
#include <time.h>

/* A batch is due at either of the first two, and overdue, so that it is committed even in a stop, at
 * either of the others. A commit costs tens of microseconds: nothing is synced to the disk before the end. */
#define DUE_ROWS 256
#define DUE_NS 200000000u
#define OVERDUE_ROWS 8192
#define OVERDUE_NS 2000000000u

/* Whether rows can be written: the state error, the failure that ended the recording, or NULL. */
static struct cs_error *check_usable(struct store *store)
{
	if (!store->db)
		return cs_error_create(CS_ERROR_STATE, "%s: the recording is closed", store->name);
	if (store->failure)
		return cs_error_create(store->failure_code, "%s", store->failure);
	return NULL;
}

/* The error for RC. One that no later row can do without ends the recording. */
static struct cs_error *failed(struct store *store, int rc)
{
	struct cs_error *error = sql_error(store->db, rc, store->name);

	if (error->code == CS_ERROR_ARGUMENT)
		return error;
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	store->pending = 0;
	store->failure_code = error->code;
	store->failure = strdup(error->message);
	return error;
}

struct cs_error *store_run(struct store *store, unsigned which)
{
	int rc = sqlite3_step(store->statements[which]);
	struct cs_error *error = rc == SQLITE_DONE ? NULL : failed(store, rc);

	sqlite3_reset(store->statements[which]);
	sqlite3_clear_bindings(store->statements[which]);
	return error;
}

static struct cs_error *commit(struct store *store)
{
	if (!store->pending)
		return NULL;
	CS_TRY(store_run(store, STORE_COMMIT));
	store->pending = 0;
	return NULL;
}

static bool is_due(const struct store *store, uint64_t rows, uint64_t age_ns)
{
	return store->pending >= rows || (store->pending && util_now_ns() - store->pending_since_ns >= age_ns);
}

struct cs_error *store_begin(struct store *store)
{
	CS_TRY(check_usable(store));
	if (is_due(store, OVERDUE_ROWS, OVERDUE_NS))
		CS_TRY(commit(store));
	if (store->pending)
		return NULL;
	CS_TRY(store_run(store, STORE_BEGIN));
	store->pending_since_ns = util_now_ns();
	store->pending = 1;
	return NULL;
}

int64_t store_next_seq(struct store *store)
{
	STORE_LOCKED(store);

	return ++store->last_seq;
}

int64_t store_host_ns(const struct store *store)
{
	return (int64_t)(util_now_ns() - store->began_ns);
}

bool store_is_logged(const struct store *store)
{
	return store->logged;
}

const char *store_path(const struct store *store)
{
	return store->name;
}

struct cs_error *store_flush(struct store *store)
{
	STORE_LOCKED(store);

	CS_TRY(check_usable(store));
	return commit(store);
}

struct cs_error *store_flush_if_due(struct store *store)
{
	CLEANUP(store_unlock_guard) pthread_mutex_t *locked = NULL;

	if (pthread_mutex_trylock(&store->mutex))
		return NULL;
	locked = &store->mutex;
	CS_TRY(check_usable(store));
	return is_due(store, DUE_ROWS, DUE_NS) ? commit(store) : NULL;
}

static struct cs_error *write_end(struct store *store, bool complete, const char *reason)
{
	CS_TRY(store_put_meta(store, "end_reason", reason));
	CS_TRY(store_put_meta(store, "complete", complete ? "1" : "0"));
	return commit(store);
}

/* Moves the log into the file proper, and the file out of logged mode. Where someone reads the trace just now, what
 * they read is not overwritten: the log stays then, synced, and the two together are the whole trace. */
static struct cs_error *fold_log(struct store *store)
{
	int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	store->logged = rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
	if (store->logged)
		rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (rc != SQLITE_OK && !(store->logged && (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)))
		return sql_error(store->db, rc, store->name);
	/* Fails where someone reads the trace just now; the file has all of it already, but for what the log keeps. */
	sqlite3_exec(store->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	return NULL;
}

/* After a failure: there may be room by now for the truth about it; the rows matter more. */
static void save_failed(struct store *store)
{
	FREE char *reason = TAKE_PTR(store->failure);

	cs_error_destroy(store_put_meta(store, "end_reason", reason));
	cs_error_destroy(commit(store));
	cs_error_destroy(fold_log(store));
}

static void close_database(struct store *store)
{
	for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	memset(store->statements, 0, sizeof(store->statements));
	sqlite3_close(store->db);
	store->db = NULL;
}

struct cs_error *store_close(struct store *store, bool complete, const char *reason)
{
	STORE_LOCKED(store);
	struct cs_error *error;

	if (!store->db)
		return NULL;
	error = check_usable(store);
	if (error)
		save_failed(store);
	else
		error = write_end(store, complete, reason);
	if (!error)
		error = fold_log(store);
	close_database(store);
	store_file_release(&store->file);
	return error;
}

static struct cs_error *write_start(struct store *store)
{
	char now[32];
	time_t seconds = time(NULL);
	struct tm utc;

	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
	CS_TRY(store_put_meta(store, "recorded_at", now));
	CS_TRY(store_put_meta(store, "complete", "0"));
	CS_TRY(store_put_meta(store, "end_reason", "the recording goes on, or was killed"));
	return commit(store);
}

static struct cs_error *configure(struct store *store)
{
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, STORE_LENGTH_MAX);
	/* Without checkpoints there is no sync to wait for until the end, and the log loses nothing. */
	CS_TRY(sql_execute(store->db, store->name,
			   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
			   "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 1000"));
	return store_prepare(store);
}

static struct cs_error *open_database(struct store *store)
{
	int rc = sqlite3_open_v2(store->file.path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return sql_error(store->db, rc, store->name);
	CS_TRY(configure(store));
	return write_start(store);
}

static void store_guard(struct store **store)
{
	store_destroy(*store);
}

struct cs_error *store_create(const char *path, bool force, struct store **ret)
{
	CLEANUP(store_guard) struct store *store = calloc(1, sizeof(*store));
	struct cs_error *error;

	if (!store)
		return &cs_error_no_memory;
	store->references = 1;
	store->process = getpid();
	store->began_ns = util_now_ns();
	pthread_mutex_init(&store->mutex, NULL);
	store->file.lock_fd = -1;
	store->name = strdup(path);
	if (!store->name)
		return &cs_error_no_memory;
	CS_TRY(store_file_create(path, force, &store->file));
	error = open_database(store);
	if (error) {
		close_database(store);
		store_file_undo(&store->file);
		store_file_release(&store->file);
		return error;
	}
	store_file_accept(&store->file);
	*ret = TAKE_PTR(store);
	return NULL;
}

struct store *store_hold(struct store *store)
{
	store->references++;
	return store;
}

void store_destroy(struct store *store)
{
	if (!store || --store->references || store->process != getpid())
		return;
	cs_error_destroy(store_close(store, false, "the recording was abandoned"));
	pthread_mutex_destroy(&store->mutex);
	free(store->failure);
	free(store->name);
	free(store);
}
