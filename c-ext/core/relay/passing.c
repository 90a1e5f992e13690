/* SPDX-License-Identifier: MIT */
#include "relay/passing.h"

#include "base/util.h"

/* Probes passed, one after the other, before the guest is resumed. */
#define PASSED_MAX 64

/* The thread that is on its way. */
struct walker {
	char thread[REPLY_THREAD_MAX];
	struct registers *registers;
	/* The stop that GDB is given where it has a breakpoint here too; NULL where it knows of none, or of this one.
	 */
	const struct stub_reply *reply;
	bool known_to_gdb; /* it has just resumed from here */
	struct stub_reply stop;
};

static void walker_clear(struct walker *walker)
{
	stub_reply_clear(&walker->stop);
}

bool passing_may_be_own(const struct passing *passing, const struct stop_reply *stop)
{
	const struct going *going = passing->going;

	if (!passing->probes->count || stop->kind != STOP_SIGNAL || stop->signal != SIGNAL_TRAP ||
	    stop->cause == STOP_CAUSE_WATCHPOINT || stop->cause == STOP_CAUSE_OTHER)
		return false;
	switch (going->kind) {
	case RESUME_CONTINUE: return true;
	case RESUME_STEP: return stop->thread[0] && !same_thread(stop->thread, going->thread);
	case RESUME_REVERSE:
	case RESUME_OTHER: return false;
	}
	return false;
}

/* The thread stays at the probe, whose hit is recorded, and GDB is told: by the stub's own words if there are any. */
static struct cs_error *stay(struct passing *passing, const struct walker *walker, uint64_t pc, struct verdict *verdict)
{
	probes_set_counted(passing->probes, walker->thread, pc);
	return walker->reply ? verdict_tell(verdict, walker->reply)
			     : verdict_tell_stop(verdict, SIGNAL_TRAP, walker->thread);
}

/* Another thread has run into a probe while this one was to step, where a stub sets all of them going: that stop is the
 * relay's own as well, and the way goes on with it. */
static struct cs_error *pass_on_to(struct passing *passing, struct walker *walker, struct stub_reply *reply,
				   struct verdict *verdict)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	if (same_thread(stop.thread, walker->thread) || !passing_may_be_own(passing, &stop))
		return verdict_tell(verdict, reply);
	CS_TRY(guest_read_registers(passing->guest, stop.thread, walker->registers));
	if (!probes_at(passing->probes, walker->registers->pc))
		return verdict_tell(verdict, reply);
	copy_thread(walker->thread, stop.thread);
	stub_reply_clear(&walker->stop);
	walker->stop = *reply;
	*reply = (struct stub_reply){0};
	walker->reply = &walker->stop;
	walker->known_to_gdb = false;
	return NULL;
}

/* Something else stopped the step off a probe, perhaps before the instruction ran: then its hit must not be
 * recorded once more. */
static struct cs_error *interrupted_step(struct passing *passing, struct walker *walker, uint64_t from,
					 struct stub_reply *reply, struct verdict *verdict)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct cs_error *error = guest_read_registers(passing->guest, walker->thread, &registers);

	if (error && error->code != CS_ERROR_REFUSED) /* what has exited has no registers */
		return error;
	if (!error && registers.pc == from)
		probes_set_counted(passing->probes, walker->thread, from);
	cs_error_destroy(error);
	return pass_on_to(passing, walker, reply, verdict);
}

/* GDB gets a stop here although the relay has one of its own: it has a breakpoint, or wants the guest to stand. */
static struct cs_error *tell_gdb(struct passing *passing, const struct walker *walker, struct verdict *verdict)
{
	uint64_t pc = walker->registers->pc;

	if (!walker->known_to_gdb && planting_of_gdb_at(passing->planting, pc))
		return stay(passing, walker, pc, verdict);
	if (!passing->interrupts->wanted)
		return NULL;
	probes_set_counted(passing->probes, walker->thread, pc);
	CS_TRY(verdict_tell_stop(verdict, SIGNAL_INT, walker->thread));
	verdict->interrupt_crossed = passing->interrupts->sent;
	return NULL;
}

/* Gets the thread off the probe whose hit is recorded. */
static struct cs_error *get_off(struct passing *passing, struct walker *walker, struct verdict *verdict)
{
	CLEANUP(stub_reply_clear) struct stub_reply step = {0};
	uint64_t from = walker->registers->pc;
	struct cs_error *error;
	bool foreign = false;

	error = step_off(passing->stepping, walker->thread, probes_found(passing->probes, from), walker->registers,
			 &step, &foreign);
	/* A guest that cannot be got off the probe stands there, and somebody must know. */
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error);
		return stay(passing, walker, from, verdict);
	}
	if (error)
		return error;
	if (foreign)
		return interrupted_step(passing, walker, from, &step, verdict);
	if (walker->registers->pc == from && passing->stepping->unfinished)
		probes_set_counted(passing->probes, walker->thread, from);
	walker->reply = NULL;
	return NULL;
}

/* Records the hit of the probe that the thread stands at and gets it off, unless somebody is to look instead. */
static struct cs_error *pass_probe(struct passing *passing, struct walker *walker, struct verdict *verdict)
{
	bool departed;

	CS_TRY(probes_record(passing->probes, walker->thread, walker->registers));
	CS_TRY(tell_gdb(passing, walker, verdict));
	walker->known_to_gdb = false;
	if (verdict->kind != VERDICT_NOTHING)
		return NULL;
	CS_TRY(change_depart(passing->changes, walker->thread, walker->registers, &departed));
	if (!departed)
		return get_off(passing, walker, verdict);
	walker->reply = NULL;
	return NULL;
}

struct cs_error *passing_get_over(struct passing *passing, const char *thread, struct registers *registers,
				  const struct stub_reply *reply, struct verdict *verdict)
{
	CLEANUP(walker_clear)
	struct walker walker = {.registers = registers, .reply = reply, .known_to_gdb = reply == NULL};

	copy_thread(walker.thread, thread);
	/* A loop of nothing but probes must not keep the relay from what else there is to do. */
	for (unsigned n = 0; n < PASSED_MAX && probes_at(passing->probes, registers->pc); n++) {
		CS_TRY(pass_probe(passing, &walker, verdict));
		if (verdict->kind != VERDICT_NOTHING)
			break;
	}
	return NULL;
}
