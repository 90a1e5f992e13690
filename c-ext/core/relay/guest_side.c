/* SPDX-License-Identifier: MIT */
/* The guest's side of the relay: setting it going, taking its stops, stepping it off probes. */
#include "relay/relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5

/* Probes passed, one after the other, before the guest is resumed. */
#define PASSED_MAX 64

/* What a thread id tells of its process: p1.1. */
static void note_process(struct relay *relay, const char *thread)
{
	size_t digits = thread[0] == 'p' ? strcspn(thread + 1, ".") : 0;

	if (digits && thread[1] != '-')
		snprintf(relay->guest_process, sizeof(relay->guest_process), "%.*s", (int)digits, thread + 1);
}

void guest_note_stop(struct relay *relay, const struct stop_reply *stop)
{
	relay->stop = *stop;
	note_process(relay, stop->thread);
}

struct cs_error *guest_ask_process(struct relay *relay)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	char thread[REPLY_THREAD_MAX];

	if (!relay->stub->multiprocess || relay->guest_process[0] || relay->stop.kind != STOP_SIGNAL)
		return NULL;
	CS_TRY(stub_request(relay->stub, "qC", 2, &reply));
	if (strncmp(reply.text, "QC", 2) != 0)
		return NULL;
	reply_copy_thread(reply.text + 2, reply.length - 2, thread);
	note_process(relay, thread);
	return NULL;
}

static struct cs_error *send_resume(struct relay *relay)
{
	relay_set_state(relay, RELAY_RUNNING);
	step_begin_run(relay);
	return stub_send(relay->stub, relay->resume, strlen(relay->resume));
}

/* --- Stops --- */

/* Whether the stop may be that of a breakpoint, and nobody asked the guest to stop where it was. */
static bool ran_into_breakpoint(const struct relay *relay, const struct stop_reply *stop)
{
	return stop->kind == STOP_SIGNAL && stop->signal == SIGNAL_TRAP && !relay->interrupt_sent &&
	       (stop->cause == STOP_CAUSE_UNSAID || stop->cause == STOP_CAUSE_BREAKPOINT) &&
	       (relay->resume_kind == RESUME_CONTINUE || relay->resume_kind == RESUME_STEP) && relay->resume;
}

/* Nobody sent the guest a signal: it is only that it was idle. */
static struct cs_error *deliver_idle(struct relay *relay, const struct stub_reply *reply)
{
	FREE char *text = strdup(reply->text);

	if (!text)
		return &cs_error_no_memory;
	text[1] = text[2] = '0'; /* of "T02…" */
	return relay_deliver_stop(relay, text, strlen(text), text);
}

static struct cs_error *deliver(struct relay *relay, const struct stub_reply *reply)
{
	struct stop_reply stop;
	bool idle;

	reply_parse_stop(reply->text, reply->length, &stop);
	relay->stopped_at_breakpoint = ran_into_breakpoint(relay, &stop);
	CS_TRY(interrupt_settle(relay, &stop));
	if (stop.kind == STOP_SIGNAL) {
		CS_TRY(probes_apply_deferred(relay));
		copy_thread(relay->client_general, stop.thread);
		pthread_mutex_lock(&relay->lock);
		relay->idle_reached = relay->idle_interrupt;
		relay->statistics.gdb_stops++;
		pthread_mutex_unlock(&relay->lock);
	}
	idle = relay->idle_interrupt && stop.kind == STOP_SIGNAL && stop.signal == SIGNAL_INT;
	relay->stop = stop;
	relay->idle_interrupt = false;
	relay_set_state(relay, stop.kind == STOP_SIGNAL ? RELAY_STOPPED : RELAY_EXITED);
	return idle ? deliver_idle(relay, reply)
		    : relay_deliver_stop(relay, reply->raw, reply->raw_length, reply->text);
}

/* A stop in the relay's own words. */
static struct cs_error *deliver_made(struct relay *relay, unsigned signal, const char *thread)
{
	char text[REPLY_THREAD_MAX + 16];
	struct stub_reply reply = {.raw = text, .text = text};
	int n = snprintf(text, sizeof(text), thread[0] ? "T%02xthread:%s;" : "S%02x", signal, thread);

	reply.raw_length = reply.length = (size_t)n;
	return deliver(relay, &reply);
}

/* Sets the guest going again as it was, unless the thread that GDB was stepping has arrived meanwhile. */
static struct cs_error *resume_again(struct relay *relay)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	CS_TRY(probes_apply_deferred(relay));
	if (relay->resume_kind == RESUME_STEP) {
		CS_TRY(step_read_registers(relay, relay->step_thread, &registers));
		if (registers.pc != relay->step_from)
			return deliver_made(relay, SIGNAL_TRAP, relay->step_thread);
	}
	CS_TRY(step_restore_resumed(relay));
	return send_resume(relay);
}

