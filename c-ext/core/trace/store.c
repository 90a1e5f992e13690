/* SPDX-License-Identifier: MIT */
#include "trace/store.h"

#include <string.h>
#include <time.h>

#include "trace/store_batch.h"

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

	CS_TRY(store_check_usable(store));
	return store_commit(store);
}

struct cs_error *store_flush_if_due(struct store *store)
{
	CLEANUP(store_unlock_guard) pthread_mutex_t *locked = NULL;

	if (pthread_mutex_trylock(&store->mutex))
		return NULL;
	locked = &store->mutex;
	CS_TRY(store_check_usable(store));
	return store_commit_if_due(store);
}

static struct cs_error *write_end(struct store *store, bool complete, const char *reason)
{
	CS_TRY(store_put_meta(store, "end_reason", reason));
	CS_TRY(store_put_meta(store, "complete", complete ? "1" : "0"));
	return store_commit(store);
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
	cs_error_destroy(store_commit(store));
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
	error = store_check_usable(store);
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
	return store_commit(store);
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
