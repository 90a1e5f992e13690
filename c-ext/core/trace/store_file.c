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

/* What this writes into a lock file that it makes. */
static const char lock_mark[] = "clockscope: a trace is being recorded\n";

static bool is_marked(int fd)
{
	char text[sizeof(lock_mark)] = "";

	return pread(fd, text, sizeof(text), 0) == (ssize_t)strlen(lock_mark) && strcmp(text, lock_mark) == 0;
}

/* A file of the user's serves as well: it is locked, and no more. */
static int open_lock(const char *path, bool *made)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	*made = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd;
}

static struct cs_error *take_lock(const char *name, struct store_file *file)
{
	for (int tries = 100;;) {
		bool made;
		CLOSE int fd = open_lock(file->lock_path, &made);

		if (fd < 0 && errno == ENOENT && tries-- > 0)
			continue; /* it was removed between two looks at it */
		if (fd < 0)
			return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot create %s", name);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot lock %s", file->lock_path);
			return cs_error_create(CS_ERROR_STATE, "%s is being recorded already; choose another file",
					       name);
		}
		if (!is_same_file(fd, file->lock_path))
			continue;
		file->lock_was_left = !made && is_marked(fd);
		file->lock_is_ours = file->lock_was_left || (made && write(fd, lock_mark, strlen(lock_mark)) >= 0);
		file->lock_fd = fd;
		fd = -1;
		return NULL;
	}
}

/* --- What lies beside a trace --- */

/* What the beginnings of SQLite's files are: <https://www.sqlite.org/fileformat2.html>. */
static bool is_log(FILE *log)
{
	uint8_t head[4];

	return fread(head, sizeof(head), 1, log) == 1 && memcmp(head, "\x37\x7f\x06", 3) == 0 &&
	       (head[3] == 0x82 || head[3] == 0x83);
}

static bool is_index(FILE *index)
{
	uint32_t head[1];

	return fread(head, sizeof(head), 1, index) == 1 && head[0] == 3007000;
}

static bool is_journal(FILE *journal)
{
	static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint8_t head[sizeof(magic)];

	return fread(head, sizeof(head), 1, journal) == 1 && memcmp(head, magic, sizeof(magic)) == 0;
}

static const struct companion {
	const char *suffix;
	bool (*is)(FILE *file);
} companions[] = {{"-wal", is_log}, {"-shm", is_index}, {"-journal", is_journal}};

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

/* Whether a file that has such a name may be removed: with its TRACE, or where a killed recording left it. */
static bool is_companion(const struct companion *kind, const char *path, bool trace)
{
	CLEANUP(close_stream) FILE *file = NULL;
	struct stat status;

	if (lstat(path, &status) < 0)
		return true; /* there is none */
	if (!trace || !S_ISREG(status.st_mode) || !(file = fopen(path, "rbe")))
		return false;
	return status.st_size == 0 || kind->is(file);
}

static struct cs_error *check_companions(const char *path, bool trace)
{
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		FREE char *companion = join(path, companions[i].suffix, "");

		if (!companion)
			return &cs_error_no_memory;
		if (!is_companion(&companions[i], companion, trace))
			return cs_error_create(
				CS_ERROR_EXISTS,
				"%s is in the way and is not clockscope's: move it, or choose another file", companion);
	}
	return NULL;
}

/* What a killed recording left beside the file would be taken by SQLite for part of the new one. They have been
 * checked, or were made since. */
static void remove_companions(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		FREE char *companion = join(path, companions[i].suffix, "");

		if (companion)
			unlink(companion);
	}
}

static bool is_trace(const char *path)
{
	CLEANUP(close_stream) FILE *file = fopen(path, "rbe");
	char head[72];

	return file && fread(head, sizeof(head), 1, file) == 1 && memcmp(head, "SQLite format 3", 16) == 0 &&
	       memcmp(head + 68, "ClkS", 4) == 0;
}

/* --- Creating --- */

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
	CS_TRY(sql_execute(db, name, "PRAGMA journal_mode = MEMORY; BEGIN"));
	CS_TRY(sql_execute(db, name, schema_sql));
	return sql_execute(db, name, "COMMIT");
}