/* The thread stays at the probe, whose hit is recorded, and GDB is told: by the stub's own words if there are any. */
static struct cs_error *stay(struct relay *relay, const char *thread, uint64_t pc, unsigned signal,
			     const struct stub_reply *reply)
{
	probes_set_counted(relay, thread, pc);
	return reply ? deliver(relay, reply) : deliver_made(relay, signal, thread);
}

/* Whether a stop may be a probe's. A step that ends on a probe has not run into it yet. */
static bool may_be_own(const struct relay *relay, const struct stop_reply *stop)
{
	if (!relay->probe_count || stop->kind != STOP_SIGNAL || stop->signal != SIGNAL_TRAP ||
	    stop->cause == STOP_CAUSE_WATCHPOINT || stop->cause == STOP_CAUSE_OTHER)
		return false;
	switch (relay->resume_kind) {
	case RESUME_CONTINUE: return true;
	case RESUME_STEP: return stop->thread[0] && !same_thread(stop->thread, relay->step_thread);
	case RESUME_REVERSE:
	case RESUME_OTHER: return false;
	}
	return false;
}

/* A thread on its way off the probe that it stands at, and over those that follow. */
struct passing {
	char thread[REPLY_THREAD_MAX];
	struct registers *registers;
	/* The stop that GDB is given where it has a breakpoint here too; NULL where it knows of none, or of this one.
	 */
	const struct stub_reply *reply;
	bool known_to_gdb; /* it has just resumed from here */
	struct stub_reply stop;
};

static void passing_clear(struct passing *passing)
{
	stub_reply_clear(&passing->stop);
}

/* Another thread has run into a probe while this one was to step, where a stub sets all of them going: that stop is the
 * relay's own as well. */
static struct cs_error *pass_on_to(struct relay *relay, struct passing *passing, struct stub_reply *reply, bool *stays)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	*stays = true;
	if (same_thread(stop.thread, passing->thread) || !may_be_own(relay, &stop))
		return deliver(relay, reply);
	CS_TRY(step_read_registers(relay, stop.thread, passing->registers));
	if (!probes_at(relay, passing->registers->pc))
		return deliver(relay, reply);
	copy_thread(passing->thread, stop.thread);
	stub_reply_clear(&passing->stop);
	passing->stop = *reply;
	*reply = (struct stub_reply){0};
	passing->reply = &passing->stop;
	passing->known_to_gdb = false;
	*stays = false;
	return NULL;
}

/* Something else stopped the step off a probe, perhaps before the instruction ran: then its hit must not be
 * recorded once more. */
static struct cs_error *interrupted_step(struct relay *relay, struct passing *passing, uint64_t from,
					 struct stub_reply *reply, bool *stays)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct cs_error *error = step_read_registers(relay, passing->thread, &registers);

	if (error && error->code != CS_ERROR_REFUSED) /* what has exited has no registers */
		return error;
	if (!error && registers.pc == from)
		probes_set_counted(relay, passing->thread, from);
	cs_error_destroy(error);
	return pass_on_to(relay, passing, reply, stays);
}

/* GDB gets a stop here although the relay has one of its own: it has a breakpoint, or wants the guest to stand. */
static struct cs_error *tell_gdb(struct relay *relay, const struct passing *passing, bool *told)
{
	uint64_t pc = passing->registers->pc;
	bool sent = relay->interrupt_sent;

	*told = true;
	if (!passing->known_to_gdb && breakpoints_has(&relay->breakpoints, pc, 0, BREAKPOINT_OF_GDB))
		return stay(relay, passing->thread, pc, SIGNAL_TRAP, passing->reply);
	*told = relay->interrupt_wanted;
	if (!*told)
		return NULL;
	CS_TRY(stay(relay, passing->thread, pc, SIGNAL_INT, NULL));
	relay->interrupt_owed = sent;
	return NULL;
}

/* Records the hit of the probe that the thread stands at and gets it off. *stays: somebody has been told to
 * look instead. */
static struct cs_error *pass_probe(struct relay *relay, struct passing *passing, bool *stays)
{
	CLEANUP(stub_reply_clear) struct stub_reply step = {0};
	uint64_t from = passing->registers->pc;
	struct cs_error *error;
	bool foreign = false;
	bool departed;

	CS_TRY(probes_record(relay, passing->thread, passing->registers));
	CS_TRY(tell_gdb(relay, passing, stays));
	passing->known_to_gdb = false;
	if (*stays)
		return NULL;
	CS_TRY(change_depart(relay, passing->thread, passing->registers, &departed));
	if (departed) {
		passing->reply = NULL;
		return NULL;
	}
	*stays = true;
	error = step_off(relay, passing->thread, probes_found(relay, from), passing->registers, &step, &foreign);
	/* A guest that cannot be got off the probe stands there, and somebody must know. */
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error);
		return stay(relay, passing->thread, from, SIGNAL_TRAP, passing->reply);
	}
	if (error)
		return error;
	if (foreign)
		return interrupted_step(relay, passing, from, &step, stays);
	if (passing->registers->pc == from && relay->step_unfinished)
		probes_set_counted(relay, passing->thread, from);
	*stays = false;
	passing->reply = NULL;
	return NULL;
}

