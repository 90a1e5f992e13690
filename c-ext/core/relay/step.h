/* SPDX-License-Identifier: MIT */
/* Getting a thread off the probe it stands at: its instruction is worked out, or stepped. */
#ifndef CLOCKSCOPE_STEP_H
#define CLOCKSCOPE_STEP_H

#include "relay/guest.h"
#include "relay/interrupt.h"
#include "relay/planting.h"
#include "relay/probe.h"

struct stepping {
	struct guest *guest;
	const struct planting *planting;
	struct interrupts *interrupts;
	/* Whether a step gets off a breakpoint that stays planted, for each type of breakpoint. */
	enum { IN_PLACE_UNKNOWN, IN_PLACE_WORKS, IN_PLACE_FAILS } in_place[2];
	bool only;       /* the stub refuses to write a register */
	bool unfinished; /* the last step was one round of a repeated string instruction, which goes on */
};

/* Runs the one instruction under the probe at the thread's PC: works out what it does, or steps it, in
 * place or with the breakpoint taken out meanwhile. Updates *registers. *foreign: a stop of another
 * kind came instead; it is in *reply. */
struct cs_error *step_off(struct stepping *stepping, const char *thread, const struct probe *probe,
			  struct registers *registers, struct stub_reply *reply, bool *foreign);

/* Whether a step off a probe, from `before` to `after`, has executed something. Where the PC is the same, most have
 * not; `unfinished` says whether it was one round of a repeated string instruction. */
struct cs_error *step_has_executed(struct stepping *stepping, const struct probe *probe, const struct registers *before,
				   const struct registers *after, bool *ret);

/* Whether a step is known to get off a breakpoint of that type which stays planted. */
bool step_works_in_place(const struct stepping *stepping, char type);

#endif
