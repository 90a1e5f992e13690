/* SPDX-License-Identifier: MIT */
/* All that the relay's thread works with, put together: each part is its own file's, and is given those below it. */
#ifndef CLOCKSCOPE_SERVING_H
#define CLOCKSCOPE_SERVING_H

#include "relay/borrow.h"
#include "relay/call_queue.h"
#include "relay/door.h"
#include "relay/gdb_carry.h"
#include "relay/headless.h"
#include "relay/ticks.h"

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
	_Atomic uint64_t packets_to_gdb;
	struct carrying carrying;
	struct borrower borrower;
	uint64_t last_tick; /* ns */
};

/* Zeroed before. serving_clear() is for what serving_init() has seen, failed or not. */
struct cs_error *serving_init(struct serving *serving, struct meeting *meeting);
void serving_clear(struct serving *serving);

/* Connects, negotiates, and opens the socket for GDB. */
struct cs_error *serving_begin(struct serving *serving);

#endif
