/* SPDX-License-Identifier: MIT */
#include "flow/analysis.h"

#include <string.h>

#include "arch/arch.h"
#include "base/addresses.h"
#include "base/util.h"
#include "elf/noreturn.h"
#include "flow/loop_bounds.h"

struct analyser {
	struct elf *elf;
	struct sites *sites;
	struct insn_decoder *decoder;
	uint64_t return_thunk;
	uint64_t indirect_thunks[2];
	struct cfg_code replacements; /* .altinstr_replacement */
	struct cfg_code out_of_line;  /* .altinstr_aux: the late halves of static_cpu_has() */
	struct lines *lines;          /* who never returns */
};

static struct cs_error *address_of(struct elf *elf, const char *name, uint64_t *ret)
{
	const struct elf_symbol *symbol = NULL;

	CS_TRY(elf_find(elf, name, NULL, &symbol));
	*ret = symbol ? symbol->address : 0;
	return NULL;
}

/* Linux keeps its thunks one after the other. */
static struct cs_error *find_thunks(struct analyser *analyser)
{
	const struct arch_thunks *thunks = &elf_arch(analyser->elf)->thunks;

	CS_TRY(address_of(analyser->elf, thunks->return_name, &analyser->return_thunk));
	CS_TRY(address_of(analyser->elf, thunks->first, &analyser->indirect_thunks[0]));
	CS_TRY(address_of(analyser->elf, thunks->last, &analyser->indirect_thunks[1]));
	if (analyser->indirect_thunks[1] > analyser->indirect_thunks[0])
		analyser->indirect_thunks[1] += thunks->size;
	return NULL;
}

static void find_sections(struct analyser *analyser)
{
	size_t count;
	const struct elf_section *sections = elf_sections(analyser->elf, &count);

	for (size_t i = 0; i < count; i++) {
		struct cfg_code code = {
			.address = sections[i].address,
			.bytes = elf_bytes(analyser->elf, sections[i].address, sections[i].size),
			.size = sections[i].size,
		};

		if (!code.bytes)
			continue;
		if (!strcmp(sections[i].name, ".altinstr_replacement"))
			analyser->replacements = code;
		else if (!strcmp(sections[i].name, ".altinstr_aux"))
			analyser->out_of_line = code;
	}
}

static struct cs_error *prepare(struct analyser *analyser)
{
	CS_TRY(insn_decoder_create(elf_arch(analyser->elf), &analyser->decoder));
	CS_TRY(sites_create(analyser->elf, &analyser->sites));
	CS_TRY(find_thunks(analyser));
	CS_TRY(lines_create(analyser->elf, &analyser->lines));
	find_sections(analyser);
	return NULL;
}

struct cs_error *analyser_create(struct elf *elf, struct analyser **ret)
{
	struct analyser *analyser = calloc(1, sizeof(*analyser));
	struct cs_error *error;

	if (!analyser)
		return &cs_error_no_memory;
	analyser->elf = elf;
	error = prepare(analyser);
	if (error) {
		analyser_destroy(analyser);
		return error;
	}
	*ret = analyser;
	return NULL;
}

void analyser_destroy(struct analyser *analyser)
{
	if (!analyser)
		return;
	sites_destroy(analyser->sites);
	insn_decoder_destroy(analyser->decoder);
	lines_destroy(analyser->lines);
	free(analyser);
}

struct elf *analyser_elf(const struct analyser *analyser)
{
	return analyser->elf;
}

const struct sites *analyser_sites(const struct analyser *analyser)
{
	return analyser->sites;
}

struct insn_decoder *analyser_decoder(const struct analyser *analyser)
{
	return analyser->decoder;
}

/* Cold parts bear the name of what they were split off. Static functions may share both names: then each of the parts
 * is a candidate, and only one that is jumped to becomes part of the graph. */
struct cs_error *analysis_ranges(struct analyser *analyser, const struct elf_symbol *symbol, struct analysis_range *ret,
				 size_t limit, size_t *count_ret)
{
	size_t length = strlen(symbol->name);
	const struct elf_symbol *part = NULL;
	size_t count = 0;

	*count_ret = 0;
	if (!limit)
		return NULL;
	ret[count++] = (struct analysis_range){symbol->address, symbol->address + symbol->size};
	for (;;) {
		CS_TRY(elf_find_variant(analyser->elf, symbol->name, part, &part));
		if (!part || count == limit)
			break;
		if (part->function && part->address != symbol->address && !strncmp(part->name, symbol->name, length) &&
		    !strncmp(part->name + length, ".cold", 5) && elf_is_cold_part(part->name))
			ret[count++] = (struct analysis_range){part->address, part->address + part->size};
	}
	*count_ret = count;
	return NULL;
}

/* What the analysis of a function is asked with. */
struct question {
	struct analyser *analyser;
	const struct window_hints *hints;
};

/* As DWARF says, or the caller knows: assembly, and kernels without DWARF. */
static struct cs_error *never_returns(void *context, uint64_t function, bool *ret)
{
	const struct question *question = context;

