/* SPDX-License-Identifier: MIT */
#include "relay/guest_side.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/resume.h"

/* --- What becomes of a stop --- */

/* Whether the stop may be that of a breakpoint, and nobody asked the guest to stop where it was. */
static bool ran_into_breakpoint(const struct guest_side *side, const struct stop_reply *stop)
{
	const struct going *going = &side->going;

	return stop->kind == STOP_SIGNAL && stop->signal == SIGNAL_TRAP && !side->interrupts->sent &&
	       (stop->cause == STOP_CAUSE_UNSAID || stop->cause == STOP_CAUSE_BREAKPOINT) &&
	       (going->kind == RESUME_CONTINUE || going->kind == RESUME_STEP) && going->payload;
}

/* The guest stands, and somebody is told. */
static struct cs_error *conclude(struct guest_side *side, bool for_gdb, struct verdict *verdict)
{
	struct stop_reply stop;

	if (verdict->kind != VERDICT_TOLD)
		return NULL;
	reply_parse_stop(verdict->words.text, verdict->words.length, &stop);
	planting_note_stop(side->planting, ran_into_breakpoint(side, &stop));
	CS_TRY(interrupt_settle(side->interrupts, &stop, for_gdb, side->going.kind == RESUME_STEP));
	side->interrupts->owed |= verdict->interrupt_crossed;
	if (stop.kind == STOP_SIGNAL) {
		CS_TRY(probes_apply_deferred(side->probes));
		copy_thread(side->guest->general.by_gdb, stop.thread);
		run_clock_count_passed_on(side->guest->clock);
	}
	side->guest->stop = stop;
	if (interrupt_settle_idle(side->interrupts, &stop))
		CS_TRY(verdict_without_signal(verdict));
	guest_state_set(side->guest->state, stop.kind == STOP_SIGNAL ? RELAY_STOPPED : RELAY_EXITED);
	return NULL;
}

/* Sets the guest going again as it was, unless the thread that GDB was stepping has arrived meanwhile. */
static struct cs_error *resume_again(struct guest_side *side, struct verdict *verdict)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct going *going = &side->going;

	CS_TRY(probes_apply_deferred(side->probes));
	if (going->kind == RESUME_STEP) {
		CS_TRY(guest_read_registers(side->guest, going->thread, &registers));
		if (registers.pc != going->step_from)
			return verdict_tell_stop(verdict, SIGNAL_TRAP, going->thread);
	}
	return going_again(going);
}

static struct cs_error *get_over(struct guest_side *side, const char *thread, struct registers *registers,
				 const struct stub_reply *reply, struct verdict *verdict)
{
	CS_TRY(passing_get_over(&side->passing, thread, registers, reply, verdict));
	return verdict->kind == VERDICT_NOTHING ? resume_again(side, verdict) : NULL;
}

static struct cs_error *own_stop(struct guest_side *side, const char *thread, struct registers *registers,
				 const struct stub_reply *reply, struct verdict *verdict)
{
	uint64_t began = util_now_ns();
	struct cs_error *error = get_over(side, thread, registers, reply, verdict);

	run_clock_count_own(side->guest->clock, began);
	return error;
}

/* Where GDB's step off a probe has executed nothing, as QEMU's may, the hit that was recorded is still to come. */
static struct cs_error *judge_step(struct guest_side *side, const struct stop_reply *stop)
{
	CLEANUP(registers_clear) struct registers before = side->going.step_registers;
	CLEANUP(registers_clear) struct registers after = {0};
	const char *thread = side->going.thread;
	bool stepped;

	side->going.step_registers = (struct registers){0};
	if (!before.bytes || stop->kind != STOP_SIGNAL || !probes_at(side->probes, before.pc))
		return NULL;
	CS_TRY(guest_read_registers(side->guest, thread, &after));
	CS_TRY(step_has_executed(side->stepping, probes_found(side->probes, before.pc), &before, &after, &stepped));
	if (!stepped || side->stepping->unfinished)
		probes_set_counted(side->probes, thread, before.pc);
	return NULL;
}

static struct cs_error *judge(struct guest_side *side, const struct stub_reply *reply, const struct stop_reply *stop,
			      struct verdict *verdict)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	if (stop->kind == STOP_SIGNAL)
		CS_TRY(planting_replant(side->planting));
	if (interrupt_settles(side->interrupts, stop))
		return resume_again(side, verdict);
	CS_TRY(judge_step(side, stop));
	if (!passing_may_be_own(&side->passing, stop))
		return verdict_tell(verdict, reply);
	CS_TRY(guest_read_registers(side->guest, stop->thread, &registers));
	if (!probes_at(side->probes, registers.pc))
		return verdict_tell(verdict, reply);
	return own_stop(side, stop->thread, &registers, reply, verdict);
}

struct cs_error *guest_side_stop(struct guest_side *side, const struct stub_reply *reply, bool for_gdb,
				 struct verdict *verdict)
{
	struct stop_reply stop;
	struct cs_error *error;

	reply_parse_stop(reply->text, reply->length, &stop);
	run_clock_end(side->guest->clock);
	copy_thread(side->guest->general.at_stub, stop.thread);
	error = judge(side, reply, &stop, verdict);
	/* The guest stands all the same, and where the stub refuses what it takes to judge why, GDB must know. */
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error);
		error = verdict_tell(verdict, reply);
	}
	return error ? error : conclude(side, for_gdb, verdict);
}

