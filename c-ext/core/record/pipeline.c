/* SPDX-License-Identifier: MIT */
#include "record/pipeline.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "elf/lines.h"
#include "flow/guest_text.h"
#include "flow/variables.h"

#define INLINE_LEVELS 16

/* A function under trace: the recorder borrows its analysis. */
struct traced_function {
	struct analysis *analysis;
	struct traced_function *next;
};

/* What the recorder is given, and uses until it is released. */
struct material {
	pthread_mutex_t lock; /* the ELF finds its symbols when first asked, and two threads ask */
	struct elf *elf;
	struct lines *lines;
	struct analyser *analyser;
	struct traced_function *functions;
	struct window_hints hints;
	void (*release)(void *context); /* of what the hints point to */
	void *context;
};

struct pipeline {
	struct relay *relay;
	struct store *store;
	struct recorder *recorder;
	struct material *material; /* the recorder's */
	struct plan_options plan;
	struct placement placement;
};

/* Of what is released with the recorder, all but what the hints point to: that is the caller's until there is one. */
static void material_free(struct material *material)
{
	if (!material)
		return;
	while (material->functions) {
		struct traced_function *next = material->functions->next;

		analysis_destroy(material->functions->analysis);
		free(material->functions);
		material->functions = next;
	}
	analyser_destroy(material->analyser);
	lines_destroy(material->lines);
	elf_destroy(material->elf);
	pthread_mutex_destroy(&material->lock);
	free(material);
}

static void material_release(void *context)
{
	struct material *material = context;
	void (*release)(void *) = material->release;
	void *released = material->context;

	material_free(material);
	if (release)
		release(released);
}

static struct cs_error *open_file(struct material *material, const char *path)
{
	CS_TRY(elf_create(path, &material->elf));
	CS_TRY(lines_create(material->elf, &material->lines));
	return analyser_create(material->elf, &material->analyser);
}

static struct cs_error *material_create(const char *path, const struct pipeline_options *options, struct material **ret)
{
	struct material *material = calloc(1, sizeof(*material));
	struct cs_error *error;

	if (!material)
		return &cs_error_no_memory;
	pthread_mutex_init(&material->lock, NULL);
	material->hints = options->hints;
	material->release = options->release;
	material->context = options->context;
	error = open_file(material, path);
	if (error)
		material_free(material);
	else
		*ret = material;
	return error;
}

/* --- Names and lines, from the ELF --- */

/* In the relay's thread, too. */
static void name_address(void *context, struct link_address address, char *text, size_t size)
{
	struct material *material = context;
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error;

	pthread_mutex_lock(&material->lock);
	error = elf_symbol_at(material->elf, address.value, &symbol);
	pthread_mutex_unlock(&material->lock);
	cs_error_destroy(error);
	text[0] = '\0';
	if (!error && symbol)
		snprintf(text, size, "%s+0x%llx", symbol->name, (unsigned long long)(address.value - symbol->address));
}

static bool decides(const struct insn *insn)
{
	return insn->kind == INSN_BRANCH || insn->kind == INSN_SELECT || insn->kind == INSN_TRUTH;
}

/* To find the inlined function takes milliseconds, so that is done only where a decision is shown. */
static struct record_source source_of(void *context, const struct insn *insn)
{
	struct record_source source = {"", 0, ""};
	struct line levels[INLINE_LEVELS];
	size_t count;

	if (decides(insn))
		count = lines_at(context, insn->address, levels, INLINE_LEVELS);
	else
		count = lines_position(context, insn->address, &levels[0]);
	if (!count)
		return source;
	source.file = levels[0].file ? levels[0].file : "";
	source.line = levels[0].line;
	if (decides(insn) && levels[0].inlined && levels[0].function)
		source.inlined = levels[0].function;
	return source;
}

/* --- Adding a function --- */

