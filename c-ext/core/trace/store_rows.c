/* SPDX-License-Identifier: MIT */
/* The rows of a recording: one statement a table, every value bound. */
#include "trace/statements.h"

#include <string.h>

static const char *const statement_sql[STORE_STATEMENT_COUNT] = {
	[STORE_PUT_META] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
	[STORE_PUT_EVENT] =
		"INSERT INTO event (seq, run_ns, guest_ns, icount, cpu, thread, what, rule, clock, function, file,"
		" line, address, host_ns, tsc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_VALUE] = "INSERT INTO event_value (event, name, number, is_unsigned, text, ordinal)"
			    " VALUES (?, ?, ?, ?, ?, ?)",
	[STORE_ADD_VALUE] = "INSERT INTO event_value (event, name, number, is_unsigned, text, ordinal)"
			    " VALUES (?1, ?2, ?3, ?4, ?5,"
			    " (SELECT coalesce(max(ordinal) + 1, 0) FROM event_value WHERE event = ?1))",
	[STORE_PUT_FRAME] = "INSERT INTO frame (event, level, function, file, line, address, inlined)"
			    " VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_EXPECTATION] = "INSERT INTO expectation (rule, what, function, status, note)"
				  " VALUES (?, ?, ?, ?, ?) ON CONFLICT (rule, function)"
				  " DO UPDATE SET what = excluded.what, status = excluded.status, note = excluded.note",
	[STORE_PUT_COUNTER] = "INSERT OR REPLACE INTO counter (address, function, hits, first_run_ns, first_cpu,"
			      " first_icount) VALUES (?, ?, ?, ?, ?, ?)",
	[STORE_PUT_CPUID] =
		"INSERT OR REPLACE INTO cpuid (moment, leaf, subleaf, eax, ebx, ecx, edx) VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_MSR] = "INSERT OR REPLACE INTO msr (moment, number, value) VALUES (?, ?, ?)",
	[STORE_PUT_FUNCTION] = "INSERT INTO function (id, name, entry, file, line, determined, note)"
			       " VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_BLOCK] = "INSERT INTO block (function, number, from_address, to_address, depth, cold, gaps)"
			    " VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_EDGE] = "INSERT OR IGNORE INTO edge (function, source, target, kind) VALUES (?, ?, ?, ?)",
	[STORE_PUT_INSTRUCTION] =
		"INSERT INTO instruction (function, address, block, kind, condition, target, text, file,"
		" line, inlined, flags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_VARIABLE] = "INSERT OR IGNORE INTO variable (function, address, operand, name) VALUES (?, ?, ?, ?)",
	[STORE_PUT_WINDOW] = "INSERT INTO window (function, number, from_address, to_address, polls)"
			     " VALUES (?, ?, ?, ?, ?)",
	[STORE_PUT_PROBE] = "INSERT INTO probe (function, address, block, roles, in_window) VALUES (?, ?, ?, ?, ?)",
	[STORE_PUT_INVOCATION] = "INSERT INTO invocation (id, function, seq, end_seq, run_ns, end_run_ns, cpu, thread, "
				 "task, stack, caller,"
				 " returned, value, complete, consistent, caller_name)"
				 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_STEP] = "INSERT INTO step (invocation, ordinal, block) VALUES (?, ?, ?)",
	[STORE_PUT_WINDOW_PASS] =
		"INSERT INTO window_pass (invocation, number, window, first_step, step_count, stops_inside, tries_min,"
		" tries_max) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_GAP_BLOCK] = "INSERT INTO gap_block (invocation, ordinal, block, certain) VALUES (?, ?, ?, ?)",
	[STORE_PUT_DECISION] =
		"INSERT INTO decision (invocation, ordinal, address, taken, stop) VALUES (?, ?, ?, ?, ?)",
	[STORE_PUT_STOP] = "INSERT INTO stop (seq, cpu, address, run_ns, icount, in_window, registers, host_ns)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_SOURCE] = "INSERT OR REPLACE INTO source (file, line, text) VALUES (?, ?, ?)",
	[STORE_NOTE] = "UPDATE function SET note = note || iif(note = '', '', '; ') || ?2 WHERE id = ?1",
	[STORE_PUT_INTERVENTION] = "INSERT INTO intervention (number, kind, option, function, file, line, address)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_PUT_INTERVENTION_USE] = "INSERT INTO intervention_use (seq, intervention, run_ns, cpu, was, became)"
				       " VALUES (?, ?, ?, ?, ?, ?)",
	[STORE_NOTE_SHIELDED] =
		"UPDATE function SET note = note || iif(note = '', '', '; ') || 'not watched while ' ||"
		" (SELECT name FROM function WHERE id = ?2) || ' is under way, which calls it in a timing window'"
		" WHERE id = ?1",
	[STORE_BEGIN] = "BEGIN",
	[STORE_COMMIT] = "COMMIT",
};

