/* SPDX-License-Identifier: MIT */
/*
 * All static stages of one function, from its symbol to its probe plan:
 * ELF → instructions → blocks and edges → windows → plan.
 */
#ifndef CLOCKSCOPE_ANALYSIS_H
#define CLOCKSCOPE_ANALYSIS_H

#include "flow/probe_plan.h"

/* What the analyses of one ELF share: decoder, patched text, thunks, functions that never return. Not safe for several
 * threads at once. */
struct analyser;

/* `elf` must outlive the result. */
struct cs_error *analyser_create(struct elf *elf, struct analyser **ret);
void analyser_destroy(struct analyser *analyser);

struct elf *analyser_elf(const struct analyser *analyser);
const struct sites *analyser_sites(const struct analyser *analyser);
struct insn_decoder *analyser_decoder(const struct analyser *analyser);

/* Text as it was read from the guest, in place of the ELF's. */
struct analysis_text {
	uint64_t address;
	const uint8_t *bytes;
	size_t size;
};

struct analysis_options {
	const struct analysis_text *text; /* borrowed */
	size_t text_count;
	struct window_hints hints; /* what the caller knows; the rest is filled in */
	struct plan_options plan;
};

struct analysis {
	struct elf_symbol symbol;
	struct cfg *cfg;
	struct windows *windows;
	struct plan *plan;
};

/* Analyses a function. CS_ERROR_FORMAT: the ELF has no bytes for it. */
struct cs_error *analysis_create(struct analyser *analyser, const struct elf_symbol *symbol,
				 const struct analysis_options *options, struct analysis **ret);
void analysis_destroy(struct analysis *analysis);

/* Whether a stop at the instruction that holds `address` falls into a timing window of its function; false where no
 * function holds it. `hints` may be NULL. */
struct cs_error *analysis_in_window(struct analyser *analyser, uint64_t address, const struct window_hints *hints,
				    bool *ret);

/* The pieces of text a function consists of: its own and its cold parts. What is to be read from the guest. At most
 * `limit`; returns their number. */
#define ANALYSIS_MAX_RANGES 16u

struct analysis_range {
	uint64_t start, end;
};

struct cs_error *analysis_ranges(struct analyser *analyser, const struct elf_symbol *symbol, struct analysis_range *ret,
				 size_t limit, size_t *count_ret);

/* Holds text as it was read from the guest against the ELF's. `*ret` is the first address that differs where the kernel
 * does not patch its text, or UINT64_MAX: then both are the same code. CS_ERROR_FORMAT: the ELF has no bytes there. */
struct cs_error *analysis_compare(const struct analyser *analyser, const struct analysis_text *text, uint64_t *ret);

#endif
