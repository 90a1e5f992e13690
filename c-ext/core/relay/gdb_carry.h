/* SPDX-License-Identifier: MIT */
/* What becomes of GDB's requests: answered here, passed on, or carried out; and what a stub's reply makes of them. */
#ifndef CLOCKSCOPE_GDB_CARRY_H
#define CLOCKSCOPE_GDB_CARRY_H

#include "relay/gdb_side.h"
#include "relay/guest_side.h"
#include "relay/verdict.h"

struct carrying {
	struct client *client;
	struct guest *guest;
	struct planting *planting;
	struct interrupts *interrupts;
	struct guest_side *side;
};

/* Carries out the next of what GDB has said; *got is false where there is nothing more for now. */
struct cs_error *carry_next(struct carrying *carrying, bool *got, struct verdict *verdict);

/* The stub's answer to a request of GDB's. */
struct cs_error *carry_reply(struct carrying *carrying, const struct stub_reply *reply, struct verdict *verdict);

/* Words of the guest's for GDB: the stop that GDB has resumed the guest for. */
struct cs_error *carry_stop(struct carrying *carrying, const struct stub_reply *words);

/* Ends what is under way where the stub says no more: `k` has no reply, and no question waits without end. */
struct cs_error *carry_look_at_clock(struct carrying *carrying, struct verdict *verdict);

/* What a debugger has left behind, once the guest stands. */
struct cs_error *carry_bury(struct carrying *carrying);

#endif