struct cs_error *store_prepare(struct store *store)
{
	for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
		CS_TRY(sql_prepare(store->db, store->name, statement_sql[i], &store->statements[i]));
	return NULL;
}

/* The length of TEXT, or where to cut it: not within a UTF-8 sequence. */
static size_t cut_length(const char *text, size_t length)
{
	size_t end = STORE_TEXT_MAX;

	if (length <= STORE_TEXT_MAX)
		return length;
	while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	return end;
}

static int bind_text(sqlite3_stmt *statement, int index, const char *text, size_t length)
{
	if (!text)
		return sqlite3_bind_null(statement, index);
	/* Bound for one step only, during which the caller keeps the text. */
	return sqlite3_bind_text(statement, index, text, (int)cut_length(text, length), SQLITE_STATIC);
}

void store_bind_string(sqlite3_stmt *statement, int index, const char *text)
{
	bind_text(statement, index, text, text ? strlen(text) : 0);
}

void store_bind_known(sqlite3_stmt *statement, int index, int64_t number)
{
	if (number == RECORD_UNKNOWN)
		sqlite3_bind_null(statement, index);
	else
		sqlite3_bind_int64(statement, index, number);
}

struct cs_error *store_put_meta(struct store *store, const char *key, const char *value)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_META];
	size_t length = strlen(value);

	CS_TRY(store_begin(store));
	if (length > STORE_LENGTH_MAX)
		return cs_error_create(CS_ERROR_ARGUMENT, "%s: the value of '%s' is too long to be kept (%zu bytes)",
				       store->name, key, length);
	store_bind_string(s, 1, key);
	sqlite3_bind_text(s, 2, value, (int)length, SQLITE_STATIC);
	store->pending++;
	return store_run(store, STORE_PUT_META);
}

struct cs_error *store_meta(struct store *store, const char *key, const char *value)
{
	STORE_LOCKED(store);

	return store_put_meta(store, key, value);
}

static struct cs_error *put_event(struct store *store, const struct record_event *event, int64_t seq)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_EVENT];

	sqlite3_bind_int64(s, 1, seq);
	sqlite3_bind_int64(s, 2, event->run_ns);
	store_bind_known(s, 3, event->guest_ns);
	store_bind_known(s, 4, event->icount);
	sqlite3_bind_int64(s, 5, event->cpu);
	store_bind_string(s, 6, event->thread);
	store_bind_string(s, 7, event->what);
	store_bind_string(s, 8, event->rule);
	store_bind_string(s, 9, event->clock);
	store_bind_string(s, 10, event->function);
	store_bind_string(s, 11, event->file);
	sqlite3_bind_int64(s, 12, event->line);
	sqlite3_bind_int64(s, 13, (int64_t)event->address);
	sqlite3_bind_int64(s, 14, store_host_ns(store));
	store_bind_known(s, 15, event->tsc);
	store->pending++;
	return store_run(store, STORE_PUT_EVENT);
}

/* WHICH is STORE_PUT_VALUE or STORE_ADD_VALUE, whose first parameters are the same. */
static struct cs_error *put_value(struct store *store, enum store_statement which, int64_t seq,
				  const struct record_value *value)
{
	sqlite3_stmt *s = store->statements[which];
	bool is_number = value->kind == RECORD_VALUE_SIGNED || value->kind == RECORD_VALUE_UNSIGNED;

	sqlite3_bind_int64(s, 1, seq);
	store_bind_string(s, 2, value->name);
	if (is_number)
		sqlite3_bind_int64(s, 3, (int64_t)value->number);
	sqlite3_bind_int(s, 4, value->kind == RECORD_VALUE_UNSIGNED && value->number > INT64_MAX);
	if (value->kind == RECORD_VALUE_TEXT)
		bind_text(s, 5, value->text, value->length);
	store->pending++;
	return store_run(store, which);
}

static struct cs_error *put_frame(struct store *store, int64_t seq, size_t level, const struct record_frame *frame)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_FRAME];

	sqlite3_bind_int64(s, 1, seq);
	sqlite3_bind_int64(s, 2, (int64_t)level);
	store_bind_string(s, 3, frame->function);
	store_bind_string(s, 4, frame->file);
	sqlite3_bind_int64(s, 5, frame->line);
	sqlite3_bind_int64(s, 6, (int64_t)frame->address);
	sqlite3_bind_int(s, 7, frame->inlined);
	store->pending++;
	return store_run(store, STORE_PUT_FRAME);
}

