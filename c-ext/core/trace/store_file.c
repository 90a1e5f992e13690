/* SPDX-License-Identifier: MIT */
#include "trace/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "trace/schema.h"
#include "trace/sql.h"

static char *join(const char *a, const char *b, const char *c)
{
	char *text = NULL;

	return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

/* The absolute name of a file that need not exist, in a directory that must. Absolute, because SQLite
 * gives names such as ":memory:" a meaning of their own. */
static struct cs_error *resolve_new(const char *name, char **ret)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	FREE char *parent = slash ? strndup(name, (size_t)(slash - name + 1)) : strdup(".");
	FREE char *directory = parent ? realpath(parent, NULL) : NULL;

	if (!parent)
		return &cs_error_no_memory;
	if (!*base)
		return cs_error_create(CS_ERROR_ARGUMENT, "'%s' names no file; give the trace's file name", name);
	if (!directory)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot create %s", name);
	*ret = join(directory, strcmp(directory, "/") ? "/" : "", base);
	return *ret ? NULL : &cs_error_no_memory;
}

/* *EXISTS: whether there is an ordinary file of that name. */
static struct cs_error *resolve(const char *name, char **ret, bool *exists)
{
	struct stat status;

	*exists = false;
	if (lstat(name, &status) < 0)
		return resolve_new(name, ret);
	*ret = realpath(name, NULL);
	if (!*ret || stat(*ret, &status) < 0)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot write %s", name);
	if (S_ISDIR(status.st_mode))
		return cs_error_system(CS_ERROR_SYSTEM, EISDIR, "cannot write %s", name);
	if (!S_ISREG(status.st_mode))
		return cs_error_create(CS_ERROR_SYSTEM, "cannot write %s: not an ordinary file", name);
	*exists = true;
	return NULL;
}

/* The name is removed on release, so a lock got on it counts only if the name still means that file. */
static bool is_same_file(int fd, const char *path)
{
	struct stat opened;
	struct stat named;

	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
	       opened.st_ino == named.st_ino;
}

static struct cs_error *take_lock(const char *name, const char *lock_path, int *ret)
{
	for (;;) {
		CLOSE int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

		if (fd < 0)
			return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot create %s", name);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot lock %s", lock_path);
			return cs_error_create(CS_ERROR_STATE, "%s is being recorded already; choose another file",
					       name);
		}
		if (is_same_file(fd, lock_path)) {
			*ret = fd;
			fd = -1;
			return NULL;
		}
	}
}

/* What a killed recording left beside the file would be taken by SQLite for part of the new one. */
static void remove_companions(const char *path)
{
	static const char *const suffixes[] = {"-wal", "-shm", "-journal"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		FREE char *companion = join(path, suffixes[i], "");

		if (companion)
			unlink(companion);
	}
}

/* A new file with the schema in it, written out and closed. */
static struct cs_error *write_empty_trace(const char *name, const char *path)
{
	SQL_DATABASE *db = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int rc;

	if (fd < 0)
		return cs_error_system(errno == EEXIST ? CS_ERROR_EXISTS : CS_ERROR_SYSTEM, errno, "cannot create %s",
				       name);
	close(fd);
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	if (rc != SQLITE_OK)
		return sql_error(db, rc, name);
	CS_TRY(sql_execute(db, name, "BEGIN"));
	CS_TRY(sql_execute(db, name, schema_sql));
	return sql_execute(db, name, "COMMIT");
}

static struct cs_error *create_new(const char *name, const char *path)
{
	struct cs_error *error;

	remove_companions(path);
	error = write_empty_trace(name, path);
	if (error && error->code != CS_ERROR_EXISTS) {
		unlink(path);
		remove_companions(path);
	}
	return error;
}

/* A killed recording's log goes where its file goes. */
static void move_log(const char *from, const char *to)
{
	FREE char *old_log = join(from, "-wal", "");
	FREE char *new_log = join(to, "-wal", "");

	if (old_log && new_log)
		rename(old_log, new_log);
}

/* The name means the old file or the new one at any time. */
static struct cs_error *replace(const char *name, struct store_file *file)
{
	FREE char *fresh = join(file->path, "-new", "");

	file->old_path = join(file->path, "-old", "");
	if (!fresh || !file->old_path)
		return &cs_error_no_memory;
	unlink(fresh);
	unlink(file->old_path);
	CS_TRY(create_new(name, fresh));
	/* Where the file system has no second names for a file, there is no way back. */
	if (link(file->path, file->old_path) == 0)
		move_log(file->path, file->old_path);
	else
		free(TAKE_PTR(file->old_path));
	remove_companions(file->path);
	if (rename(fresh, file->path) < 0) {
		struct cs_error *error = cs_error_system(CS_ERROR_SYSTEM, errno, "cannot replace %s", name);

		unlink(fresh);
		if (file->old_path)
			store_file_undo(file);
		return error;
	}
	return NULL;
}

static struct cs_error *create_locked(const char *name, bool force, struct store_file *file)
{
	bool exists;

	CS_TRY(resolve(name, &file->path, &exists));
	file->lock_path = join(file->path, "-lock", "");
	if (!file->lock_path)
		return &cs_error_no_memory;
	CS_TRY(take_lock(name, file->lock_path, &file->lock_fd));
	if (exists && !force)
		return cs_error_create(CS_ERROR_EXISTS, "%s exists already; it is kept (--force replaces it)", name);
	return exists ? replace(name, file) : create_new(name, file->path);
}

struct cs_error *store_file_create(const char *name, bool force, struct store_file *file)
{
	struct cs_error *error;

	*file = (struct store_file){.lock_fd = -1};
	error = create_locked(name, force, file);
	if (error)
		store_file_release(file);
	return error;
}

void store_file_accept(struct store_file *file)
{
	if (!file->old_path)
		return;
	unlink(file->old_path);
	remove_companions(file->old_path);
}

void store_file_undo(struct store_file *file)
{
	remove_companions(file->path);
	if (!file->old_path) {
		unlink(file->path);
		return;
	}
	rename(file->old_path, file->path);
	unlink(file->old_path); /* two names of one file are not renamed into each other */
	move_log(file->old_path, file->path);
}

void store_file_release(struct store_file *file)
{
	if (file->lock_fd >= 0) {
		unlink(file->lock_path);
		close(file->lock_fd);
	}
	free(file->lock_path);
	free(file->old_path);
	free(file->path);
	*file = (struct store_file){.lock_fd = -1};
}
