/* SPDX-License-Identifier: MIT */
/*
 * A function's text as it is in the guest's memory: what is analysed in place of the ELF's, for a kernel patches itself
 * while it runs, and a guest may run another build than its symbols are of.
 *
 * Breakpoints that are bytes in memory (KVM), and text that the kernel is about to rewrite, show as breakpoints where
 * the ELF has an instruction; those bytes are the ELF's. So are addresses in the text of an image that was moved.
 */
#ifndef CLOCKSCOPE_GUEST_TEXT_H
#define CLOCKSCOPE_GUEST_TEXT_H

#include "base/placement.h"
#include "flow/analysis.h"

/* Reads guest memory. CS_ERROR_REFUSED: it is not mapped. */
typedef struct cs_error *guest_text_reader(void *context, struct run_address address, void *buffer, size_t size);

struct guest_text {
	struct analysis_text parts[ANALYSIS_MAX_RANGES];
	size_t count;
	uint64_t different; /* the first address that differs where no table says that it may; UINT64_MAX: none */
};

/* Reads all parts of a function. One that is not mapped, or that the ELF has no bytes of, is left out. */
struct cs_error *guest_text_read(struct analyser *analyser, const struct elf_symbol *symbol,
				 const struct placement *placement, guest_text_reader *reader, void *context,
				 struct guest_text *ret);
void guest_text_release(struct guest_text *text);

/* Analyses a function as it is in memory; as it is in the ELF where memory holds no code. `options` without text. */
struct cs_error *guest_text_analyse(struct analyser *analyser, const struct elf_symbol *symbol,
				    const struct guest_text *text, const struct analysis_options *options,
				    struct analysis **ret);

#endif