	*ret = addresses_hold(question->hints->noreturn, question->hints->noreturn_count, function);
	return *ret ? NULL : noreturn_ask(question->analyser->lines, function, ret);
}

static bool read_constant(void *context, uint64_t address, void *buffer, size_t size)
{
	const struct question *question = context;
	const uint8_t *bytes = elf_bytes(question->analyser->elf, address, size);

	if (bytes)
		memcpy(buffer, bytes, size);
	return bytes;
}

/* A range's bytes: the guest's where the caller has read all of them, the ELF's otherwise. */
static const uint8_t *bytes_of(const struct analyser *analyser, const struct analysis_options *options,
			       const struct analysis_range *range)
{
	size_t size = range->end - range->start;

	for (size_t i = 0; i < options->text_count; i++) {
		const struct analysis_text *text = &options->text[i];
		uint64_t offset = range->start - text->address;

		if (offset <= text->size && size <= text->size - offset)
			return text->bytes + offset;
	}
	return elf_bytes(analyser->elf, range->start, size);
}

static struct cs_error *build_cfg(struct analyser *analyser, const struct elf_symbol *symbol,
				  const struct analysis_options *options, struct cfg **ret)
{
	struct analysis_range ranges[ANALYSIS_MAX_RANGES];
	struct cfg_code code[ANALYSIS_MAX_RANGES + 1];
	struct question question = {analyser, &options->hints};
	struct cfg_input input = {
		.entry = symbol->address,
		.code = code,
		.sites = analyser->sites->count ? analyser->sites : NULL,
		.replacements = analyser->replacements.size ? &analyser->replacements : NULL,
		.return_thunk = analyser->return_thunk,
		.indirect_thunks = {analyser->indirect_thunks[0], analyser->indirect_thunks[1]},
		.read = read_constant,
		.never_returns = never_returns,
		.context = &question,
	};
	size_t count;

	CS_TRY(analysis_ranges(analyser, symbol, ranges, ANALYSIS_MAX_RANGES, &count));
	for (size_t i = 0; i < count; i++) {
		struct cfg_code part = {
			.address = ranges[i].start,
			.bytes = bytes_of(analyser, options, &ranges[i]),
			.size = ranges[i].end - ranges[i].start,
		};

		if (part.bytes && part.size)
			code[input.code_count++] = part;
	}
	if (analyser->out_of_line.size)
		code[input.code_count++] = analyser->out_of_line;
	return cfg_create(analyser->decoder, &input, ret);
}

/* How deep a call in a measuring function is followed to see whether it reads a clock. What reads one deeper than
 * that does more than read it. */
#define READ_DEPTH 2

static struct cs_error *reads_clock(const struct question *question, uint64_t function, unsigned depth, bool *ret);

/* Whatever prints to a serial line reads and writes bytes at ports that it has in a register. A timer's are constants,
 * or it is read whole. */
static bool reads_itself(const struct insn *insn)
{
	if (insn->kind == INSN_PORT_READ)
		return insn->port >= 0 || insn->wide_port;
	return insn_is_clock_access(insn) && insn->kind != INSN_PORT_WRITE;
}

static struct cs_error *block_reads(const struct question *question, const struct cfg *cfg,
				    const struct cfg_block *block, unsigned depth, bool *ret)
{
	for (uint32_t i = block->insn; i < block->insn + block->insn_count && !*ret; i++) {
		const struct insn *insn = &cfg->insns[i].insn;

		*ret = reads_itself(insn) ||
		       window_calls_pointer(block, &cfg->insns[i], question->analyser->indirect_thunks);
		if (!*ret && depth > 1 && (insn->kind == INSN_CALL || insn->kind == INSN_JUMP))
			CS_TRY(reads_clock(question, insn->target, depth - 1, ret));
	}
	return NULL;
}

static struct cs_error *holds_read(const struct question *question, const struct cfg *cfg, unsigned depth, bool *ret)
{
	for (uint32_t i = 0; i < cfg->block_count && !*ret; i++)
		CS_TRY(block_reads(question, cfg, &cfg->blocks[i], depth, ret));
	return NULL;
}

static struct cs_error *reads_clock(const struct question *question, uint64_t function, unsigned depth, bool *ret)
{
	const struct analysis_options options = {.hints = *question->hints};
	struct analyser *analyser = question->analyser;
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error;
	struct cfg *cfg;
	bool never;

	*ret = false;
	CS_TRY(elf_symbol_at(analyser->elf, function, &symbol));
	/* A jump within a function is no call; functions that do not return measure nothing. */
	if (!symbol || !symbol->function || symbol->address != function)
		return NULL;
	CS_TRY(never_returns((void *)question, function, &never));
	if (never)
		return NULL;
	error = build_cfg(analyser, symbol, &options, &cfg);
	if (error) { /* nothing is known of it */
		*ret = error->code == CS_ERROR_FORMAT || error->code == CS_ERROR_REFUSED;
		if (!*ret)
			return error;
		cs_error_destroy(error);
		return NULL;
	}
	error = holds_read(question, cfg, depth, ret);
	cfg_destroy(cfg);
	return error;
}

