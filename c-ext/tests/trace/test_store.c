/* SPDX-License-Identifier: MIT */
/* The writer of traces: batches, the file it leaves, and what can go wrong with a disk. */
#include "support/trace_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "trace/schema.h"

static void leaves_one_ordinary_file(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);

	TELL(store, "clock.registered", "tsc", {"rating", 300});
	succeed(store_close(store, true, "done"));
	assert_int_equal(directory_visit(directory, NULL), 1);
	/* Not "wal": anyone may read it, in a directory that cannot be written too. */
	assert_int_equal(look(directory->trace, "SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
	assert_int_equal(look(directory->trace, "PRAGMA application_id"), schema_application_id);
	assert_int_equal(look(directory->trace, "PRAGMA user_version"), schema_version);
	assert_int_equal(look(directory->trace, "SELECT value FROM meta WHERE key = 'complete'"), 1);
	succeed(store_close(store, false, "again"));
	assert_int_equal(look(directory->trace, "SELECT value FROM meta WHERE key = 'complete'"), 1);
	fails(store_flush(store), CS_ERROR_STATE, "closed");
	fails(store_meta(store, "a", "b"), CS_ERROR_STATE, "closed");
	store_destroy(store);
}

static void one_sequence_orders_all(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);

	assert_int_equal(TELL_NO_MORE(store, "x-a", NULL), 1);
	assert_int_equal(store_next_seq(store), 2);
	assert_int_equal(TELL_NO_MORE(store, "x-b", NULL), 3);
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT group_concat(seq, '') FROM event"), 13);
}

static void abandoned_is_incomplete(void **state)
{
	const struct directory *directory = *state;

	store_destroy(start(directory->trace));
	store_destroy(NULL);
	assert_int_equal(directory_visit(directory, NULL), 1);
	assert_int_equal(look(directory->trace, "SELECT value FROM meta WHERE key = 'complete'"), 0);
}

static void refused_row_costs_no_other(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct record_value value = {.name = "v", .kind = RECORD_VALUE_SIGNED, .number = 1};
	struct row_expectation expectation = {
		.rule = "r", .function = "f", .what = "w", .status = "perhaps", .note = "", .within = ""};
	int64_t seq = TELL(store, "x-a", NULL, {"first", 1});

	fails(store_add_value(store, seq + 1, &value), CS_ERROR_ARGUMENT, "no event 2");
	fails(store_row_expectation(store, &expectation), CS_ERROR_ARGUMENT, "CHECK");
	succeed(store_add_value(store, seq, &value));
	expectation.status = "planted";
	succeed(store_row_expectation(store, &expectation));
	expectation.status = "missing";
	succeed(store_row_expectation(store, &expectation));
	succeed(store_close(store, true, ""));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT ordinal FROM event_value WHERE name = 'v'"), 1);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM expectation WHERE status = 'missing'"), 1);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM expectation"), 1);
}

static void counter_is_replaced(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct row_counter counter = {UINT64_MAX, "f", 0, RECORD_UNKNOWN, RECORD_UNKNOWN, RECORD_UNKNOWN};

	succeed(store_row_counter(store, &counter));
	counter.hits = 5;
	counter.first_run_ns = 77;
	succeed(store_row_counter(store, &counter));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM counter WHERE address = -1"), 1);
	assert_int_equal(look(directory->trace, "SELECT hits * 100 + first_run_ns FROM counter"), 577);
	assert_int_equal(look(directory->trace, "SELECT first_cpu IS NULL FROM counter"), 1);
}

