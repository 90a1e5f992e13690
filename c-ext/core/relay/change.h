/* SPDX-License-Identifier: MIT */
/* Interventions: what a probe changes in the guest before anybody else looks at a stop. */
#ifndef CLOCKSCOPE_CHANGE_H
#define CLOCKSCOPE_CHANGE_H

#include "relay/guest.h"
#include "relay/probe.h"

/* A thread that stands at the entry of a function which is not to run: it will leave from `ret`. */
struct departure {
	char thread[REPLY_THREAD_MAX];
	uint64_t address;
	uint64_t ret;
	uint64_t value;
};

struct changes {
	struct guest *guest;
	struct departure departures[64]; /* on a machine with more vCPUs that leave at once, the rest stays */
	size_t count;
};

/* Asks the probe, which has a change function, and changes the guest as it says; *hit tells the others of it. */
struct cs_error *change_apply(struct changes *changes, struct probe *probe, struct probe_hit *hit,
			      struct registers *registers);
/* Before the thread goes on from a probe: *done where it was sent to a return instruction instead. */
struct cs_error *change_depart(struct changes *changes, const char *thread, struct registers *registers, bool *done);

#endif