static struct cs_error *callee_reads(void *context, uint64_t function, bool *ret)
{
	return reads_clock(context, function, READ_DEPTH, ret);
}

static struct cs_error *find_windows(struct analyser *analyser, const struct cfg *cfg, const struct window_hints *known,
				     struct windows **ret)
{
	struct question question = {analyser, known};
	struct window_hints hints = *known;

	hints.indirect_thunks[0] = analyser->indirect_thunks[0];
	hints.indirect_thunks[1] = analyser->indirect_thunks[1];
	hints.reads = callee_reads;
	hints.context = &question;
	return windows_create(analyser->decoder, cfg, &hints, ret);
}

struct cs_error *analysis_create(struct analyser *analyser, const struct elf_symbol *symbol,
				 const struct analysis_options *options, struct analysis **ret)
{
	struct analysis *analysis = calloc(1, sizeof(*analysis));
	struct cs_error *error;

	if (!analysis)
		return &cs_error_no_memory;
	analysis->symbol = *symbol;
	error = build_cfg(analyser, symbol, options, &analysis->cfg);
	if (!error)
		bounds_find(analyser->decoder, analysis->cfg);
	if (!error)
		error = find_windows(analyser, analysis->cfg, &options->hints, &analysis->windows);
	if (!error)
		error = plan_create(analysis->cfg, analysis->windows, &options->plan, &analysis->plan);
	if (error) {
		analysis_destroy(analysis);
		return error;
	}
	*ret = analysis;
	return NULL;
}

void analysis_destroy(struct analysis *analysis)
{
	if (!analysis)
		return;
	plan_destroy(analysis->plan);
	windows_destroy(analysis->windows);
	cfg_destroy(analysis->cfg);
	free(analysis);
}

/* The index of the instruction that holds an address, or CFG_NONE. */
static uint32_t insn_around(const struct cfg *cfg, uint64_t address)
{
	uint32_t number = cfg_block_at(cfg, address);
	const struct cfg_block *block = number == CFG_NONE ? NULL : &cfg->blocks[number];

	for (uint32_t i = 0; block && i < block->insn_count; i++) {
		const struct insn *insn = &cfg->insns[block->insn + i].insn;

		if (address - insn->address < insn->length)
			return block->insn + i;
	}
	return CFG_NONE;
}

/* *held is false where the address is no instruction of this function. */
static struct cs_error *in_window_of(struct analyser *analyser, const struct elf_symbol *symbol, uint64_t address,
				     const struct analysis_options *options, bool *held, bool *ret)
{
	struct windows *windows = NULL;
	struct cs_error *error = NULL;
	struct cfg *cfg;
	uint32_t index;

	CS_TRY(build_cfg(analyser, symbol, options, &cfg));
	index = insn_around(cfg, address);
	*held = index != CFG_NONE;
	if (*held)
		error = find_windows(analyser, cfg, &options->hints, &windows);
	*ret = windows && windows->inside[index];
	windows_destroy(windows);
	cfg_destroy(cfg);
	return error;
}

struct cs_error *analysis_in_window(struct analyser *analyser, uint64_t address, const struct window_hints *hints,
				    bool *ret)
{
	const struct analysis_options options = {.hints = hints ? *hints : (struct window_hints){.references = NULL}};
	const struct elf_symbol *symbol = NULL;
	FREE char *base = NULL;
	bool held = false;

	*ret = false;
	CS_TRY(elf_symbol_at(analyser->elf, address, &symbol));
	if (!symbol || !symbol->function)
		return NULL;
	base = strndup(symbol->name, elf_base_name_length(symbol->name));
	if (!base)
		return &cs_error_no_memory;
	/* Cold parts belong to the function that jumps there; static functions may share a name. */
	for (symbol = NULL; !held;) {
		CS_TRY(elf_find_variant(analyser->elf, base, symbol, &symbol));
		if (!symbol)
			return NULL;
		if (symbol->function && !elf_is_cold_part(symbol->name))
			CS_TRY(in_window_of(analyser, symbol, address, &options, &held, ret));
	}
	return NULL;
}

/* Whether a table says that the kernel rewrites a byte of its text. */
static bool may_change(const struct sites *sites, uint64_t address)
{
	size_t count;
	const struct site *items = sites_between(sites, address, address + 1, &count);

	for (size_t i = 0; i < count; i++)
		if (site_is_patched(items[i].kind) && address - items[i].address < items[i].length)
			return true;
	return false;
}

struct cs_error *analysis_compare(const struct analyser *analyser, const struct analysis_text *text, uint64_t *ret)
{
	const uint8_t *bytes = elf_bytes(analyser->elf, text->address, text->size);

	if (!bytes)
		return cs_error_create(CS_ERROR_FORMAT, "%s: has no text at 0x%llx", elf_path(analyser->elf),
				       (unsigned long long)text->address);
	*ret = UINT64_MAX;
	for (size_t i = 0; i < text->size && *ret == UINT64_MAX; i++)
		if (bytes[i] != text->bytes[i] && !may_change(analyser->sites, text->address + i))
			*ret = text->address + i;
	return NULL;
}