/* LEFT: a recording to it was killed. */
static struct cs_error *create_new(const char *name, const char *path, bool left)
{
	struct cs_error *error;

	CS_TRY(check_companions(path, left));
	remove_companions(path);
	error = write_empty_trace(name, path);
	if (error && error->code != CS_ERROR_EXISTS)
		unlink(path);
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

/* A directory beside the file, on the same file system, that is nobody else's. */
static struct cs_error *make_directory(const char *name, struct store_file *file)
{
	FREE char *parent = strndup(file->path, (size_t)(strrchr(file->path, '/') - file->path));
	char *directory = parent ? join(parent, "/", ".clockscope-XXXXXX") : NULL;

	if (!directory)
		return &cs_error_no_memory;
	if (!mkdtemp(directory)) {
		struct cs_error *error = cs_error_system(CS_ERROR_SYSTEM, errno, "cannot replace %s", name);

		free(directory);
		return error;
	}
	file->directory = directory;
	file->old_path = join(directory, "/", "old");
	return file->old_path ? NULL : &cs_error_no_memory;
}

/* Without what is in it, which has been moved or given up. */
static void remove_directory(struct store_file *file)
{
	FREE char *fresh = file->directory ? join(file->directory, "/", "new") : NULL;

	if (fresh)
		unlink(fresh);
	if (file->directory)
		rmdir(file->directory);
	free(TAKE_PTR(file->directory));
	free(TAKE_PTR(file->old_path));
}

/* The name means the old file or the new one at any time, where the file system has second names for files. */
static struct cs_error *put_in_place(const char *name, struct store_file *file, const char *fresh)
{
	struct cs_error *error;

	if (link(file->path, file->old_path) < 0 && rename(file->path, file->old_path) < 0)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot replace %s", name);
	move_log(file->path, file->old_path);
	remove_companions(file->path);
	if (rename(fresh, file->path) == 0)
		return NULL;
	error = cs_error_system(CS_ERROR_SYSTEM, errno, "cannot replace %s", name);
	store_file_undo(file);
	return error;
}

static struct cs_error *replace(const char *name, struct store_file *file)
{
	FREE char *fresh = NULL;
	struct cs_error *error;

	CS_TRY(check_companions(file->path, is_trace(file->path)));
	CS_TRY(make_directory(name, file));
	fresh = join(file->directory, "/", "new");
	error = fresh ? create_new(name, fresh, false) : &cs_error_no_memory;
	if (!error)
		error = put_in_place(name, file, fresh);
	if (error)
		remove_directory(file);
	return error;
}

static struct cs_error *create_locked(const char *name, bool force, struct store_file *file)
{
	bool exists;

	CS_TRY(resolve(name, &file->path, &exists));
	file->lock_path = join(file->path, "-lock", "");
	if (!file->lock_path)
		return &cs_error_no_memory;
	CS_TRY(take_lock(name, file));
	if (exists && !force)
		return cs_error_create(CS_ERROR_EXISTS, "%s exists already; it is kept (--overwrite replaces it)",
				       name);
	return exists ? replace(name, file) : create_new(name, file->path, file->lock_was_left);
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
	if (!file->directory)
		return;
	unlink(file->old_path);
	remove_companions(file->old_path);
	remove_directory(file);
}

void store_file_undo(struct store_file *file)
{
	remove_companions(file->path);
	if (!file->directory) {
		unlink(file->path);
		return;
	}
	rename(file->old_path, file->path);
	unlink(file->old_path); /* two names of one file are not renamed into each other */
	move_log(file->old_path, file->path);
	remove_directory(file);
}

void store_file_release(struct store_file *file)
{
	if (file->lock_fd >= 0) {
		if (file->lock_is_ours)
			unlink(file->lock_path);
		close(file->lock_fd);
	}
	remove_directory(file);
	free(file->lock_path);
	free(file->path);
	*file = (struct store_file){.lock_fd = -1};
}
