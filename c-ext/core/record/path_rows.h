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

struct record_invocation {
	int64_t function; /* id */
	int64_t seq;
	int64_t end_seq; /* this and the next: or RECORD_UNKNOWN */
	int64_t run_ns;
	int64_t end_run_ns;
	int64_t cpu;
	const char *thread;
	const char *task;
	uint64_t stack;
	uint64_t caller;
	const char *caller_name; /* "" where unknown */
	const char *returned;    /* "yes", "tail call", "not seen" */
	bool has_value;
	uint64_t value;
};

struct record_stop {
	int64_t seq;
	int64_t cpu;
	uint64_t address;
	int64_t run_ns;
	int64_t host_ns; /* store_host_ns() at the stop */
	int64_t icount;  /* or RECORD_UNKNOWN */
	bool in_window;
	const uint8_t *registers;
	size_t registers_size;
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

/* Records an invocation with its path and the decisions that the path holds. `event_stops` has, for each event
 * that was a branch probe's hit, the seq of its stop, else RECORD_UNKNOWN. */
struct cs_error *store_invocation(struct store *store, const struct record_invocation *invocation,
				  const struct cfg *cfg, const struct path *path, const struct path_event *events,
				  const int64_t *event_stops, size_t event_count);

struct cs_error *store_stop(struct store *store, const struct record_stop *stop);

/* Records what the source calls an operand of the comparison before a function's branch. */
struct cs_error *store_variable(struct store *store, int64_t function, uint64_t branch, const char *operand,
				const char *name);

/* Adds to a function's note. */
struct cs_error *store_note(struct store *store, int64_t function, const char *text);

/* Notes with a function that it is not watched while another is under way, which calls it in a timing window. */
struct cs_error *store_shielded(struct store *store, int64_t callee, int64_t caller);

/* Records, or replaces, the text of one source line. */
struct cs_error *store_source(struct store *store, const char *file, int line, const char *text);

#endif
