/* SPDX-License-Identifier: MIT */
/*
 * A trace being recorded.
 *
 * Rows gather in a transaction that is committed as a batch: by store_flush_if_due(), which the
 * relay's thread calls while the guest runs, so that commits do not lengthen stops; failing that, when
 * a batch is far overdue; and by store_flush(). Killed at any time, the file has all but the last
 * batch, in the write-ahead log beside it.
 *
 * Any thread may call any function but store_create() and store_destroy(). Arguments are copied.
 *
 * After a failure to write (CS_ERROR_SYSTEM: the disk is full, …) the rows committed before it stay,
 * and each later call, store_close() too, returns the same error. A row that the schema does not
 * allow is CS_ERROR_ARGUMENT and leaves the recording as it was. After store_close(), all are
 * CS_ERROR_STATE.
 */
#ifndef CLOCKSCOPE_STORE_H
#define CLOCKSCOPE_STORE_H

#include <stdbool.h>

#include "base/error.h"
#include "trace/store_rows.h"

/* Creates the trace PATH, replacing a file only with FORCE; errors as in store_file_create(). The caller
 * owns *RET. */
struct cs_error *store_create(const char *path, bool force, struct store **ret);

/* Another reference, to be given back by store_destroy(): whoever writes to a store holds one. */
struct store *store_hold(struct store *store);

/* Gives a reference back. The last one releases the store; one that was not closed is closed as incomplete, but not by
 * a child of the process that made it. NULL is legal. */
void store_destroy(struct store *store);

/* Commits, writes whether the recording is complete and how it ended (one line), and leaves one ordinary
 * file. A second call does nothing. After a failure to write, it saves what it can, the trace says
 * "incomplete", and the failure is returned once more. */
struct cs_error *store_close(struct store *store, bool complete, const char *reason);

/* Whether a part of the closed trace lies in FILE-wal, since someone read the trace while it was closed: it is whole as
 * long as the two stay together. */
bool store_is_logged(const struct store *store);

/* The name given to store_create(). */
const char *store_path(const struct store *store);

/* Commits what is pending. */
struct cs_error *store_flush(struct store *store);

/* Commits what is pending if the batch is large or old enough. Cheap, and returns at once where another
 * thread is writing. */
struct cs_error *store_flush_if_due(struct store *store);

#endif
