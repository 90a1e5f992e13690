/* SPDX-License-Identifier: MIT */
/* What is planted in the guest, whoever wants it there: GDB's breakpoints and watchpoints, and the relay's own. */
#ifndef CLOCKSCOPE_PLANTING_H
#define CLOCKSCOPE_PLANTING_H

#include "relay/breakpoints.h"
#include "relay/guest.h"
#include "relay/watchpoints.h"

struct planting {
	struct guest *guest;
	struct breakpoints breakpoints;
	struct watchpoints watchpoints; /* GDB's: while there are any, what touches memory must really run */
	/* Whether the stop that was passed on is one of a guest that ran into a breakpoint; and which were lifted
	 * since: GDB takes its own out before it says that the guest stands. */
	bool stopped_at_breakpoint;
	struct breakpoints lifted_since;
	/* One of the relay's that is out of the stub while GDB steps off it; type 0: none. */
	struct breakpoint stepped_off;
	bool all_lifted; /* the relay's own, while the guest runs backwards or is let go */
};

void planting_clear(struct planting *planting);

/* A breakpoint of the relay's: asks the stub where nobody else wants one there. */
struct cs_error *planting_add_own(struct planting *planting, char type, uint64_t address);
/* One that the stub has already. */
struct cs_error *planting_note_own(struct planting *planting, char type, uint64_t address);
/* … and without the relay: whether the stub still has it is known, or told to GDB, otherwise. */
void planting_drop_own(struct planting *planting, char type, uint64_t address);
/* Takes one out of the stub, unless GDB wants it too, or the guest has ended. *refused: it stays. */
struct cs_error *planting_lift_own(struct planting *planting, char type, uint64_t address, bool *refused);

/* Takes all that is the relay's alone out of the stub, or puts it back; the table stays. */
struct cs_error *planting_lift_all(struct planting *planting);
/* … and what was lifted for a step of GDB's. */
struct cs_error *planting_replant(struct planting *planting);
/* For a step of GDB's off a breakpoint of the relay's. Where the stub does not lift it, the step is tried in place. */
struct cs_error *planting_lift_for_step(struct planting *planting, char type, uint64_t address);

/* Whether the relay holds one there, so that GDB's need not go to the stub. */
bool planting_holds(const struct planting *planting, char type, uint64_t address);
bool planting_of_gdb_at(const struct planting *planting, uint64_t address);
/* GDB has one more, or one less. */
struct cs_error *planting_note_of_gdb(struct planting *planting, char type, uint64_t address, bool insert);
struct cs_error *planting_note_watchpoint(struct planting *planting, const struct watchpoint *of_gdb, bool insert);

/* Drops what a debugger has left behind; the guest must stand. */
struct cs_error *planting_bury(struct planting *planting);
/* Takes out everything, for a guest that is left alone: it must not stop for nobody. */
struct cs_error *planting_lift_everything(struct planting *planting);
bool planting_is_empty(const struct planting *planting);

/* A stop is passed on: whether the guest ran into a breakpoint; and it goes on. */
void planting_note_stop(struct planting *planting, bool at_breakpoint);
void planting_note_resume(struct planting *planting);
/* The type of the breakpoint at which the guest stands, or stood when it stopped; 0: none. */
char planting_here(const struct planting *planting, uint64_t address);

#endif
