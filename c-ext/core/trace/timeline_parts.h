/* SPDX-License-Identifier: MIT */
/* What a timeline is made of. */
#ifndef CLOCKSCOPE_TIMELINE_PARTS_H
#define CLOCKSCOPE_TIMELINE_PARTS_H

#include "base/arena.h"
#include "trace/coverage.h"
#include "trace/rows.h"

/* One clock of the one model for all guests. All pointers are into the timeline. */
struct timeline_clock {
	const char *name;
	const char *kind; /* "clocksource", "timecounter", "event device", or what a profile says */
	/* The last that was said of each; NULL: nothing was. */
	const struct record_value *rating;
	const struct record_value *quality;
	const struct record_value *mask;
	const struct record_value *flags;
	uint64_t frequency_hz;                 /* 0: never told */
	const struct record_event *registered; /* since it was last lost; NULL: never */
	const struct record_event **selections;
	size_t selection_count;
	bool current;                    /* in use at the end (an event device: on some CPU) */
	const struct record_event *lost; /* unregistered or unstable, and not registered again; or NULL */
	const char *lost_reason;
};

struct timeline {
	struct arena arena; /* owns all below but `damage` */
	bool complete;
	char *damage; /* why not all could be read, one line; NULL: all was. Not in the arena. */
	struct row_meta *facts;
	size_t fact_count;
	struct record_event *events;
	size_t event_count;
	struct timeline_clock *clocks; /* in the order of their first event */
	size_t clock_count;
	struct coverage *coverage; /* in the profile's order */
	size_t coverage_count;
	struct coverage *never_reached; /* of these, what was expected and did not happen */
	size_t never_reached_count;
	struct row_expectation *unseen; /* those that did not happen, whether expected or not: a stage of the reading */
	size_t unseen_count, unseen_taken;
	struct row_counter *counters; /* in the order in which they were first reached */
	size_t counter_count;
};

/* The provenance under a key of table meta; "" where there is none. */
const char *timeline_fact(const struct timeline *timeline, const char *key);

#endif
