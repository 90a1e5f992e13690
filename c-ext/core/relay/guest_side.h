/* SPDX-License-Identifier: MIT */
/* The guest's side of the relay: setting it going, and judging its stops. Whom a stop is told is decided above. */
#ifndef CLOCKSCOPE_GUEST_SIDE_H
#define CLOCKSCOPE_GUEST_SIDE_H

#include "relay/going.h"
#include "relay/passing.h"
#include "relay/verdict.h"

struct guest_side {
	struct guest *guest;
	struct planting *planting;
	struct changes *changes;
	struct probes *probes;
	struct interrupts *interrupts;
	struct stepping *stepping;
	struct going going;
	struct passing passing;
};

/* A resume packet, and for whom. */
struct wish_to_go {
	const char *payload;
	size_t length;
	enum resume_kind kind;
	bool for_gdb;
};

/* Sets the guest going, after stepping it off a probe where it stands on one. A Ctrl-C of GDB's that came while the
 * guest stood stops it there and then. VERDICT_TOLD where that already brought a stop. */
struct cs_error *guest_side_resume(struct guest_side *side, const struct wish_to_go *wish, struct verdict *verdict);

/* A stop of a guest that ran, told to GDB where it is told. VERDICT_NOTHING where it was the relay's own: the guest
 * goes on. */
struct cs_error *guest_side_stop(struct guest_side *side, const struct stub_reply *reply, bool for_gdb,
				 struct verdict *verdict);

/* The stub did not resume the guest: an error, or an empty reply to what it does not know. */
struct cs_error *guest_side_did_not_run(struct guest_side *side, const struct stub_reply *reply,
					struct verdict *verdict);

/* Lifts all that is planted in a guest that will be left alone; a running one is stopped for it and goes on.
 * `unread`: it stands for a debugger that has not heard of it. */
struct cs_error *guest_side_leave(struct guest_side *side, bool unread);

#endif