struct cs_error *store_event(struct store *store, const struct record_event *event, int64_t *seq)
{
	STORE_LOCKED(store);
	int64_t number = store->last_seq + 1;

	CS_TRY(store_begin(store));
	CS_TRY(put_event(store, event, number));
	store->last_seq = number;
	for (size_t i = 0; i < event->value_count; i++) {
		sqlite3_bind_int64(store->statements[STORE_PUT_VALUE], 6, (int64_t)i);
		CS_TRY(put_value(store, STORE_PUT_VALUE, number, &event->values[i]));
	}
	for (size_t i = 0; i < event->frame_count; i++)
		CS_TRY(put_frame(store, number, i, &event->frames[i]));
	*seq = number;
	return NULL;
}

struct cs_error *store_add_value(struct store *store, int64_t seq, const struct record_value *value)
{
	STORE_LOCKED(store);
	struct cs_error *error;

	CS_TRY(store_begin(store));
	error = put_value(store, STORE_ADD_VALUE, seq, value);
	if (!error || error->code != CS_ERROR_ARGUMENT)
		return error;
	cs_error_destroy(error);
	return cs_error_create(CS_ERROR_ARGUMENT, "%s has no event %lld", store->name, (long long)seq);
}

struct cs_error *store_expect(struct store *store, const struct record_expectation *expectation)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_EXPECTATION];

	CS_TRY(store_begin(store));
	store_bind_string(s, 1, expectation->rule);
	store_bind_string(s, 2, expectation->what);
	store_bind_string(s, 3, expectation->function);
	store_bind_string(s, 4, expectation->status);
	store_bind_string(s, 5, expectation->note);
	store->pending++;
	return store_run(store, STORE_PUT_EXPECTATION);
}

struct cs_error *store_counter(struct store *store, const struct record_counter *counter)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_COUNTER];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, (int64_t)counter->address);
	store_bind_string(s, 2, counter->function);
	sqlite3_bind_int64(s, 3, counter->hits);
	store_bind_known(s, 4, counter->first_run_ns);
	store_bind_known(s, 5, counter->first_cpu);
	store_bind_known(s, 6, counter->first_icount);
	store->pending++;
	return store_run(store, STORE_PUT_COUNTER);
}

struct cs_error *store_cpuid(struct store *store, const struct record_cpuid *cpuid)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_CPUID];

	CS_TRY(store_begin(store));
	store_bind_string(s, 1, cpuid->moment);
	sqlite3_bind_int64(s, 2, cpuid->leaf);
	sqlite3_bind_int64(s, 3, cpuid->subleaf);
	for (int i = 0; i < 4; i++)
		sqlite3_bind_int64(s, 4 + i, cpuid->registers[i]);
	store->pending++;
	return store_run(store, STORE_PUT_CPUID);
}

struct cs_error *store_msr(struct store *store, const char *moment, uint32_t number, uint64_t value)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_MSR];

	CS_TRY(store_begin(store));
	store_bind_string(s, 1, moment);
	sqlite3_bind_int64(s, 2, number);
	sqlite3_bind_int64(s, 3, (int64_t)value);
	store->pending++;
	return store_run(store, STORE_PUT_MSR);
}

struct cs_error *store_intervention(struct store *store, const struct record_intervention *intervention)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_INTERVENTION];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, intervention->number);
	store_bind_string(s, 2, intervention->kind);
	store_bind_string(s, 3, intervention->option);
	store_bind_string(s, 4, intervention->function);
	store_bind_string(s, 5, intervention->file);
	sqlite3_bind_int64(s, 6, intervention->line);
	sqlite3_bind_int64(s, 7, (int64_t)intervention->address);
	store->pending++;
	return store_run(store, STORE_PUT_INTERVENTION);
}

struct cs_error *store_intervention_use(struct store *store, const struct record_intervention_use *use)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_INTERVENTION_USE];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, use->seq);
	sqlite3_bind_int64(s, 2, use->intervention);
	sqlite3_bind_int64(s, 3, use->run_ns);
	sqlite3_bind_int64(s, 4, use->cpu);
	store_bind_string(s, 5, use->was);
	store_bind_string(s, 6, use->became);
	store->pending++;
	return store_run(store, STORE_PUT_INTERVENTION_USE);
}
