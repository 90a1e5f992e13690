/* SPDX-License-Identifier: MIT */
/* The rows of branch traces. */
#include "record/path_rows.h"
#include "trace/store_batch.h"

static struct cs_error *put_function(struct store *store, const struct record_function *function, int64_t id)
{
	const struct row_function row = {
		.id = id,
		.name = function->name,
		.entry = function->cfg->entry,
		.file = function->file,
		.line = function->line,
		.determined = function->plan->determined,
		.note = function->note,
	};

	return store_insert_function(store, &row);
}

static struct cs_error *put_block(struct store *store, const struct record_function *function, int64_t id,
				  uint32_t number)
{
	const struct cfg_block *block = &function->cfg->blocks[number];
	const struct row_block row = {
		.function = id,
		.number = number,
		.from_address = block->start,
		.to_address = block->end,
		.depth = block->depth,
		.cold = block->cold,
		.gaps = function->plan->gaps[number],
	};

	return store_insert_block(store, &row);
}

static struct cs_error *put_edge(struct store *store, int64_t id, const struct cfg_edge *edge)
{
	const struct row_edge row = {id, edge->from, edge->to, cfg_edge_name(edge->kind)};

	return store_insert_edge(store, &row);
}

static struct cs_error *put_instruction(struct store *store, int64_t id, uint32_t block, const struct insn *insn,
					const char *text, const struct record_source *source)
{
	const int64_t target = (int64_t)insn->target;
	const struct row_instruction row = {
		.function = id,
		.address = insn->address,
		.block = block,
		.kind = insn_kind_name(insn),
		.condition = insn_condition_name(insn),
		.flags = (insn->reads_flags ? RECORD_READS_FLAGS : 0) | (insn->writes_flags ? RECORD_WRITES_FLAGS : 0),
		.target = target ? &target : NULL,
		.text = text,
		.file = source->file,
		.line = source->line,
		.inlined = source->inlined,
	};

	return store_insert_instruction(store, &row);
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
	const struct row_window row = {id, number, window->from, window->to, window->polls};

	return store_insert_window(store, &row);
}

static struct cs_error *put_probe(struct store *store, int64_t id, const struct plan_probe *probe)
{
	const struct row_probe row = {id, probe->address, probe->block, probe->roles, probe->in_window};

	return store_insert_probe(store, &row);
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

static struct cs_error *put_invocation(struct store *store, const struct row_invocation *invocation,
				       const struct path *path, int64_t id)
{
	struct row_invocation row = *invocation;

	row.id = id;
	row.complete = path->complete;
	row.consistent = path->consistent;
	return store_insert_invocation(store, &row);
}

static struct cs_error *put_step(struct store *store, int64_t id, uint32_t ordinal, const struct path_step *step)
{
	const int64_t block = step->block;
	const struct row_step row = {id, ordinal, step->kind == PATH_BLOCK ? &block : NULL};

	return store_insert_step(store, &row);
}

static struct cs_error *put_window_pass(struct store *store, int64_t id, uint32_t number,
					const struct path_window *window)
{
	const struct row_window_pass row = {
		.invocation = id,
		.number = number,
		.window = window->window,
		.first_step = window->first,
		.step_count = window->count,
		.stops_inside = window->stops_inside,
		.tries_min = window->tries_min,
		.tries_max = window->tries_max == PATH_UNBOUNDED ? RECORD_UNKNOWN : (int64_t)window->tries_max,
	};

	return store_insert_window_pass(store, &row);
}

static struct cs_error *put_gap(struct store *store, int64_t id, uint32_t ordinal, const struct path *path,
				const struct path_step *step)
{
	for (uint32_t i = step->first; i < step->first + step->count; i++) {
		const struct row_gap_block row = {id, ordinal, path->gap_blocks[i], path->gap_certain[i]};

		CS_TRY(store_insert_gap_block(store, &row));
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
	    seen->events[step->event].address.value == address && seen->stops[step->event] != RECORD_UNKNOWN) {
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
	const struct row_decision row = {id, ordinal, decision->address, decision->taken, decision->stop};

	return store_insert_decision(store, &row);
}

struct cs_error *store_invocation(struct store *store, const struct row_invocation *invocation, const struct cfg *cfg,
				  const struct path *path, const struct path_event *events, const int64_t *event_stops,
				  size_t event_count)
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

static struct cs_error *note(struct store *store, enum store_statement which)
{
	store->pending++;
	return store_run(store, which);
}

struct cs_error *store_note(struct store *store, int64_t function, const char *text)
{
	STORE_LOCKED(store);

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(store->statements[STORE_NOTE], 1, function);
	sqlite3_bind_text(store->statements[STORE_NOTE], 2, text, -1, SQLITE_STATIC);
	return note(store, STORE_NOTE);
}

struct cs_error *store_shielded(struct store *store, int64_t callee, int64_t caller)
{
	STORE_LOCKED(store);

	CS_TRY(store_begin(store));
	sqlite3_bind_int64(store->statements[STORE_NOTE_SHIELDED], 1, callee);
	sqlite3_bind_int64(store->statements[STORE_NOTE_SHIELDED], 2, caller);
	return note(store, STORE_NOTE_SHIELDED);
}
