/* SPDX-License-Identifier: MIT */
/*
 * The relay's thread: it waits for what the stub, GDB and other threads say, has each handled by its part, and does
 * what the verdict says. The order of the relay's files, from the bottom: what the guest is (guest, planting), what is
 * done to it (change, probes, interrupt, step), how it is set going and what a stop is (going, passing, guest_side),
 * GDB (gdb_side, gdb_answer, gdb_carry), this, and the calls into it (relay.c).
 */
#ifndef CLOCKSCOPE_SERVE_H
#define CLOCKSCOPE_SERVE_H

#include "relay/borrow.h"
#include "relay/call_queue.h"
#include "relay/door.h"
#include "relay/gdb_carry.h"
#include "relay/headless.h"
#include "relay/ticks.h"

/* Everything that the thread works with: each part is its own file's. */
struct serving {
	const char *address;
	unsigned connect_timeout_ms;
	unsigned timeout_ms;
	struct calls calls;
	struct headless headless;
	struct ticks ticks;
	struct door door;
	struct guest_state state;
	struct run_clock clock;
	struct guest guest;
	struct planting planting;
	struct changes changes;
	struct probes probes;
	struct interrupts interrupts;
	struct stepping stepping;
	struct guest_side side;
	struct client client;
	struct carrying carrying;
	struct borrower borrower;
	uint64_t last_tick; /* ns */
};

/* Zeroed before. serving_clear() is for what serving_init() has seen, failed or not. */
struct cs_error *serving_init(struct serving *serving, struct meeting *meeting);
void serving_clear(struct serving *serving);

/* Connects, negotiates, and opens the socket for GDB. */
struct cs_error *serve_begin(struct serving *serving);
/* Until the end is announced. */
void serve(struct serving *serving);

/* In a call: hears what GDB has said so far; sets the guest going for whoever drives it without GDB; ends the
 * connection. */
struct cs_error *serve_listen(struct serving *serving);
struct cs_error *serve_resume(struct serving *serving, const char *payload);
void serve_close(struct serving *serving, enum relay_state end, const char *reason);

#endif
