/* SPDX-License-Identifier: MIT */
/*
 * What one instruction does to the registers, worked out instead of executed: the relay answers a stop
 * at a probe by writing the registers, and so needs no single step and no lifting of the probe.
 *
 * Which instructions these are is the architecture's to say: those that a probe may stand on and that touch nothing but
 * registers and the stack.
 */
#ifndef CLOCKSCOPE_EMULATE_H
#define CLOCKSCOPE_EMULATE_H

#include "arch/insn.h"

#define EMULATE_REGISTERS_MAX 32 /* general registers of any architecture that is known */

struct emulate_state {
	uint64_t general[EMULATE_REGISTERS_MAX]; /* numbered as in instruction encodings */
	uint64_t pc;
	uint64_t flags;
};

/* What an instruction needs of the guest's memory beside the registers. */
enum emulate_need {
	EMULATE_IMPOSSIBLE, /* must be stepped */
	EMULATE_REGISTERS_ONLY,
	EMULATE_LOAD,  /* emulate_run() wants the eight bytes at the stack pointer, read before it is called */
	EMULATE_STORE, /* the caller writes `store_value` (eight bytes) at the new stack pointer afterwards */
};

struct emulate_effect {
	bool taken;       /* the outcome, for INSN_BRANCH; true for a jump */
	uint32_t written; /* bit n: general[n] has a new value (the PC always has one) */
	bool flags_written;
	uint64_t store_value; /* for EMULATE_STORE */
};

/* Whether, and with what, an instruction can be emulated. */
enum emulate_need emulate_need(const struct insn *insn);

/* Whether an instruction's condition holds for these flags, and this value of the register that `decides` (any, where
 * there is none): its value before the instruction, which may count it down. */
bool emulate_condition(const struct insn *insn, uint64_t flags, uint64_t value);

/* The flags under which the instruction's condition is `holds`, made of `flags` by changing as little as it takes.
 * False where it does not depend on flags alone. */
bool emulate_flags(const struct insn *insn, bool holds, uint64_t flags, uint64_t *ret);

/* Executes one instruction, whose emulate_need() is not EMULATE_IMPOSSIBLE, on `state`, PC included.
 * `loaded` is used for EMULATE_LOAD only. */
void emulate_run(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret);

#endif
