/* SPDX-License-Identifier: MIT */
/* The rows of branch traces. */
#include "record/path_rows.h"
#include "trace/statements.h"

static const char *const edge_names[] = {
	[CFG_FALLTHROUGH] = "next", [CFG_TAKEN] = "taken",         [CFG_JUMP] = "jump",
	[CFG_TABLE] = "table",      [CFG_ALTERNATE] = "alternate",
};

static struct cs_error *run(struct store *store, enum store_statement which)
{
	store->pending++;
	return store_run(store, which);
}

static struct cs_error *put_function(struct store *store, const struct record_function *function, int64_t id)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_FUNCTION];

	sqlite3_bind_int64(s, 1, id);
	store_bind_string(s, 2, function->name);
	sqlite3_bind_int64(s, 3, (int64_t)function->cfg->entry);
	store_bind_string(s, 4, function->file);
	sqlite3_bind_int(s, 5, function->line);
	sqlite3_bind_int(s, 6, function->plan->determined);
	store_bind_string(s, 7, function->note);
	return run(store, STORE_PUT_FUNCTION);
}

static struct cs_error *put_block(struct store *store, const struct record_function *function, int64_t id,
				  uint32_t number)
{
	const struct cfg_block *block = &function->cfg->blocks[number];
	sqlite3_stmt *s = store->statements[STORE_PUT_BLOCK];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, number);
	sqlite3_bind_int64(s, 3, (int64_t)block->start);
	sqlite3_bind_int64(s, 4, (int64_t)block->end);
	sqlite3_bind_int64(s, 5, block->depth);
	sqlite3_bind_int(s, 6, block->cold);
	sqlite3_bind_int(s, 7, function->plan->gaps[number]);
	return run(store, STORE_PUT_BLOCK);
}

static struct cs_error *put_edge(struct store *store, int64_t id, const struct cfg_edge *edge)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_EDGE];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, edge->from);
	sqlite3_bind_int64(s, 3, edge->to);
	store_bind_string(s, 4, edge_names[edge->kind]);
	return run(store, STORE_PUT_EDGE);
}

static struct cs_error *put_instruction(struct store *store, int64_t id, uint32_t block, const struct insn *insn,
					const char *text, const struct record_source *source)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_INSTRUCTION];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)insn->address);
	sqlite3_bind_int64(s, 3, block);
	store_bind_string(s, 4, insn_kind_name(insn->kind));
	store_bind_string(s, 5, insn_condition_name(insn->condition));
	if (insn->target)
		sqlite3_bind_int64(s, 6, (int64_t)insn->target);
	store_bind_string(s, 7, text);
	store_bind_string(s, 8, source->file);
	sqlite3_bind_int(s, 9, source->line);
	store_bind_string(s, 10, source->inlined);
	sqlite3_bind_int(s, 11,
			 (insn->reads_flags ? RECORD_READS_FLAGS : 0) | (insn->writes_flags ? RECORD_WRITES_FLAGS : 0));
	return run(store, STORE_PUT_INSTRUCTION);
}

static struct cs_error *put_instructions(struct store *store, const struct record_function *function, int64_t id,
					 struct insn_decoder *decoder, record_source_of *source_of, void *context)
{
	const struct cfg *cfg = function->cfg;

	for (uint32_t b = 0; b < cfg->block_count; b++)
		for (uint32_t i = 0; i < cfg->blocks[b].insn_count; i++) {
			const struct insn *insn = &cfg->insns[cfg->blocks[b].insn + i].insn;
			struct record_source source = source_of(context, insn);
			char text[160];

			insn_text(decoder, insn, text, sizeof(text));
			CS_TRY(put_instruction(store, id, b, insn, text, &source));
		}
	return NULL;
}

static struct cs_error *put_window(struct store *store, int64_t id, uint32_t number, const struct window *window)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_WINDOW];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, number);
	sqlite3_bind_int64(s, 3, (int64_t)window->from);
	sqlite3_bind_int64(s, 4, (int64_t)window->to);
	sqlite3_bind_int(s, 5, window->polls);
	return run(store, STORE_PUT_WINDOW);
}

static struct cs_error *put_probe(struct store *store, int64_t id, const struct plan_probe *probe)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_PROBE];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)probe->address);
	sqlite3_bind_int64(s, 3, probe->block);
	sqlite3_bind_int64(s, 4, probe->roles);
	sqlite3_bind_int(s, 5, probe->in_window);
	return run(store, STORE_PUT_PROBE);
}