/* The thread stands at a probe: on over it, and over those that follow. `reply` is the stop that GDB is
 * given where it has a breakpoint here too; NULL where GDB just resumed from here, and so knows. */
static struct cs_error *pass_probes(struct relay *relay, const char *thread, struct registers *registers,
				    const struct stub_reply *reply)
{
	CLEANUP(passing_clear)
	struct passing passing = {.registers = registers, .reply = reply, .known_to_gdb = reply == NULL};

	copy_thread(passing.thread, thread);
	/* A loop of nothing but probes must not keep the relay from what else there is to do. */
	for (unsigned n = 0; n < PASSED_MAX && probes_at(relay, registers->pc); n++) {
		bool stays;

		CS_TRY(pass_probe(relay, &passing, &stays));
		if (stays)
			return NULL;
	}
	return resume_again(relay);
}

static struct cs_error *own_stop(struct relay *relay, const char *thread, struct registers *registers,
				 const struct stub_reply *reply)
{
	uint64_t began = util_now_ns();
	struct cs_error *error;

	error = pass_probes(relay, thread, registers, reply);
	pthread_mutex_lock(&relay->lock);
	relay->statistics.own_stops++;
	relay->statistics.own_stop_ns += util_now_ns() - began;
	pthread_mutex_unlock(&relay->lock);
	return error;
}

/* Where GDB's step off a probe has executed nothing, as QEMU's may, the hit that was recorded is still to come. */
static struct cs_error *judge_step(struct relay *relay, const struct stop_reply *stop)
{
	CLEANUP(registers_clear) struct registers before = relay->step_registers;
	CLEANUP(registers_clear) struct registers after = {0};
	bool stepped;

	relay->step_registers = (struct registers){0};
	if (!before.bytes || stop->kind != STOP_SIGNAL || !probes_at(relay, before.pc))
		return NULL;
	CS_TRY(step_read_registers(relay, relay->step_thread, &after));
	CS_TRY(step_has_executed(relay, probes_found(relay, before.pc), &before, &after, &stepped));
	if (!stepped || relay->step_unfinished)
		probes_set_counted(relay, relay->step_thread, before.pc);
	return NULL;
}

static struct cs_error *judge_stop(struct relay *relay, const struct stub_reply *reply, const struct stop_reply *stop)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	if (stop->kind == STOP_SIGNAL)
		CS_TRY(probes_replant(relay));
	if (step_settles_interrupt(relay, stop))
		return resume_again(relay);
	CS_TRY(judge_step(relay, stop));
	if (!may_be_own(relay, stop))
		return deliver(relay, reply);
	CS_TRY(step_read_registers(relay, stop->thread, &registers));
	if (!probes_at(relay, registers.pc))
		return deliver(relay, reply);
	return own_stop(relay, stop->thread, &registers, reply);
}

static struct cs_error *on_stop(struct relay *relay, const struct stub_reply *reply, const struct stop_reply *stop)
{
	struct cs_error *error;

	step_end_run(relay);
	copy_thread(relay->stub_general, stop->thread);
	error = judge_stop(relay, reply, stop);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	/* The guest stands all the same, and where the stub refuses what it takes to judge why, GDB must know. */
	cs_error_destroy(error);
	return deliver(relay, reply);
}

struct cs_error *guest_packet(struct relay *relay, const struct stub_reply *reply)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	if (stop.kind != STOP_NONE)
		return on_stop(relay, reply, &stop);
	if (reply->text[0] == 'O' || reply->text[0] == 'F') { /* console output; a request for GDB's file I/O */
		client_send(relay, reply->raw, reply->raw_length);
		return NULL;
	}
	/* The stub did not resume: an error, or an empty reply to what it does not know. */
	step_end_run(relay);
	relay_set_state(relay, RELAY_STOPPED);
	return relay_deliver_stop(relay, reply->raw, reply->raw_length, reply->text);
}

/* --- Resuming --- */

static struct cs_error *classify(struct relay *relay, const char *payload, enum resume_kind kind)
{
	bool stepping = payload[0] == 's' || payload[0] == 'S';

