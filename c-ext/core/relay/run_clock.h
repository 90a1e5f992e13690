/* SPDX-License-Identifier: MIT */
/*
 * How long the guest has run and stood, and what has happened on the way: counted by the relay's thread, read by any.
 */
#ifndef CLOCKSCOPE_RUN_CLOCK_H
#define CLOCKSCOPE_RUN_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct relay_statistics {
	uint64_t packets_to_stub;
	uint64_t packets_to_gdb;
	uint64_t own_stops; /* taken by probes, never seen by GDB */
	uint64_t gdb_stops;
	uint64_t run_ns;      /* time the guest ran */
	uint64_t own_stop_ns; /* time it stood for probes */
	uint64_t stood_ns;    /* time it stood, for whatever reason, between its runs; as it stands now is not in it */
	uint64_t resumes;     /* how often it was set going, single steps and borrowed instructions included */
	uint64_t probes;
};

/* The last so many marks are kept. */
#define RELAY_MARKS 256u

struct run_clock {
	pthread_mutex_t lock; /* guards all of it; none other is taken while it is held */
	struct relay_statistics statistics;
	uint64_t resumed_at; /* host's monotonic ns; 0 while stopped */
	uint64_t stopped_at; /* the same; 0 before it first ran */
	struct relay_statistics marks[RELAY_MARKS];
	uint64_t marks_made, marks_passed;
	uint64_t limit_ns; /* 0: none */
	uint64_t limit_from_ns;
};

void run_clock_init(struct run_clock *clock);
void run_clock_clear(struct run_clock *clock);

/* The guest is set going, and has stopped. */
void run_clock_begin(struct run_clock *clock);
void run_clock_end(struct run_clock *clock);

/* Stops: one that was passed on, and one that was taken from BEGAN (ns) until now. */
void run_clock_count_passed_on(struct run_clock *clock);
void run_clock_count_own(struct run_clock *clock, uint64_t began);

/* Time the guest ran so far, up to now if it runs; and since it was last set going. */
uint64_t run_clock_ns(struct run_clock *clock);
uint64_t run_clock_since_resumed(struct run_clock *clock);

/* Begins to count the time that the guest ran anew. */
void run_clock_restart(struct run_clock *clock);

/* Marks the next moment at which the guest is set going; what was counted then, false where that is not kept. */
uint64_t run_clock_mark(struct run_clock *clock);
bool run_clock_marked(struct run_clock *clock, uint64_t mark, struct relay_statistics *ret);

/* How long the guest is to run at the most, from now on; 0 for ever. */
void run_clock_set_limit(struct run_clock *clock, uint64_t nanoseconds);
bool run_clock_limit_is_over(struct run_clock *clock);

/* Without what others count: packets and probes. */
void run_clock_statistics(struct run_clock *clock, struct relay_statistics *ret);

#endif