/* A number for a new row of a table that only this connection writes. */
static struct cs_error *next_id(struct store *store, const char *sql, int64_t *id)
{
	SQL_STATEMENT *s = NULL;

	CS_TRY(sql_prepare(store->db, store->name, sql, &s));
	if (sqlite3_step(s) != SQLITE_ROW)
		return sql_error(store->db, sqlite3_errcode(store->db), store->name);
	*id = sqlite3_column_int64(s, 0);
	return NULL;
}

struct cs_error *store_function(struct store *store, const struct record_function *function,
				struct insn_decoder *decoder, record_source_of *source_of, void *context, int64_t *id)
{
	STORE_LOCKED(store);
	const struct cfg *cfg = function->cfg;

	CS_TRY(store_begin(store));
	CS_TRY(next_id(store, "SELECT coalesce(max(id), 0) + 1 FROM function", id));
	CS_TRY(put_function(store, function, *id));
	for (uint32_t i = 0; i < cfg->block_count; i++)
		CS_TRY(put_block(store, function, *id, i));
	for (uint32_t i = 0; i < cfg->edge_count; i++)
		CS_TRY(put_edge(store, *id, &cfg->edges[i]));
	for (uint32_t i = 0; i < function->windows->count; i++)
		CS_TRY(put_window(store, *id, i, &function->windows->items[i]));
	for (uint32_t i = 0; i < function->plan->count; i++)
		CS_TRY(put_probe(store, *id, &function->plan->probes[i]));
	return put_instructions(store, function, *id, decoder, source_of, context);
}

static struct cs_error *put_invocation(struct store *store, const struct record_invocation *invocation,
				       const struct path *path, int64_t id)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_INVOCATION];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, invocation->function);
	sqlite3_bind_int64(s, 3, invocation->seq);
	store_bind_known(s, 4, invocation->end_seq);
	sqlite3_bind_int64(s, 5, invocation->run_ns);
	store_bind_known(s, 6, invocation->end_run_ns);
	sqlite3_bind_int64(s, 7, invocation->cpu);
	store_bind_string(s, 8, invocation->thread);
	store_bind_string(s, 9, invocation->task);
	sqlite3_bind_int64(s, 10, (int64_t)invocation->stack);
	sqlite3_bind_int64(s, 11, (int64_t)invocation->caller);
	store_bind_string(s, 12, invocation->returned);
	if (invocation->has_value)
		sqlite3_bind_int64(s, 13, (int64_t)invocation->value);
	sqlite3_bind_int(s, 14, path->complete);
	sqlite3_bind_int(s, 15, path->consistent);
	store_bind_string(s, 16, invocation->caller_name);
	return run(store, STORE_PUT_INVOCATION);
}

static struct cs_error *put_step(struct store *store, int64_t id, uint32_t ordinal, const struct path_step *step)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_STEP];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, ordinal);
	if (step->kind == PATH_BLOCK)
		sqlite3_bind_int64(s, 3, step->block);
	return run(store, STORE_PUT_STEP);
}

static struct cs_error *put_window_pass(struct store *store, int64_t id, uint32_t number,
					const struct path_window *window)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_WINDOW_PASS];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, number);
	sqlite3_bind_int64(s, 3, window->window);
	sqlite3_bind_int64(s, 4, window->first);
	sqlite3_bind_int64(s, 5, window->count);
	sqlite3_bind_int64(s, 6, window->stops_inside);
	sqlite3_bind_int64(s, 7, window->tries_min);
	store_bind_known(s, 8, window->tries_max == PATH_UNBOUNDED ? RECORD_UNKNOWN : (int64_t)window->tries_max);
	return run(store, STORE_PUT_WINDOW_PASS);
}

static struct cs_error *put_gap(struct store *store, int64_t id, uint32_t ordinal, const struct path *path,
				const struct path_step *step)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_GAP_BLOCK];

	for (uint32_t i = step->first; i < step->first + step->count; i++) {
		sqlite3_bind_int64(s, 1, id);
		sqlite3_bind_int64(s, 2, ordinal);
		sqlite3_bind_int64(s, 3, path->gap_blocks[i]);
		sqlite3_bind_int(s, 4, path->gap_certain[i]);
		CS_TRY(run(store, STORE_PUT_GAP_BLOCK));
	}
	return NULL;
}

struct decided {
	uint64_t address;
	bool taken;
	int64_t stop;
};

/* The stops of a path's events, as the recorder kept them. */
struct seen {
	const struct path_event *events;
	const int64_t *stops; /* by event: seq, or RECORD_UNKNOWN where it was no branch */
	size_t count;
};

