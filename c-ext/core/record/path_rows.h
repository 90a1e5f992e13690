/* SPDX-License-Identifier: MIT */
/*
 * The rows of branch traces in memory, and how they are written: schemas/trace.sql says what each field
 * means. Nothing here owns what it points to.
 */
#ifndef CLOCKSCOPE_PATH_ROWS_H
#define CLOCKSCOPE_PATH_ROWS_H

#include "flow/reconstruct.h"
#include "trace/store.h"

/* Bits of an instruction's `flags`. */
#define RECORD_READS_FLAGS 1
#define RECORD_WRITES_FLAGS 2

/* A traced function as analysed. */
struct record_function {
	const char *name;
	const char *file; /* "" where unknown */
	int line;
	const char *note;
	const struct cfg *cfg;
	const struct windows *windows;
	const struct plan *plan;
};

/* Tells the source position of an instruction; the strings hold until the next call. file is "" and line 0
 * where nothing is known, inlined "" where the instruction is the function's own, or decides nothing. */
struct record_source {
	const char *file;
	int line;
	const char *inlined;
};
typedef struct record_source record_source_of(void *context, const struct insn *insn);

/* Records a function with its blocks, edges, instructions, windows and probes; *id is its number. The
 * decoder writes the disassembly. */
struct cs_error *store_function(struct store *store, const struct record_function *function,
				struct insn_decoder *decoder, record_source_of *source_of, void *context, int64_t *id);

/* Records an invocation (its id, and how much of it is known, are found here) with its path and the decisions that the
 * path holds. `event_stops` has, for each event that was a branch probe's hit, the seq of its stop, else
 * RECORD_UNKNOWN. */
struct cs_error *store_invocation(struct store *store, const struct row_invocation *invocation, const struct cfg *cfg,
				  const struct path *path, const struct path_event *events, const int64_t *event_stops,
				  size_t event_count);

/* Adds to a function's note. */
struct cs_error *store_note(struct store *store, int64_t function, const char *text);

/* Notes with a function that it is not watched while another is under way, which calls it in a timing window. */
struct cs_error *store_shielded(struct store *store, int64_t callee, int64_t caller);

#endif
