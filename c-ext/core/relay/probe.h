/* SPDX-License-Identifier: MIT */
/* What a probe is: an address where the relay stops the guest for itself, and what is told of a stop there. */
#ifndef CLOCKSCOPE_PROBE_H
#define CLOCKSCOPE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/insn.h"
#include "base/placement.h"
#include "rsp/stub.h"

/* What a probe learns of a stop. Everything belongs to the relay and holds during the call. */
struct probe_hit {
	struct run_address address;
	const char *thread; /* the stub's id; empty where it has none */
	unsigned cpu;
	const uint8_t *registers; /* the reply to `g`; stub->target says where each lies */
	size_t registers_size;
	uint64_t run_ns;   /* guest run time so far, stops excluded */
	struct stub *stub; /* for further requests; the guest stands */
	bool returns;      /* an intervention: the function that begins here is not run, but returns `value` */
	uint64_t value;
};

/* What an intervention makes of a stop. */
struct probe_change {
	bool writes_flags;
	uint64_t flags;
	/* Instead of the instruction here, and the function behind it, the return instruction at `ret` is run, with
	 * `value` in RAX. */
	bool returns;
	uint64_t value;
	struct run_address ret;
};

struct probe;

/* Called in the relay's thread each time the probed instruction is about to run. What goes wrong in it
 * is the probe's own to keep: the guest goes on. */
typedef void probe_function(struct probe *probe, const struct probe_hit *hit);

/* Called before all functions of the probes there, which then see the guest as it has been changed. *ret is zeroed. */
typedef void probe_change_function(struct probe *probe, const struct probe_hit *hit, struct probe_change *ret);

/* A probe belongs to its creator, who keeps it alive from relay_add_probe() to relay_remove_probe()
 * or the relay's end. Embed it in the structure that the function needs. */
struct probe {
	struct run_address address;
	probe_function *hit;
	/* The instruction there, where it is known and its text never changes: it is then worked out instead
	 * of stepped, without a look at memory. NULL: memory is read at each hit. Belongs to the creator. */
	const struct insn *insn;
	probe_change_function *change; /* NULL: it only looks */
	/* The relay's own: */
	char type;           /* the digit behind Z; 0 while not planted */
	bool refused;        /* the stub would not plant it (relay_defer) */
	bool change_refused; /* the stub writes no registers: the guest is as it was */
};

#endif