/* Adds a reason to those in the text; none where there is nothing to count. */
static void add_reason(char *text, size_t size, uint32_t count, const char *what)
{
	size_t used = strlen(text);

	if (count)
		snprintf(text + used, size - used, "%s%u %s", used ? ", " : "not always told: ", count, what);
}

/* What the paths will lack, and why; empty where they lack nothing. */
static void explain_gaps(const struct analysis *analysis, char *text, size_t size)
{
	const struct plan *plan = analysis->plan;
	uint32_t window = 0;
	uint32_t patched = 0;
	uint32_t unknown = 0;

	text[0] = '\0';
	if (plan->determined && analysis->cfg->complete)
		return;
	for (uint32_t i = 0; i < analysis->cfg->block_count; i++) {
		window += (plan->gaps[i] & PLAN_GAP_WINDOW) != 0;
		patched += (plan->gaps[i] & PLAN_GAP_PATCHED) != 0;
		unknown += (analysis->cfg->blocks[i].exits & CFG_UNKNOWN) != 0;
	}
	add_reason(text, size, window, "blocks in timing windows");
	add_reason(text, size, patched, "blocks on patched text");
	add_reason(text, size, plan->left_out, "probes over the budget");
	add_reason(text, size, unknown, "indirect jumps with unknown targets");
}

static struct cs_error *record_variables(struct pipeline *pipeline, const struct analysis *analysis, int64_t id)
{
	const struct cfg *cfg = analysis->cfg;

	for (uint32_t b = 0; b < cfg->block_count; b++) {
		const struct insn *branch = &cfg_last(cfg, b)->insn;
		struct variable found[OPERAND_MAX];
		size_t count =
			branch->kind == INSN_BRANCH
				? variables_compared(pipeline->material->lines,
						     analyser_decoder(pipeline->material->analyser), cfg, b, found)
				: 0;

		for (size_t i = 0; i < count; i++) {
			struct row_variable row = {id, branch->address, found[i].operand, found[i].name};

			CS_TRY(store_row_variable(pipeline->store, &row));
		}
	}
	return NULL;
}

static void explain(const struct analysis *analysis, struct pipeline_function *added)
{
	size_t used;

	explain_gaps(analysis, added->note, sizeof(added->note));
	used = strlen(added->note);
	if (added->different != UINT64_MAX)
		snprintf(added->note + used, sizeof(added->note) - used,
			 "%sanalysed as it is in memory, which is not the symbol file's code at 0x%llx",
			 used ? "; " : "", (unsigned long long)added->different);
}

static struct cs_error *record_one(struct pipeline *pipeline, const struct analysis *analysis,
				   struct pipeline_function *added)
{
	struct record_source source = source_of(pipeline->material->lines, &analysis->cfg->insns[0].insn);
	struct record_function row = {
		.name = analysis->symbol.name,
		.file = source.file,
		.line = source.line,
		.note = added->note,
		.cfg = analysis->cfg,
		.windows = analysis->windows,
		.plan = analysis->plan,
	};

	/* Strings of `lines` hold only until the next look-up. */
	FREE char *file = strdup(source.file);

	if (!file)
		return &cs_error_no_memory;
	row.file = file;
	explain(analysis, added);
	CS_TRY(store_function(pipeline->store, &row, analyser_decoder(pipeline->material->analyser), source_of,
			      pipeline->material->lines, &added->id));
	CS_TRY(record_variables(pipeline, analysis, added->id));
	CS_TRY(recorder_add(pipeline->recorder, added->id, analysis->cfg, analysis->windows, analysis->plan));
	if (variables_none_returned(pipeline->material->lines, analysis->cfg->entry))
		return recorder_returns_nothing(pipeline->recorder, added->id);
	return NULL;
}

struct piece {
	struct run_address address;
	void *buffer;
	size_t size;
};

static struct cs_error *read_piece(struct stub *stub, void *context)
{
	const struct piece *piece = context;

	return stub_read(stub, piece->address.value, piece->buffer, piece->size);
}