	free(relay->resume);
	relay->resume = kind == RESUME_OTHER || kind == RESUME_REVERSE ? strdup(payload) : resume_repeatable(payload);
	if (!relay->resume)
		return &cs_error_no_memory;
	relay->resume_kind = kind == RESUME_CONTINUE && stepping ? RESUME_STEP : kind;
	copy_thread(relay->step_thread, relay->stop.thread);
	if (stepping && relay->client_resume[0] && relay->client_resume[0] != '0' && relay->client_resume[0] != '-')
		copy_thread(relay->step_thread, relay->client_resume);
	if (kind == RESUME_CONTINUE && resume_steps(payload, relay->step_thread))
		relay->resume_kind = RESUME_STEP;
	return NULL;
}

/* GDB steps a thread off a probe: the hit counts now, and the breakpoint must not hold the step up. */
static struct cs_error *begin_step(struct relay *relay, struct registers *registers)
{
	struct cs_error *error;
	bool departed;
	char type;

	relay->step_from = registers->pc;
	if (!probes_at(relay, registers->pc)) {
		probes_take_counted(relay, relay->step_thread, registers->pc);
		return NULL;
	}
	CS_TRY(probes_record(relay, relay->step_thread, registers));
	CS_TRY(change_depart(relay, relay->step_thread, registers, &departed));
	if (!probes_at(relay, registers->pc))
		return NULL;
	registers_clear(&relay->step_registers);
	relay->step_registers = *registers;
	*registers = (struct registers){.pc = registers->pc};
	type = probes_found(relay, registers->pc)->type;
	if (relay->step_in_place[type - '0'] == IN_PLACE_WORKS)
		return NULL;
	error = guest_take_out(relay, type, registers->pc);
	relay->lifted = !error;
	relay->lifted_address = registers->pc;
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error); /* it cannot be lifted: the step is tried in place */
	return NULL;
}

/* GDB resumes a guest that it has interrupted while it stood: the guest need not run to be stopped, and no stub loses
 * such an interrupt. (A resume with a signal for the guest must be carried out, and is interrupted.) */
static struct cs_error *stay_interrupted(struct relay *relay, const char *payload)
{
	char thread[REPLY_THREAD_MAX];
	bool owed = relay->interrupt_owed;

	/* GDB takes no stop of a thread that it has not resumed. */
	if (resume_applies_to(payload, relay->step_thread) || !resume_first_thread(payload, thread))
		copy_thread(thread, relay->step_thread);
	CS_TRY(deliver_made(relay, SIGNAL_INT, thread));
	relay->interrupt_owed = owed;
	return NULL;
}

static struct cs_error *resume_guest(struct relay *relay, const char *payload, size_t length, enum resume_kind kind)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	bool probed;

	relay->stopped_at_breakpoint = false;
	breakpoints_clear(&relay->lifted_since);
	pthread_mutex_lock(&relay->lock);
	relay->idle_reached = false;
	pthread_mutex_unlock(&relay->lock);
	CS_TRY(classify(relay, payload, kind));
	if (relay->interrupt_wanted && kind != RESUME_OTHER && !resume_carries_signal(payload))
		return stay_interrupted(relay, payload);
	if (kind == RESUME_REVERSE)
		CS_TRY(guest_lift_all(relay));
	else
		CS_TRY(probes_replant(relay)); /* a `D` that was refused has lifted them */
	probed = relay->probe_count && kind == RESUME_CONTINUE && !resume_carries_signal(payload) &&
		 resume_applies_to(payload, relay->step_thread);
	if (probed) {
		CS_TRY(step_read_registers(relay, relay->step_thread, &registers));
		if (relay->resume_kind == RESUME_STEP)
			CS_TRY(begin_step(relay, &registers));
		else if (probes_at(relay, registers.pc))
			return own_stop(relay, relay->step_thread, &registers, NULL);
		else
			probes_take_counted(relay, relay->step_thread, registers.pc);
	}
	CS_TRY(step_restore_resumed(relay));
	relay_set_state(relay, RELAY_RUNNING);
	step_begin_run(relay);
	return stub_send(relay->stub, payload, length);
}

static bool probe_within(const struct relay *relay, uint64_t start, uint64_t end)
{
	size_t i = probes_position(relay, start);

	return i < relay->probe_count && relay->probes[i]->address < end;
}

/* GDB steps over a range of addresses at once, unless a probe stands in it: one that is lifted for the first step would
 * be passed unseen later on. GDB goes on by itself where its step ends within the range. */
struct cs_error *guest_resume(struct relay *relay, const char *payload, size_t length, enum resume_kind kind)
{
	FREE char *steps = NULL;
	const char *at = payload;
	bool probed = false;
	uint64_t start;
	uint64_t end;

	while (kind == RESUME_CONTINUE && !probed && resume_next_range(&at, &start, &end))
		probed = probe_within(relay, start, end);
	if (!probed)
		return resume_guest(relay, payload, length, kind);
	steps = resume_without_ranges(payload);
	if (!steps)
		return &cs_error_no_memory;
	return resume_guest(relay, steps, strlen(steps), kind);
}
