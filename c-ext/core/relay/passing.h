/* SPDX-License-Identifier: MIT */
/* A stop of the relay's own: each probe there is told of its hit, and the thread is got over it, and over those that
 * follow. */
#ifndef CLOCKSCOPE_PASSING_H
#define CLOCKSCOPE_PASSING_H

#include "relay/going.h"
#include "relay/interrupt.h"
#include "relay/probes.h"
#include "relay/step.h"
#include "relay/verdict.h"

struct passing {
	struct guest *guest;
	const struct planting *planting;
	struct changes *changes;
	struct probes *probes;
	struct interrupts *interrupts;
	struct stepping *stepping;
	const struct going *going;
};

/* Whether a stop may be a probe's. A step that ends on a probe has not run into it yet. */
bool passing_may_be_own(const struct passing *passing, const struct stop_reply *stop);

/* The thread stands at a probe. `reply` is the stop that GDB is given where it has a breakpoint here too; NULL where
 * GDB just resumed from here, and so knows. VERDICT_NOTHING: it is past them, and the guest may go on. */
struct cs_error *passing_get_over(struct passing *passing, const char *thread, struct registers *registers,
				  const struct stub_reply *reply, struct verdict *verdict);

#endif
