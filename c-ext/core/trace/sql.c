/* SPDX-License-Identifier: MIT */
#include "trace/sql.h"

#include <errno.h>
#include <stdbool.h>

static bool disk_is_full(sqlite3 *db, int rc)
{
	int errnum = sqlite3_system_errno(db);

	return rc == SQLITE_FULL || (rc != SQLITE_OK && (errnum == ENOSPC || errnum == EDQUOT));
}

static struct cs_error *io_error(sqlite3 *db, const char *path)
{
	int errnum = sqlite3_system_errno(db);

	if (errnum)
		return cs_error_system(CS_ERROR_SYSTEM, errnum, "%s: %s", path, sqlite3_errmsg(db));
	return cs_error_create(CS_ERROR_SYSTEM, "%s: %s", path, sqlite3_errmsg(db));
}

struct cs_error *sql_error(sqlite3 *db, int rc, const char *path)
{
	switch (rc & 0xff) {
	case SQLITE_NOMEM: return &cs_error_no_memory;
	case SQLITE_NOTADB: return cs_error_create(CS_ERROR_FORMAT, "%s: not a clockscope trace", path);
	case SQLITE_CORRUPT:
	case SQLITE_TOOBIG:
		/* Not errmsg: it may quote the file at length. */
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: %s", path, sqlite3_errstr(rc));
	case SQLITE_INTERRUPT:
		return cs_error_create(CS_ERROR_FORMAT, "%s is damaged: reading it takes without end", path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return cs_error_create(CS_ERROR_STATE, "%s is in use by another program", path);
	case SQLITE_ERROR:
	case SQLITE_RANGE:
	case SQLITE_CONSTRAINT: return cs_error_create(CS_ERROR_ARGUMENT, "%s: %s", path, sqlite3_errmsg(db));
	}
	if (disk_is_full(db, rc))
		return cs_error_create(CS_ERROR_SYSTEM, "%s: the disk is full; what was recorded so far is kept", path);
	return io_error(db, path);
}

struct cs_error *sql_execute(sqlite3 *db, const char *path, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? NULL : sql_error(db, rc, path);
}

struct cs_error *sql_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **ret)
{
	int rc = sqlite3_prepare_v2(db, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? NULL : sql_error(db, rc, path);
}
