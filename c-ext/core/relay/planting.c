/* SPDX-License-Identifier: MIT */
#include "relay/planting.h"

#include "base/util.h"

void planting_clear(struct planting *planting)
{
	breakpoints_clear(&planting->breakpoints);
	breakpoints_clear(&planting->lifted_since);
	watchpoints_clear(&planting->watchpoints);
}

/* What the stub refuses is no reason to stop. */
static struct cs_error *but_for_refusal(struct cs_error *error)
{
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	return NULL;
}

/* --- Stops --- */

void planting_note_stop(struct planting *planting, bool at_breakpoint)
{
	planting->stopped_at_breakpoint = at_breakpoint;
}

void planting_note_resume(struct planting *planting)
{
	planting->stopped_at_breakpoint = false;
	breakpoints_clear(&planting->lifted_since);
}

char planting_here(const struct planting *planting, uint64_t address)
{
	const struct breakpoints *tables[] = {&planting->breakpoints, &planting->lifted_since};

	/* Where both are there, hardware: a software one may be a byte in memory, which not every guest survives. */
	for (const char *type = "10"; *type; type++)
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			if (breakpoints_has(tables[i], address, *type, ~0u))
				return *type;
	return 0;
}

static void note_lifted(struct planting *planting, char type, uint64_t address)
{
	bool first;

	/* Without memory for it, no instruction is borrowed at this stop. */
	if (planting->stopped_at_breakpoint)
		cs_error_destroy(breakpoints_add(&planting->lifted_since, address, type, BREAKPOINT_BORROWED, &first));
}

/* --- The relay's --- */

struct cs_error *planting_add_own(struct planting *planting, char type, uint64_t address)
{
	struct cs_error *error = NULL;
	bool first;

	CS_TRY(breakpoints_add(&planting->breakpoints, address, type, BREAKPOINT_OF_RELAY, &first));
	if (first && !planting->all_lifted)
		error = guest_insert(planting->guest, type, address);
	if (error)
		breakpoints_remove(&planting->breakpoints, address, type, BREAKPOINT_OF_RELAY);
	return error;
}

struct cs_error *planting_note_own(struct planting *planting, char type, uint64_t address)
{
	bool first;

	return breakpoints_add(&planting->breakpoints, address, type, BREAKPOINT_OF_RELAY, &first);
}

void planting_drop_own(struct planting *planting, char type, uint64_t address)
{
	note_lifted(planting, type, address);
	breakpoints_remove(&planting->breakpoints, address, type, BREAKPOINT_OF_RELAY);
}

struct cs_error *planting_lift_own(struct planting *planting, char type, uint64_t address, bool *refused)
{
	struct cs_error *error = NULL;

	/* A guest that has ended has no breakpoints. */
	if (!planting->all_lifted && guest_state_get(planting->guest->state) != RELAY_EXITED &&
	    !breakpoints_has(&planting->breakpoints, address, type, BREAKPOINT_OF_GDB))
		error = guest_take_out(planting->guest, type, address);
	*refused = error && error->code == CS_ERROR_REFUSED;
	return but_for_refusal(error);
}

/* Applies FUNCTION to each breakpoint that is the relay's alone. Some stubs cannot lift any: that keeps
 * nobody from leaving. */
static struct cs_error *for_own(struct planting *planting, struct cs_error *(*function)(struct guest *, char, uint64_t))
{
	for (size_t i = 0; i < planting->breakpoints.count; i++) {
		const struct breakpoint *at = &planting->breakpoints.items[i];

		if (at->owners == BREAKPOINT_OF_RELAY)
			CS_TRY(but_for_refusal(function(planting->guest, at->type, at->address)));
	}
	return NULL;
}

struct cs_error *planting_lift_all(struct planting *planting)
{
	if (planting->all_lifted)
		return NULL;
	planting->all_lifted = true;
	return for_own(planting, guest_take_out);
}

struct cs_error *planting_lift_for_step(struct planting *planting, char type, uint64_t address)
{
	struct cs_error *error = guest_take_out(planting->guest, type, address);

	planting->stepped_off = (struct breakpoint){.type = error ? '\0' : type, .address = address};
	return but_for_refusal(error);
}

struct cs_error *planting_replant(struct planting *planting)
{
	struct breakpoint back = planting->stepped_off;

	planting->stepped_off.type = '\0';
	if (back.type && breakpoints_has(&planting->breakpoints, back.address, back.type, BREAKPOINT_OF_RELAY))
		CS_TRY(guest_insert(planting->guest, back.type, back.address));
	if (!planting->all_lifted)
		return NULL;
	planting->all_lifted = false;
	return for_own(planting, guest_insert);
}

/* --- GDB's --- */

bool planting_holds(const struct planting *planting, char type, uint64_t address)
{
	return !planting->all_lifted && breakpoints_has(&planting->breakpoints, address, type, BREAKPOINT_OF_RELAY);
}

bool planting_of_gdb_at(const struct planting *planting, uint64_t address)
{
	return breakpoints_has(&planting->breakpoints, address, 0, BREAKPOINT_OF_GDB);
}

struct cs_error *planting_note_of_gdb(struct planting *planting, char type, uint64_t address, bool insert)
{
	bool first;

	if (insert)
		return breakpoints_add(&planting->breakpoints, address, type, BREAKPOINT_OF_GDB, &first);
	note_lifted(planting, type, address);
	breakpoints_remove(&planting->breakpoints, address, type, BREAKPOINT_OF_GDB);
	return NULL;
}

struct cs_error *planting_note_watchpoint(struct planting *planting, const struct watchpoint *of_gdb, bool insert)
{
	if (insert)
		return watchpoints_add(&planting->watchpoints, of_gdb);
	watchpoints_remove(&planting->watchpoints, of_gdb);
	return NULL;
}

struct cs_error *planting_bury(struct planting *planting)
{
	struct breakpoints *table = &planting->breakpoints;

	for (size_t i = table->count; i-- > 0;) {
		struct breakpoint at = table->items[i];

		if (breakpoints_remove(table, at.address, at.type,
				       BREAKPOINT_OF_GDB)) /* one that stays keeps no other */
			CS_TRY(but_for_refusal(guest_take_out(planting->guest, at.type, at.address)));
	}
	return watchpoints_lift(&planting->watchpoints, planting->guest->stub);
}

/* --- The end --- */

/* GDB's breakpoints too: it cannot reach them any more. */
struct cs_error *planting_lift_everything(struct planting *planting)
{
	CS_TRY(planting_lift_all(planting));
	for (size_t i = 0; i < planting->breakpoints.count; i++) {
		const struct breakpoint *at = &planting->breakpoints.items[i];

		if (at->owners & BREAKPOINT_OF_GDB)
			CS_TRY(but_for_refusal(guest_take_out(planting->guest, at->type, at->address)));
	}
	return watchpoints_lift(&planting->watchpoints, planting->guest->stub);
}

bool planting_is_empty(const struct planting *planting)
{
	return !planting->breakpoints.count && !planting->watchpoints.count;
}