/* What the conditional jump at the end of step `i` decided, if that is known. */
static bool decided(const struct cfg *cfg, const struct path *path, uint32_t i, const struct seen *seen,
		    struct decided *ret)
{
	const struct path_step *step = &path->steps[i];
	uint32_t taken;
	uint32_t not_taken;
	uint64_t address;

	if (step->kind != PATH_BLOCK || !cfg_decides(cfg, step->block, &taken, &not_taken))
		return false;
	address = cfg_last(cfg, step->block)->insn.address;
	if (step->event < seen->count && seen->events[step->event].kind == PATH_HIT &&
	    seen->events[step->event].address == address && seen->stops[step->event] != RECORD_UNKNOWN) {
		*ret = (struct decided){address, seen->events[step->event].taken, seen->stops[step->event]};
		return true;
	}
	if (i + 1 == path->count || path->steps[i + 1].kind != PATH_BLOCK || taken == not_taken)
		return false;
	*ret = (struct decided){address, path->steps[i + 1].block == taken, RECORD_UNKNOWN};
	return true;
}

static struct cs_error *put_decision(struct store *store, int64_t id, uint32_t ordinal, const struct decided *decision)
{
	sqlite3_stmt *s = store->statements[STORE_PUT_DECISION];

	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, ordinal);
	sqlite3_bind_int64(s, 3, (int64_t)decision->address);
	sqlite3_bind_int(s, 4, decision->taken);
	store_bind_known(s, 5, decision->stop);
	return run(store, STORE_PUT_DECISION);
}

struct cs_error *store_invocation(struct store *store, const struct record_invocation *invocation,
				  const struct cfg *cfg, const struct path *path, const struct path_event *events,
				  const int64_t *event_stops, size_t event_count)
{
	STORE_LOCKED(store);
	struct seen seen = {events, event_stops, event_count};
	int64_t id;

	CS_TRY(store_begin(store));
	CS_TRY(next_id(store, "SELECT coalesce(max(id), 0) + 1 FROM invocation", &id));
	CS_TRY(put_invocation(store, invocation, path, id));
	for (uint32_t i = 0; i < path->count; i++) {
		const struct path_step *step = &path->steps[i];
		struct decided decision;

		CS_TRY(put_step(store, id, i, step));
		if (step->kind == PATH_GAP)
			CS_TRY(put_gap(store, id, i, path, step));
		if (decided(cfg, path, i, &seen, &decision))
			CS_TRY(put_decision(store, id, i, &decision));
	}
	for (uint32_t i = 0; i < path->window_count; i++)
		CS_TRY(put_window_pass(store, id, i, &path->windows[i]));
	return NULL;
}

struct cs_error *store_stop(struct store *store, const struct record_stop *stop)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_STOP];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, stop->seq);
	sqlite3_bind_int64(s, 2, stop->cpu);
	sqlite3_bind_int64(s, 3, (int64_t)stop->address);
	sqlite3_bind_int64(s, 4, stop->run_ns);
	store_bind_known(s, 5, stop->icount);
	sqlite3_bind_int(s, 6, stop->in_window);
	sqlite3_bind_blob(s, 7, stop->registers, (int)stop->registers_size, SQLITE_STATIC);
	sqlite3_bind_int64(s, 8, stop->host_ns);
	return run(store, STORE_PUT_STOP);
}

struct cs_error *store_variable(struct store *store, int64_t function, uint64_t branch, const char *operand,
				const char *name)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_VARIABLE];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, function);
	sqlite3_bind_int64(s, 2, (int64_t)branch);
	store_bind_string(s, 3, operand);
	store_bind_string(s, 4, name);
	return run(store, STORE_PUT_VARIABLE);
}

struct cs_error *store_note(struct store *store, int64_t function, const char *text)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_NOTE];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, function);
	store_bind_string(s, 2, text);
	return run(store, STORE_NOTE);
}

struct cs_error *store_shielded(struct store *store, int64_t callee, int64_t caller)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_NOTE_SHIELDED];

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(s, 1, callee);
	sqlite3_bind_int64(s, 2, caller);
	return run(store, STORE_NOTE_SHIELDED);
}

struct cs_error *store_source(struct store *store, const char *file, int line, const char *text)
{
	STORE_LOCKED(store);
	sqlite3_stmt *s = store->statements[STORE_PUT_SOURCE];

	CS_TRY(store_begin(store));
	store_bind_string(s, 1, file);
	sqlite3_bind_int(s, 2, line);
	store_bind_string(s, 3, text);
	return run(store, STORE_PUT_SOURCE);
}
