/* SPDX-License-Identifier: MIT */
/* The probes: where they stand, planting and lifting them, and telling each of its hit. */
#ifndef CLOCKSCOPE_PROBES_H
#define CLOCKSCOPE_PROBES_H

#include "relay/change.h"
#include "relay/guest.h"
#include "relay/planting.h"
#include "relay/probe.h"

/* A thread that stands at a probe whose hit is recorded already, its instruction not yet run. */
struct counted {
	char thread[REPLY_THREAD_MAX];
	uint64_t address;
};
#define COUNTED_MAX 64

struct deferred {
	struct probe *probe;
	bool plant;
};

/* A probe whose owner is gone, but which the stub cannot lift. */
struct left_behind {
	struct probe probe;
	struct left_behind *next;
	uint64_t wait;  /* so many stops until lifting is tried again */
	uint64_t pause; /* … and how many it was the last time */
};

struct probes {
	struct guest *guest;
	struct planting *planting;
	struct changes *changes;
	struct probe **items; /* sorted by address */
	_Atomic size_t count; /* other threads look at it */
	size_t capacity;
	struct left_behind *left_behind;
	struct deferred *deferred; /* changes that probes asked for during a stop */
	size_t deferred_count;
	size_t deferred_capacity;
	struct counted counted[COUNTED_MAX];
	size_t counted_count;
};

void probes_clear(struct probes *probes);

bool probes_at(const struct probes *probes, uint64_t address);
/* Whether one stands from START up to END. */
bool probes_within(const struct probes *probes, uint64_t start, uint64_t end);
/* One of the probes at an address that has some: they share the breakpoint, and the instruction. */
const struct probe *probes_found(const struct probes *probes, uint64_t address);

/* Tells each probe at the PC of its hit, unless that was done at an earlier stop of the thread here. */
struct cs_error *probes_record(struct probes *probes, const char *thread, struct registers *registers);
/* The thread's hit at the address is recorded, its instruction not yet run. */
void probes_set_counted(struct probes *probes, const char *thread, uint64_t address);
/* Whether that was so. Forgets what is known of the thread. */
bool probes_take_counted(struct probes *probes, const char *thread, uint64_t address);

/* CS_ERROR_REFUSED where the stub takes no breakpoint there. */
struct cs_error *probes_plant(struct probes *probes, struct probe *probe);
/* Its owner may release it then: what it asked for is not done any more. */
struct cs_error *probes_remove(struct probes *probes, struct probe *probe);

/* Plants or lifts a probe before the guest goes on; does what was asked for so, in order. */
struct cs_error *probes_defer(struct probes *probes, struct probe *probe, bool plant);
struct cs_error *probes_apply_deferred(struct probes *probes);

/* A breakpoint that the stub does not lift becomes one whose stops are ignored. */
struct cs_error *probes_leave_behind(struct probes *probes, char type, uint64_t address);

#endif
