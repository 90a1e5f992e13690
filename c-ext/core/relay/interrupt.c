/* SPDX-License-Identifier: MIT */
/* Interrupts, and the end that needs one. One that is wanted is kept until somebody has been told of it. */
#include "relay/relay_internal.h"

#include "base/util.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5

/* How long the guest runs before the stub is sent an interrupt: among stops of the relay's own the next one comes
 * sooner. And how long a stub may take to acknowledge that it was resumed. */
#define INTERRUPT_SETTLE_MS 20
#define INTERRUPT_LATEST_MS 1000

/* Whether the stop is the stub's answer to an interrupt. Some report one with another signal than SIGINT, so a trap is
 * taken for it too where nothing else explains it. */
static struct cs_error *answers_interrupt(struct relay *relay, const struct stop_reply *stop, bool *answers)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct cs_error *error;

	*answers = stop->signal == SIGNAL_INT || (relay->interrupt_sent && stop->signal != SIGNAL_TRAP);
	if (*answers || !relay->interrupt_sent || stop->cause != STOP_CAUSE_UNSAID || relay->resume_kind == RESUME_STEP)
		return NULL;
	error = step_read_registers(relay, stop->thread, &registers);
	*answers = error || !breakpoints_has(&relay->breakpoints, registers.pc, 0, BREAKPOINT_OF_GDB);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	return NULL;
}

/* GDB's Ctrl-C outlives a stop that came for another reason, of which GDB may tell nobody (a condition that does not
 * hold, the end of a step): it is told at the next resume. */
struct cs_error *interrupt_settle(struct relay *relay, const struct stop_reply *stop)
{
	bool answers = true;

	if (relay->interrupt_wanted && client_awaits_stop(&relay->client) && !relay->idle_interrupt &&
	    stop->kind == STOP_SIGNAL)
		CS_TRY(answers_interrupt(relay, stop, &answers));
	/* A stub that keeps it as well (gdbserver) tells it after the relay has. */
	relay->interrupt_owed = relay->interrupt_sent && !answers;
	relay->interrupt_wanted = relay->interrupt_wanted && !answers;
	relay->interrupt_sent = false;
	return NULL;
}

bool interrupt_waits(struct relay *relay)
{
	return relay->interrupt_wanted && !relay->interrupt_sent && relay_state(relay) == RELAY_RUNNING;
}

/* qemu-x86_64 since 8.1 never tells of its next stop where it reads an interrupt in one piece with the packet that
 * resumes it: it must have acknowledged that first. */
static bool may_be_sent(const struct relay *relay)
{
	uint64_t ran_ms = (util_now_ns() - relay->resumed_at) / 1000000u;

	return ran_ms >= INTERRUPT_LATEST_MS || (ran_ms >= INTERRUPT_SETTLE_MS && relay->stub->acknowledged);
}

struct cs_error *interrupt_pursue(struct relay *relay)
{
	if (!interrupt_waits(relay) || !may_be_sent(relay))
		return NULL;
	relay->interrupt_sent = true;
	return stub_send_interrupt(relay->stub);
}

struct cs_error *guest_interrupt(struct relay *relay)
{
	relay->interrupt_wanted = true;
	relay->interrupt_sent = false; /* whoever asks again has got no answer: the stub is asked again too */
	return interrupt_pursue(relay);
}

/* The next packet but for console output; *got is false where none comes in time. */
static struct cs_error *receive_stop(struct relay *relay, int timeout_ms, bool *got)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

	do {
		stub_reply_clear(&reply);
		CS_TRY(stub_receive(relay->stub, timeout_ms, &reply, got));
	} while (*got && reply.text[0] == 'O');
	return NULL;
}

/* GDB's breakpoints too: it cannot reach them any more, and the guest must not stop for nobody. */
static struct cs_error *lift_everything(struct relay *relay)
{
	CS_TRY(guest_lift_all(relay));
	for (size_t i = 0; i < relay->breakpoints.count; i++) {
		const struct breakpoint *at = &relay->breakpoints.items[i];
		struct cs_error *error = NULL;

		if (at->owners & BREAKPOINT_OF_GDB)
			error = guest_take_out(relay, at->type, at->address);
		if (error && error->code != CS_ERROR_REFUSED)
			return error;
		cs_error_destroy(error);
	}
	return watchpoints_lift(&relay->watchpoints, relay->stub);
}

static bool is_planted_in(const struct relay *relay)
{
	return relay->breakpoints.count || relay->watchpoints.count;
}

/* Stops a guest that runs; *got is false where it does not stop. */
static struct cs_error *halt(struct relay *relay, bool *got)
{
	CS_TRY(receive_stop(relay, INTERRUPT_SETTLE_MS, got));
	if (*got)
		return NULL;
	CS_TRY(stub_send_interrupt(relay->stub));
	return receive_stop(relay, -1, got);
}

/* As it was, or by a plain continue where it was only to step. */
static struct cs_error *let_run(struct relay *relay)
{
	const char *plain = relay->stub->vcont[0] ? "vCont;c" : "c";
	const char *payload = relay->resume && relay->resume_kind == RESUME_CONTINUE ? relay->resume : plain;

	return stub_send(relay->stub, payload, strlen(payload));
}

struct cs_error *guest_leave(struct relay *relay)
{
	bool stands = relay_state(relay) == RELAY_STOPPED;
	bool got = true;

	if (stands && !relay->client.stop_unread)
		return lift_everything(relay);
	if (!stands && (relay_state(relay) != RELAY_RUNNING || !is_planted_in(relay)))
		return NULL;
	if (!stands)
		CS_TRY(halt(relay, &got));
	if (!got)
		return NULL;
	CS_TRY(lift_everything(relay));
	return let_run(relay);
}
