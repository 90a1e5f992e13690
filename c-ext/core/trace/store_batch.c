/* SPDX-License-Identifier: MIT */
#include "trace/store_batch.h"

#include <string.h>

/* A batch is due at either of the first two, and overdue, so that it is committed even in a stop, at
 * either of the others. A commit costs tens of microseconds: nothing is synced to the disk before the end. */
#define DUE_ROWS 256
#define DUE_NS 200000000u
#define OVERDUE_ROWS 8192
#define OVERDUE_NS 2000000000u

struct cs_error *store_check_usable(struct store *store)
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

struct cs_error *store_commit(struct store *store)
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
	CS_TRY(store_check_usable(store));
	if (is_due(store, OVERDUE_ROWS, OVERDUE_NS))
		CS_TRY(store_commit(store));
	if (store->pending)
		return NULL;
	CS_TRY(store_run(store, STORE_BEGIN));
	store->pending_since_ns = util_now_ns();
	store->pending = 1;
	return NULL;
}

struct cs_error *store_commit_if_due(struct store *store)
{
	return is_due(store, DUE_ROWS, DUE_NS) ? store_commit(store) : NULL;
}
