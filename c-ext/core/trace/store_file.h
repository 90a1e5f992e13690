/* SPDX-License-Identifier: MIT */
/*
 * The file of a recording: a name that is free (or may be replaced), one writer, and a new trace in it.
 *
 * While it is recorded, FILE-lock is held by flock(): SQLite's own locks would keep readers out as
 * well, and a lock on FILE itself would be lost when SQLite, or a reader in this process, closes a
 * descriptor of it (POSIX locks belong to the process: fcntl(2), "Record locks").
 *
 * Files of the user's are left alone, whatever their names: what lies beside a trace is removed only where it shows
 * that SQLite or this wrote it, and what is needed for a moment lies in a directory of its own, whose name is not
 * foreseen.
 */
#ifndef CLOCKSCOPE_STORE_FILE_H
#define CLOCKSCOPE_STORE_FILE_H

#include <stdbool.h>

#include "base/error.h"

struct store_file {
	char *path; /* absolute, symbolic links resolved; NULL: nothing is held */
	char *lock_path;
	bool lock_is_ours;  /* and is to be removed */
	bool lock_was_left; /* by a recording that was killed */
	char *directory; /* beside the file: where a replaced one waits for the end of the start; NULL: there is none */
	char *old_path;  /* in it */
	int lock_fd;
};

/* Locks NAME and puts a new, empty trace there; an existing file is replaced only with FORCE, and can be
 * had back. On success FILE is to be released, after store_file_accept() or store_file_undo(); on failure
 * nothing is held and what was there is as it was.
 * CS_ERROR_EXISTS: it is there and FORCE is not given; or a file of another's has the name of its log. CS_ERROR_STATE:
 * another recording writes it. CS_ERROR_ARGUMENT: no name for a file. CS_ERROR_SYSTEM: a directory, no permission, a
 * full disk. */
struct cs_error *store_file_create(const char *name, bool force, struct store_file *file);

/* The recording has begun: what was replaced is given up. */
void store_file_accept(struct store_file *file);

/* The recording could not begin: the new file goes, what it replaced comes back. */
void store_file_undo(struct store_file *file);

/* Gives the lock back and frees the names; the trace stays. */
void store_file_release(struct store_file *file);

#endif