/* The relay's thread may want a name before it comes to this. */
static struct cs_error *read_guest(void *context, struct run_address address, void *buffer, size_t size)
{
	struct piece piece = {address, buffer, size};
	struct pipeline *pipeline = context;
	struct cs_error *error;

	pthread_mutex_unlock(&pipeline->material->lock);
	error = relay_call(pipeline->relay, read_piece, &piece);
	pthread_mutex_lock(&pipeline->material->lock);
	return error;
}

static struct cs_error *analyse(struct pipeline *pipeline, const struct elf_symbol *symbol, struct analysis **ret,
				struct pipeline_function *added)
{
	struct material *material = pipeline->material;
	CLEANUP(guest_text_release) struct guest_text text = {.count = 0};
	const struct analysis_options options = {
		.hints = material->hints,
		.plan = pipeline->plan,
	};

	CS_TRY(guest_text_read(material->analyser, symbol, &pipeline->placement, read_guest, pipeline, &text));
	added->different = text.different;
	return guest_text_analyse(material->analyser, symbol, &text, &options, ret);
}

static struct cs_error *add_locked(struct pipeline *pipeline, const struct elf_symbol *symbol,
				   struct pipeline_function *added)
{
	struct traced_function *function = calloc(1, sizeof(*function));
	struct cs_error *error;

	if (!function)
		return &cs_error_no_memory;
	error = analyse(pipeline, symbol, &function->analysis, added);
	if (error) {
		free(function);
		return error;
	}
	function->next = pipeline->material->functions;
	pipeline->material->functions = function;
	added->analysis = function->analysis;
	return record_one(pipeline, function->analysis, added);
}

struct cs_error *pipeline_add(struct pipeline *pipeline, const struct elf_symbol *symbol, struct pipeline_function *ret)
{
	struct cs_error *error;

	*ret = (struct pipeline_function){0};
	pthread_mutex_lock(&pipeline->material->lock);
	error = add_locked(pipeline, symbol, ret);
	pthread_mutex_unlock(&pipeline->material->lock);
	return error;
}

struct cs_error *pipeline_find(struct pipeline *pipeline, const char *name, const struct elf_symbol **symbol)
{
	struct cs_error *error;

	pthread_mutex_lock(&pipeline->material->lock);
	do
		error = elf_find_variant(pipeline->material->elf, name, *symbol, symbol);
	while (!error && *symbol && (elf_is_cold_part((*symbol)->name) || !(*symbol)->function));
	pthread_mutex_unlock(&pipeline->material->lock);
	return error;
}

struct recorder *pipeline_recorder(const struct pipeline *pipeline)
{
	return pipeline->recorder;
}

/* --- Life --- */

static struct cs_error *begin(struct pipeline *pipeline, const char *elf, const struct pipeline_options *options)
{
	struct recorder_options recorder = options->recorder;
	struct cs_error *error;

	CS_TRY(material_create(elf, options, &pipeline->material));
	recorder.name = name_address;
	recorder.release = material_release;
	recorder.context = pipeline->material;
	error = recorder_create(pipeline->relay, pipeline->store, &recorder, &pipeline->recorder);
	if (error)
		material_free(pipeline->material);
	return error;
}

struct cs_error *pipeline_create(struct relay *relay, struct store *store, const char *elf,
				 const struct pipeline_options *options, struct pipeline **ret)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
	struct cs_error *error;

	if (!pipeline)
		return &cs_error_no_memory;
	pipeline->plan = options->plan;
	pipeline->placement = options->recorder.placement;
	pipeline->relay = relay_hold(relay);
	pipeline->store = store_hold(store);
	error = begin(pipeline, elf, options);
	if (error)
		pipeline_destroy(pipeline);
	else
		*ret = pipeline;
	return error;
}

void pipeline_destroy(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	recorder_destroy(pipeline->recorder);
	store_destroy(pipeline->store);
	relay_destroy(pipeline->relay);
	free(pipeline);
}
