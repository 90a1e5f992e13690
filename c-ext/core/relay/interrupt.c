/* SPDX-License-Identifier: MIT */
#include "relay/interrupt.h"

#include "base/util.h"

/* How long the guest runs before the stub is sent an interrupt: among stops of the relay's own the next one comes
 * sooner. And how long a stub may take to acknowledge that it was resumed. */
#define INTERRUPT_SETTLE_MS 20
#define INTERRUPT_LATEST_MS 1000

/* Whether the stop is the stub's answer to an interrupt. Some report one with another signal than SIGINT, so a trap is
 * taken for it too where nothing else explains it. */
static struct cs_error *answers_interrupt(struct interrupts *interrupts, const struct stop_reply *stop, bool stepping,
					  bool *answers)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct cs_error *error;

	*answers = stop->signal == SIGNAL_INT || (interrupts->sent && stop->signal != SIGNAL_TRAP);
	if (*answers || !interrupts->sent || stop->cause != STOP_CAUSE_UNSAID || stepping)
		return NULL;
	error = guest_read_registers(interrupts->guest, stop->thread, &registers);
	*answers = error || !planting_of_gdb_at(interrupts->planting, registers.pc);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	return NULL;
}

/* GDB's Ctrl-C outlives a stop that came for another reason, of which GDB may tell nobody (a condition that does not
 * hold, the end of a step): it is told at the next resume. */
struct cs_error *interrupt_settle(struct interrupts *interrupts, const struct stop_reply *stop, bool for_gdb,
				  bool stepping)
{
	bool answers = true;

	if (interrupts->wanted && for_gdb && !interrupts->for_idle && stop->kind == STOP_SIGNAL)
		CS_TRY(answers_interrupt(interrupts, stop, stepping, &answers));
	/* A stub that keeps it as well (gdbserver) tells it after the relay has. */
	interrupts->owed = interrupts->sent && !answers;
	interrupts->wanted = interrupts->wanted && !answers;
	interrupts->sent = false;
	return NULL;
}

bool interrupt_waits(const struct interrupts *interrupts)
{
	return interrupts->wanted && !interrupts->sent && guest_state_get(interrupts->guest->state) == RELAY_RUNNING;
}

/* qemu-x86_64 since 8.1 never tells of its next stop where it reads an interrupt in one piece with the packet that
 * resumes it: it must have acknowledged that first. */
static bool may_be_sent(const struct interrupts *interrupts)
{
	uint64_t ran_ms = run_clock_since_resumed(interrupts->guest->clock) / 1000000u;

	return ran_ms >= INTERRUPT_LATEST_MS ||
	       (ran_ms >= INTERRUPT_SETTLE_MS && interrupts->guest->stub->acknowledged);
}

struct cs_error *interrupt_pursue(struct interrupts *interrupts)
{
	if (!interrupt_waits(interrupts) || !may_be_sent(interrupts))
		return NULL;
	interrupts->sent = true;
	return stub_send_interrupt(interrupts->guest->stub);
}

struct cs_error *interrupt_want(struct interrupts *interrupts)
{
	interrupts->wanted = true;
	interrupts->sent = false; /* whoever asks again has got no answer: the stub is asked again too */
	return interrupt_pursue(interrupts);
}

struct cs_error *interrupt_if_idle(struct interrupts *interrupts)
{
	if (interrupts->for_idle || !run_clock_limit_is_over(interrupts->guest->clock))
		return NULL;
	interrupts->for_idle = true;
	return interrupt_want(interrupts);
}

void interrupt_forget(struct interrupts *interrupts)
{
	interrupts->wanted = false;
}

bool interrupt_settle_idle(struct interrupts *interrupts, const struct stop_reply *stop)
{
	bool idle = interrupts->for_idle && stop->kind == STOP_SIGNAL;

	if (stop->kind == STOP_SIGNAL)
		interrupts->idle_reached = interrupts->for_idle;
	interrupts->for_idle = false;
	return idle && stop->signal == SIGNAL_INT;
}

bool interrupt_settles(struct interrupts *interrupts, const struct stop_reply *stop)
{
	bool owed = interrupts->owed || interrupts->own_owed;

	if (stop->kind != STOP_SIGNAL)
		return false;
	interrupts->own_owed = false; /* a stub that has kept it tells it first of all */
	if (!owed || interrupts->sent || stop->signal != SIGNAL_INT)
		return false;
	interrupts->owed = false;
	return true;
}

void interrupt_note_crossing(struct interrupts *interrupts, const struct stop_reply *stop, bool given_up)
{
	/* Where an earlier one was owed already, an interrupt that is told now is that one. */
	bool answered = stop->signal == SIGNAL_INT && !interrupts->own_owed;

	interrupts->own_owed = given_up && stop->kind == STOP_SIGNAL && !answered;
}

/* The next packet but for console output; *got is false where none comes in time. */
static struct cs_error *receive_stop(struct interrupts *interrupts, int timeout_ms, bool *got)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

	do {
		stub_reply_clear(&reply);
		CS_TRY(stub_receive(interrupts->guest->stub, timeout_ms, &reply, got));
	} while (*got && reply.text[0] == 'O');
	return NULL;
}

struct cs_error *interrupt_halt(struct interrupts *interrupts, bool *got)
{
	CS_TRY(receive_stop(interrupts, INTERRUPT_SETTLE_MS, got));
	if (*got)
		return NULL;
	CS_TRY(stub_send_interrupt(interrupts->guest->stub));
	return receive_stop(interrupts, -1, got);
}
