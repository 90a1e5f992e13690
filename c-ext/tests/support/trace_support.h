/* SPDX-License-Identifier: MIT */
/* What the tests of traces share: a directory of their own, errors, and a small recording. */
#ifndef CLOCKSCOPE_TESTS_TRACE_SUPPORT_H
#define CLOCKSCOPE_TESTS_TRACE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "support/expect.h"
#include "trace/store.h"
#include "trace/timeline.h"

struct directory {
	char path[64];
	char trace[96]; /* the name of a trace in it */
};

/* cmocka's set-up and tear-down: an empty directory for each test. */
static inline int directory_set_up(void **state)
{
	struct directory *directory = calloc(1, sizeof(*directory));

	strcpy(directory->path, "/tmp/clockscope-test-XXXXXX");
	assert_non_null(mkdtemp(directory->path));
	snprintf(directory->trace, sizeof(directory->trace), "%s/a.trace", directory->path);
	*state = directory;
	return 0;
}

/* Calls VISIT with the path of each file; the number of files. */
static inline int directory_visit(const struct directory *directory, int (*visit)(const char *path))
{
	DIR *files = opendir(directory->path);
	struct dirent *entry;
	int count = 0;

	assert_non_null(files);
	while ((entry = readdir(files))) {
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory->path, entry->d_name);
		count++;
		if (visit)
			visit(path);
	}
	closedir(files);
	return count;
}

static inline int directory_tear_down(void **state)
{
	struct directory *directory = *state;

	directory_visit(directory, remove);
	assert_return_code(rmdir(directory->path), 0);
	free(directory);
	return 0;
}

#define TRACE_TEST(FUNCTION) cmocka_unit_test_setup_teardown(FUNCTION, directory_set_up, directory_tear_down)

static inline void succeed(struct cs_error *error)
{
	if (error)
		fail_msg("%s", error->message);
}

static inline struct store *start(const char *path)
{
	struct store *store = NULL;

	succeed(store_create(path, false, &store));
	return store;
}

/* An event about a clock, with up to three numbers; names are NULL where there are fewer. */
struct said {
	const char *name;
	int64_t number;
};

static inline int64_t tell(struct store *store, const char *what, const char *clock, int64_t cpu,
			   const struct said *said, size_t count)
{
	struct record_value values[8];
	struct record_event event = {
		.run_ns = 1000,
		.guest_ns = RECORD_UNKNOWN,
		.icount = RECORD_UNKNOWN,
		.tsc = RECORD_UNKNOWN,
		.cpu = cpu,
		.thread = "1",
		.what = what,
		.rule = "rule",
		.clock = clock,
		.function = "f",
		.file = "f.c",
		.line = 7,
		.values = values,
		.value_count = count,
	};
	int64_t seq = 0;

	for (size_t i = 0; i < count; i++)
		values[i] = (struct record_value){
			.name = said[i].name, .kind = RECORD_VALUE_SIGNED, .number = (uint64_t)said[i].number};
	succeed(store_event(store, &event, &seq));
	return seq;
}

/* tell() with values written in place: TELL(store, "clock.registered", "tsc", {"rating", 300}). */
#define TELL(STORE, WHAT, CLOCK, ...)                                                                                  \
	tell(STORE, WHAT, CLOCK, 0, (struct said[]){__VA_ARGS__},                                                      \
	     sizeof((struct said[]){__VA_ARGS__}) / sizeof(struct said))
#define TELL_NO_MORE(STORE, WHAT, CLOCK) tell(STORE, WHAT, CLOCK, 0, NULL, 0)

/* Runs SQL on a file from outside, as another program might. */
static inline void alter(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* The one number that SQL asks for, seen from outside; -1: the file cannot be read. */
static inline int64_t look(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *statement = NULL;
	int64_t number = -1;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

/* Reads a trace that must be readable; the caller owns it. */
static inline struct timeline *read_timeline(const char *path)
{
	struct trace *trace = NULL;
	struct timeline *timeline = NULL;

	succeed(trace_open(path, &trace));
	succeed(timeline_create(trace, &timeline));
	trace_destroy(trace);
	return timeline;
}

#endif
