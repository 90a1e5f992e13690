/* SPDX-License-Identifier: MIT */
/*
 * Entry counters: was a function reached, how often, first when. They are probes, so GDB sees nothing
 * of them.
 */
#ifndef CLOCKSCOPE_COUNTER_H
#define CLOCKSCOPE_COUNTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/placement.h"
#include "relay/relay.h"
#include "trace/store.h"

struct counter {
	int number;       /* from 1, never used twice */
	uint64_t address; /* by the ELF file */
	const char *name;
	bool planted;
	uint64_t hits;
	/* Of the first hit; RECORD_UNKNOWN where there was none, or no instruction count. */
	int64_t first_run_ns;
	int64_t first_cpu;
	int64_t first_icount;
};

struct counters;

/* The counters of one relay, to which they hold a reference. *ret is released by counters_destroy(). */
struct cs_error *counters_create(struct relay *relay, struct counters **ret);

/* Lifts and releases all, what is pending written; while the guest runs, they are lifted and released with the relay.
 */
void counters_destroy(struct counters *counters);

/* Plants one where the placement has it run; the guest must stand. Its number, from 1. The name is copied. One that
 * cannot be planted leaves no trace: it must not look like a function that was never reached. */
struct cs_error *counters_add(struct counters *counters, struct link_address address, const struct placement *placement,
			      const char *name, int *number);

/* Lifts one; its counts stay. CS_ERROR_NOT_FOUND for a number that was never given. */
struct cs_error *counters_remove(struct counters *counters, int number);

/* The guest is a QEMU replay: the first hit's instruction count is asked for. */
void counters_set_replay(struct counters *counters, bool replay);

/* Calls FUNCTION for a snapshot of each counter, in order; a non-zero return ends it and is returned. */
int counters_each(struct counters *counters, int (*function)(const struct counter *counter, void *context),
		  void *context);

/* Where counters_write() puts the counts that changed: a reference is held to it. NULL for nowhere; what is pending is
 * written first. */
struct cs_error *counters_set_store(struct counters *counters, struct store *store);

/* Writes the counts that changed, and lets the store commit if it is due. The relay's tick calls it while
 * the guest runs. */
struct cs_error *counters_write(struct counters *counters);

#endif
