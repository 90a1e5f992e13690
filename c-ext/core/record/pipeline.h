/* SPDX-License-Identifier: MIT */
/*
 * From a function's name to its probes in the guest and its rows in the trace: analysis of what is in memory, the
 * function's row, the variables that it compares, and the recorder that watches it.
 *
 * Not safe for several threads at once, but for what the relay's own thread asks of it meanwhile.
 */
#ifndef CLOCKSCOPE_PIPELINE_H
#define CLOCKSCOPE_PIPELINE_H

#include "flow/analysis.h"
#include "record/recorder.h"

struct pipeline;

struct pipeline_options {
	struct recorder_options recorder; /* `name`, `release` and `context` are the pipeline's to fill in */
	struct plan_options plan;
	struct window_hints hints; /* what they point to stays until `release` is called */
	void (*release)(
		void *context); /* nothing that the hints point to is used any more; NULL: nothing is to be done */
	void *context;
};

/* A function that was added. */
struct pipeline_function {
	int64_t id;                      /* its row in the trace */
	const struct analysis *analysis; /* stays while the pipeline does */
	uint64_t different;              /* as in struct guest_text */
	char note[256];                  /* what its paths will lack, and why; empty where they lack nothing */
};

/* Opens the kernel's ELF file. It holds a reference to the relay and to the store. *ret is released by
 * pipeline_destroy(); after an error, options->release has not been called. CS_ERROR_SYSTEM, CS_ERROR_FORMAT for the
 * ELF. */
struct cs_error *pipeline_create(struct relay *relay, struct store *store, const char *elf,
				 const struct pipeline_options *options, struct pipeline **ret);

/* Stops and releases it, as recorder_destroy() does: what the recorder uses of it lives as long as that needs it. */
void pipeline_destroy(struct pipeline *pipeline);

/* The next function after `*symbol` (NULL: the first) that the compiler made of `name`, but for cold parts, which
 * belong to theirs; NULL: there is no more. */
struct cs_error *pipeline_find(struct pipeline *pipeline, const char *name, const struct elf_symbol **symbol);

/* Analyses a function as it is in the guest's memory, writes its rows, and has it watched from the next
 * recorder_arm() on. */
struct cs_error *pipeline_add(struct pipeline *pipeline, const struct elf_symbol *symbol,
			      struct pipeline_function *ret);

struct recorder *pipeline_recorder(const struct pipeline *pipeline);

#endif