static void texts_are_bounded(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	FREE char *text = malloc(STORE_LENGTH_MAX + 2);
	int64_t seq = TELL_NO_MORE(store, "x-a", NULL);
	struct record_value value = {.name = "v", .kind = RECORD_VALUE_TEXT, .text = text};

	memset(text, 'a', STORE_LENGTH_MAX + 2);
	text[STORE_LENGTH_MAX + 1] = '\0';
	fails(store_meta(store, "plan", text), CS_ERROR_ARGUMENT, "too long");
	text[STORE_LENGTH_MAX] = '\0';
	/* Sequences of two bytes from an odd offset on: one lies across the limit, and is left out whole. */
	for (size_t i = 1; i + 1 < STORE_LENGTH_MAX; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	value.length = STORE_LENGTH_MAX;
	succeed(store_add_value(store, seq, &value));
	value = (struct record_value){.name = "nul", .kind = RECORD_VALUE_TEXT, .text = "a\0b", .length = 3};
	succeed(store_add_value(store, seq, &value));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT length(CAST(text AS BLOB)) FROM event_value WHERE name = 'v'"),
			 STORE_TEXT_MAX - 1);
	assert_int_equal(look(directory->trace, "SELECT hex(text) = '610062' FROM event_value WHERE name = 'nul'"), 1);
}

static void existing_file_is_kept(void **state)
{
	const struct directory *directory = *state;
	struct store *store;

	store_destroy(start(directory->trace));
	alter(directory->trace, "INSERT INTO meta VALUES ('mine', '1')");
	fails(store_create(directory->trace, false, &store), CS_ERROR_EXISTS, "exists already");
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM meta WHERE key = 'mine'"), 1);
	assert_int_equal(directory_visit(directory, NULL), 1);
	succeed(store_create(directory->trace, true, &store));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM meta WHERE key = 'mine'"), 0);
	assert_int_equal(directory_visit(directory, NULL), 1);
}

static void two_recordings_to_one_file(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct store *other;

	fails(store_create(directory->trace, false, &other), CS_ERROR_STATE, "being recorded");
	fails(store_create(directory->trace, true, &other), CS_ERROR_STATE, "being recorded");
	TELL_NO_MORE(store, "x-a", NULL);
	succeed(store_close(store, true, ""));
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM event"), 1);
	succeed(store_create(directory->trace, true, &other));
	store_destroy(other);
	store_destroy(store);
}

static void names_that_are_no_new_file(void **state)
{
	const struct directory *directory = *state;
	struct store *store;
	char name[512];

	fails(store_create("", false, &store), CS_ERROR_ARGUMENT, "names no file");
	fails(store_create(directory->path, true, &store), CS_ERROR_SYSTEM, "Is a directory");
	fails(store_create("/dev/null", true, &store), CS_ERROR_SYSTEM, "not an ordinary file");
	snprintf(name, sizeof(name), "%s/none/a.trace", directory->path);
	fails(store_create(name, false, &store), CS_ERROR_SYSTEM, "No such file or directory");
	snprintf(name, sizeof(name), "%s/", directory->path);
	fails(store_create(name, false, &store), CS_ERROR_SYSTEM, "Is a directory");
	memset(name, 'n', 300);
	name[300] = '\0';
	fails(store_create(name, false, &store), CS_ERROR_SYSTEM, "File name too long");
	assert_int_equal(directory_visit(directory, NULL), 0);
}

static void link_stays_a_link(void **state)
{
	const struct directory *directory = *state;
	struct store *store;
	struct stat status;
	char name[128];

	snprintf(name, sizeof(name), "%s/link", directory->path);
	assert_return_code(symlink("a.trace", name), errno);
	fails(store_create(name, true, &store), CS_ERROR_SYSTEM, "No such file");
	store_destroy(start(directory->trace));
	succeed(store_create(name, true, &store));
	succeed(store_meta(store, "new", "1"));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM meta WHERE key = 'new'"), 1);
	assert_return_code(lstat(name, &status), errno);
	assert_true(S_ISLNK(status.st_mode));
}

#define COUNT_EVENTS "SELECT count(*) FROM event"

static void batches(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);

	TELL_NO_MORE(store, "x-a", NULL);
	succeed(store_flush_if_due(store));
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 0);
	succeed(store_flush(store));
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 1);
	for (int i = 0; i < 300; i++)
		TELL_NO_MORE(store, "x-a", NULL);
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 1);
	succeed(store_flush_if_due(store)); /* by number */
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 301);
	TELL_NO_MORE(store, "x-a", NULL);
	usleep(250000);
	succeed(store_flush_if_due(store)); /* by age */
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 302);
	for (int i = 0; i < 9000; i++)
		TELL_NO_MORE(store, "x-a", NULL);
	assert_true(look(directory->trace, COUNT_EVENTS) > 8000); /* overdue: without being asked */
	store_destroy(store);
}

