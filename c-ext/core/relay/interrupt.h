/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: one that is wanted is kept until somebody has been told of it; one that the stub was sent may come back
 * after another stop has answered it, or crossed it.
 */
#ifndef CLOCKSCOPE_INTERRUPT_H
#define CLOCKSCOPE_INTERRUPT_H

#include "relay/guest.h"
#include "relay/planting.h"

struct interrupts {
	struct guest *guest;
	const struct planting *planting;
	bool wanted;               /* by somebody who has not been told of a stop since */
	bool sent;                 /* to the stub, since the guest was resumed */
	bool owed;                 /* the stub may yet report one that another stop has answered, or crossed */
	bool own_owed;             /* … the relay's own (guest_await()) */
	bool for_idle;             /* the one that is wanted ends a run that was long enough */
	_Atomic bool idle_reached; /* the guest stands for that; other threads ask */
};

/* Wants the guest to stand: told at the next stop of the relay's own, or by the stub, which is sent an interrupt. While
 * the guest stands for GDB, it is kept for the next resume, as gdbserver does. */
struct cs_error *interrupt_want(struct interrupts *interrupts);
/* The same, once the guest has run for as long as it may. */
struct cs_error *interrupt_if_idle(struct interrupts *interrupts);
/* Nobody who has wanted one is there any more. */
void interrupt_forget(struct interrupts *interrupts);

/* Sends the stub an interrupt that is wanted, once it may be sent. */
struct cs_error *interrupt_pursue(struct interrupts *interrupts);
bool interrupt_waits(const struct interrupts *interrupts);

/* Before a stop is told, to GDB or not: what becomes of an interrupt that is wanted. */
struct cs_error *interrupt_settle(struct interrupts *interrupts, const struct stop_reply *stop, bool for_gdb,
				  bool stepping);
/* … and of one that was for idleness: whether the stop is that interrupt's. */
bool interrupt_settle_idle(struct interrupts *interrupts, const struct stop_reply *stop);

/* Whether the stop is an interrupt that GDB was told of already: one that crossed a probe's stop, and
 * that the stub remembered (gdbserver). It is settled then. */
bool interrupt_settles(struct interrupts *interrupts, const struct stop_reply *stop);
/* After guest_await(): whether its interrupt crossed the stop. gdbserver then keeps it for the next resume, QEMU
 * forgets it. */
void interrupt_note_crossing(struct interrupts *interrupts, const struct stop_reply *stop, bool given_up);

/* Stops a guest that runs, whoever is to be told; *got is false where it does not stop. */
struct cs_error *interrupt_halt(struct interrupts *interrupts, bool *got);

#endif
