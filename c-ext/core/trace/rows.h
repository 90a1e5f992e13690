/* SPDX-License-Identifier: MIT */
/*
 * The rows of a trace in memory: what a recorder hands to the store, and what a reader gets back.
 * schemas/trace.sql says what each field means. Text is UTF-8 by intention, but comes from guests
 * and files and may hold any bytes. Nothing here owns what it points to.
 */
#ifndef CLOCKSCOPE_ROWS_H
#define CLOCKSCOPE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For the times and counts that may be unknown; stored as NULL. */
#define RECORD_UNKNOWN (-1)

enum record_value_kind {
	RECORD_VALUE_UNREADABLE,
	RECORD_VALUE_SIGNED,
	RECORD_VALUE_UNSIGNED, /* 2^63 or more: masks, addresses */
	RECORD_VALUE_TEXT,
};

struct record_value {
	const char *name;
	enum record_value_kind kind;
	uint64_t number;  /* two's complement when signed */
	const char *text; /* may hold NUL bytes */
	size_t length;    /* of text, in bytes */
};

struct record_frame {
	const char *function;
	const char *file;
	int64_t line;
	uint64_t address;
	bool inlined;
};

struct record_event {
	int64_t seq;      /* given by the store; ignored when writing */
	int64_t run_ns;   /* guest run time, stops excluded */
	int64_t guest_ns; /* or RECORD_UNKNOWN */
	int64_t icount;   /* or RECORD_UNKNOWN */
	int64_t tsc;      /* the guest's time stamp counter; or RECORD_UNKNOWN */
	int64_t cpu;
	const char *thread;
	const char *what;
	const char *rule;
	const char *clock; /* NULL: about no clock */
	const char *function;
	const char *file;
	int64_t line;
	uint64_t address;
	struct record_value *values;
	size_t value_count;
	struct record_frame *frames; /* innermost first */
	size_t frame_count;
};

struct record_expectation {
	const char *rule;
	const char *what;
	const char *function;
	const char *status; /* "planted", "missing", "refused" */
	const char *note;
};

struct record_counter {
	uint64_t address;
	const char *function;
	int64_t hits;
	int64_t first_run_ns; /* this and the next two: or RECORD_UNKNOWN */
	int64_t first_cpu;
	int64_t first_icount;
};

struct record_cpuid {
	const char *moment; /* "begin", "end" */
	uint32_t leaf;
	uint32_t subleaf;
	uint32_t registers[4]; /* EAX, EBX, ECX, EDX */
};

/* What is to be changed in the guest. */
struct record_intervention {
	int64_t number;
	const char *kind;   /* "force", "set", "return" */
	const char *option; /* as the user gave it */
	const char *function;
	const char *file;
	int64_t line; /* 0: a whole function's */
	uint64_t address;
};

/* … and one time that it was. */
struct record_intervention_use {
	int64_t seq;
	int64_t intervention;
	int64_t run_ns;
	int64_t cpu;
	const char *was;
	const char *became;
};

#endif