/* A disk that takes `room` more bytes, made by SQLite's own hook for tests. */
static ssize_t room = -1;

static ssize_t bounded_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (room >= 0 && (ssize_t)length > room) {
		errno = ENOSPC;
		return -1;
	}
	if (room >= 0)
		room -= (ssize_t)length;
	return pwrite(fd, data, length, offset);
}

static void set_disk(bool bounded)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	sqlite3_syscall_ptr replacement = bounded ? (sqlite3_syscall_ptr)bounded_pwrite : NULL;

	assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", replacement), SQLITE_OK);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", replacement), SQLITE_OK);
}

/* However little room there is: the recording starts, or the old file is as it was (or none, where there was none). */
static bool starts_with(ssize_t bytes, const char *path, bool force)
{
	struct store *store = NULL;
	struct cs_error *error;

	room = bytes;
	error = store_create(path, force, &store);
	if (error)
		fails(error, CS_ERROR_SYSTEM, "full");
	room = -1;
	store_destroy(store);
	return store != NULL;
}

static void killed(void **state)
{
	const struct directory *directory = *state;
	pid_t child = fork();
	int status;
	struct timeline *timeline;
	struct store *store;

	if (child == 0) {
		store = start(directory->trace);
		for (int i = 0; i < 100; i++)
			TELL(store, "clock.registered", "tsc", {"rating", i});
		succeed(store_flush(store));
		TELL(store, "clock.registered", "tsc", {"rating", 1000});
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	timeline = read_timeline(directory->trace);
	assert_false(timeline->complete);
	assert_null(timeline->damage);
	assert_int_equal(timeline->event_count, 100);
	assert_int_equal(timeline->clocks[0].rating->number, 99);
	assert_non_null(strstr(timeline_fact(timeline, "end_reason"), "killed"));
	timeline_destroy(timeline);
	/* What it left beside the file stays with it while a new one cannot begin … */
	set_disk(true);
	for (ssize_t bytes = 0; !starts_with(bytes, directory->trace, true); bytes += 10000)
		assert_int_equal(look(directory->trace, COUNT_EVENTS), 100);
	set_disk(false);
	/* … and does not become part of the new one. */
	succeed(store_create(directory->trace, true, &store));
	store_destroy(store);
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 0);
	assert_int_equal(directory_visit(directory, NULL), 1);
}

/* Records until the disk is full; the number of events that a flush confirmed. */
static int64_t record_until_full(struct store *store, struct cs_error **error)
{
	struct record_event event = {.thread = "", .what = "x-a", .rule = "", .function = "", .file = ""};
	int64_t confirmed = 0;
	int64_t seq;

	for (;;) {
		*error = store_event(store, &event, &seq);
		if (!*error)
			*error = store_flush(store);
		if (*error)
			return confirmed;
		confirmed++;
	}
}

static void full_disk_keeps_the_rows(void **state)
{
	const struct directory *directory = *state;
	struct store *store;
	struct cs_error *error;
	int64_t confirmed;

	set_disk(true);
	store = start(directory->trace);
	room = 200000;
	confirmed = record_until_full(store, &error);
	fails(error, CS_ERROR_SYSTEM, "the disk is full");
	assert_true(confirmed > 10);
	fails(store_flush_if_due(store), CS_ERROR_SYSTEM, "the disk is full");
	fails(store_close(store, true, "done"), CS_ERROR_SYSTEM, "the disk is full");
	room = -1;
	set_disk(false);
	assert_int_equal(look(directory->trace, COUNT_EVENTS), confirmed);
	assert_int_equal(look(directory->trace, "SELECT value FROM meta WHERE key = 'complete'"), 0);
	store_destroy(store);
}