struct cs_error *guest_side_did_not_run(struct guest_side *side, const struct stub_reply *reply,
					struct verdict *verdict)
{
	run_clock_end(side->guest->clock);
	guest_state_set(side->guest->state, RELAY_STOPPED);
	return verdict_tell(verdict, reply);
}

/* --- Resuming --- */

/* GDB steps a thread off a probe: the hit counts now, and the breakpoint must not hold the step up. */
static struct cs_error *begin_step(struct guest_side *side, struct registers *registers)
{
	struct going *going = &side->going;
	bool departed;
	char type;

	going->step_from = registers->pc;
	if (!probes_at(side->probes, registers->pc)) {
		probes_take_counted(side->probes, going->thread, registers->pc);
		return NULL;
	}
	CS_TRY(probes_record(side->probes, going->thread, registers));
	CS_TRY(change_depart(side->changes, going->thread, registers, &departed));
	if (!probes_at(side->probes, registers->pc))
		return NULL;
	registers_clear(&going->step_registers);
	going->step_registers = *registers;
	*registers = (struct registers){.pc = registers->pc};
	type = probes_found(side->probes, registers->pc)->type;
	return step_works_in_place(side->stepping, type) ? NULL
							 : planting_lift_for_step(side->planting, type, registers->pc);
}

/* GDB resumes a guest that it has interrupted while it stood: the guest need not run to be stopped, and no stub loses
 * such an interrupt. (A resume with a signal for the guest must be carried out, and is interrupted.) */
static struct cs_error *stay_interrupted(struct guest_side *side, const char *payload, struct verdict *verdict)
{
	char thread[REPLY_THREAD_MAX];

	/* GDB takes no stop of a thread that it has not resumed. */
	if (resume_applies_to(payload, side->going.thread) || !resume_first_thread(payload, thread))
		copy_thread(thread, side->going.thread);
	CS_TRY(verdict_tell_stop(verdict, SIGNAL_INT, thread));
	verdict->interrupt_crossed = side->interrupts->owed;
	return NULL;
}

/* Before the thread goes on from where it stands: *past where that was a probe which it was got over, so that the guest
 * goes on already, or is to stand. */
static struct cs_error *leave_probe(struct guest_side *side, bool *past, struct verdict *verdict)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	const char *thread = side->going.thread;

	*past = false;
	CS_TRY(guest_read_registers(side->guest, thread, &registers));
	if (side->going.kind == RESUME_STEP)
		return begin_step(side, &registers);
	if (!probes_at(side->probes, registers.pc)) {
		probes_take_counted(side->probes, thread, registers.pc);
		return NULL;
	}
	*past = true;
	return own_stop(side, thread, &registers, NULL, verdict);
}

static struct cs_error *set_going(struct guest_side *side, const struct wish_to_go *wish, struct verdict *verdict)
{
	const char *payload = wish->payload;
	enum resume_kind kind = wish->kind;
	bool past = false;

	planting_note_resume(side->planting);
	side->interrupts->idle_reached = false;
	CS_TRY(going_note(&side->going, payload, kind));
	if (side->interrupts->wanted && kind != RESUME_OTHER && !resume_carries_signal(payload))
		return stay_interrupted(side, payload, verdict);
	if (kind == RESUME_REVERSE)
		CS_TRY(planting_lift_all(side->planting));
	else
		CS_TRY(planting_replant(side->planting)); /* a `D` that was refused has lifted them */
	if (side->probes->count && kind == RESUME_CONTINUE && !resume_carries_signal(payload) &&
	    resume_applies_to(payload, side->going.thread))
		CS_TRY(leave_probe(side, &past, verdict));
	if (past)
		return NULL;
	CS_TRY(guest_restore_resumed(side->guest));
	return guest_go(side->guest, payload, wish->length);
}

/* GDB steps over a range of addresses at once, unless a probe stands in it: one that is lifted for the first step would
 * be passed unseen later on. GDB goes on by itself where its step ends within the range. */
static bool steps_over_probe(const struct guest_side *side, const char *payload)
{
	bool probed = false;
	uint64_t start;
	uint64_t end;

	while (!probed && resume_next_range(&payload, &start, &end))
		probed = probes_within(side->probes, start, end);
	return probed;
}

struct cs_error *guest_side_resume(struct guest_side *side, const struct wish_to_go *wish, struct verdict *verdict)
{
	struct wish_to_go carried = *wish;
	FREE char *steps = NULL;

	if (wish->kind == RESUME_CONTINUE && steps_over_probe(side, wish->payload)) {
		steps = resume_without_ranges(wish->payload);
		if (!steps)
			return &cs_error_no_memory;
		carried.payload = steps;
		carried.length = strlen(steps);
	}
	CS_TRY(set_going(side, &carried, verdict));
	return conclude(side, wish->for_gdb, verdict);
}

/* --- The end --- */

struct cs_error *guest_side_leave(struct guest_side *side, bool unread)
{
	enum relay_state state = guest_state_get(side->guest->state);
	bool got = true;

	if (state == RELAY_STOPPED && !unread)
		return planting_lift_everything(side->planting);
	if (state != RELAY_STOPPED && (state != RELAY_RUNNING || planting_is_empty(side->planting)))
		return NULL;
	if (state == RELAY_RUNNING)
		CS_TRY(interrupt_halt(side->interrupts, &got));
	if (!got)
		return NULL;
	CS_TRY(planting_lift_everything(side->planting));
	return going_on_alone(&side->going);
}