static void full_disk_that_gets_room_again(void **state)
{
	const struct directory *directory = *state;
	struct store *store;
	struct cs_error *error;
	int64_t confirmed;

	set_disk(true);
	store = start(directory->trace);
	room = 200000;
	confirmed = record_until_full(store, &error);
	cs_error_destroy(error);
	room = -1;
	set_disk(false);
	fails(store_close(store, true, "done"), CS_ERROR_SYSTEM, "the disk is full");
	assert_int_equal(directory_visit(directory, NULL), 1);
	assert_int_equal(look(directory->trace, COUNT_EVENTS), confirmed);
	assert_int_equal(look(directory->trace, "SELECT value FROM meta WHERE key = 'complete'"), 0);
	assert_int_equal(
		look(directory->trace, "SELECT value LIKE '%disk is full%' FROM meta WHERE key = 'end_reason'"), 1);
	store_destroy(store);
}

static void full_disk_at_the_start(void **state)
{
	const struct directory *directory = *state;
	char fresh[128];
	ssize_t bytes;

	snprintf(fresh, sizeof(fresh), "%s/b.trace", directory->path);
	store_destroy(start(directory->trace));
	alter(directory->trace, "INSERT INTO meta VALUES ('mine', '1')");
	set_disk(true);
	for (bytes = 0; !starts_with(bytes, fresh, false); bytes += 1000)
		assert_int_equal(directory_visit(directory, NULL), 1);
	assert_true(bytes > 10000);
	for (bytes = 0; !starts_with(bytes, directory->trace, true); bytes += 1000) {
		assert_int_equal(directory_visit(directory, NULL), 2);
		assert_int_equal(look(directory->trace, "SELECT count(*) FROM meta WHERE key = 'mine'"), 1);
	}
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM meta WHERE key = 'mine'"), 0);
	set_disk(false);
}

#define EVENTS_A_THREAD 2000

static void *write_events(void *context)
{
	for (int i = 0; i < EVENTS_A_THREAD; i++)
		TELL(context, "x-a", NULL, {"i", i}, {"j", i});
	return NULL;
}

static void *flush_often(void *context)
{
	for (int i = 0; i < 2000; i++)
		cs_error_destroy(store_flush_if_due(context));
	return NULL;
}

static void threads(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	void *(*const work[])(void *) = {write_events, write_events, flush_often};
	pthread_t running[ARRAY_SIZE(work)];

	for (size_t i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(pthread_create(&running[i], NULL, work[i], store), 0);
	for (size_t i = 0; i < ARRAY_SIZE(work); i++)
		pthread_join(running[i], NULL);
	succeed(store_close(store, true, ""));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT max(seq) FROM event"), 2 * EVENTS_A_THREAD);
	assert_int_equal(look(directory->trace, COUNT_EVENTS), 2 * EVENTS_A_THREAD);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM event_value WHERE ordinal = (name = 'j')"),
			 4 * EVENTS_A_THREAD);
}

static void reader_during_a_recording(void **state)
{
	const struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct trace *trace = NULL;
	struct timeline *timeline;

	TELL_NO_MORE(store, "x-a", NULL);
	succeed(store_flush(store));
	timeline = read_timeline(directory->trace);
	assert_int_equal(timeline->event_count, 1);
	assert_false(timeline->complete);
	timeline_destroy(timeline);
	/* One that stays open only delays the end. */
	succeed(trace_open(directory->trace, &trace));
	succeed(store_close(store, true, ""));
	trace_destroy(trace);
	store_destroy(store);
	timeline = read_timeline(directory->trace);
	assert_true(timeline->complete);
	timeline_destroy(timeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRACE_TEST(leaves_one_ordinary_file),
		TRACE_TEST(one_sequence_orders_all),
		TRACE_TEST(abandoned_is_incomplete),
		TRACE_TEST(refused_row_costs_no_other),
		TRACE_TEST(counter_is_replaced),
		TRACE_TEST(texts_are_bounded),
		TRACE_TEST(existing_file_is_kept),
		TRACE_TEST(two_recordings_to_one_file),
		TRACE_TEST(names_that_are_no_new_file),
		TRACE_TEST(link_stays_a_link),
		TRACE_TEST(batches),
		TRACE_TEST(killed),
		TRACE_TEST(full_disk_keeps_the_rows),
		TRACE_TEST(full_disk_that_gets_room_again),
		TRACE_TEST(full_disk_at_the_start),
		TRACE_TEST(threads),
		TRACE_TEST(reader_during_a_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
