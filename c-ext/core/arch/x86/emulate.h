/* SPDX-License-Identifier: MIT */
/*
 * What one instruction does to the registers, worked out instead of executed: the relay answers a stop
 * at a probe by writing the registers, and so needs no single step and no lifting of the probe.
 *
 * Emulated are those that a probe may stand on and that touch nothing but registers and the stack:
 * jcc, jrcxz, jecxz, loop*, jmp, nop, endbr64, push r64, near ret, mov between registers,
 * mov of a constant, xor of a register with itself. Facts: Intel SDM vol. 1, appendix B (conditions);
 * vol. 2 for each instruction.
 */
#ifndef CLOCKSCOPE_EMULATE_H
#define CLOCKSCOPE_EMULATE_H

#include "arch/x86/insn.h"

/* Registers numbered as in instruction encodings. */
enum emulate_register {
	EMULATE_RAX,
	EMULATE_RCX,
	EMULATE_RDX,
	EMULATE_RBX,
	EMULATE_RSP,
	EMULATE_RBP,
	EMULATE_RSI,
	EMULATE_RDI,
	EMULATE_R8, /* r9 to r15 follow */
	EMULATE_REGISTERS = 16,
};

/* In RFLAGS (SDM vol. 1, 3.4.3). */
enum emulate_flag {
	EMULATE_CF = 1 << 0,
	EMULATE_PF = 1 << 2,
	EMULATE_AF = 1 << 4,
	EMULATE_ZF = 1 << 6,
	EMULATE_SF = 1 << 7,
	EMULATE_OF = 1 << 11,
};

struct emulate_state {
	uint64_t gpr[EMULATE_REGISTERS];
	uint64_t rip;
	uint64_t rflags;
};

/* What an instruction needs of the guest's memory beside the registers. */
enum emulate_need {
	EMULATE_IMPOSSIBLE, /* must be stepped */
	EMULATE_REGISTERS_ONLY,
	EMULATE_LOAD,  /* emulate_run() wants the eight bytes at RSP, read before it is called (ret) */
	EMULATE_STORE, /* the caller writes `store_value` (eight bytes) at the new RSP afterwards (push) */
};

struct emulate_effect {
	bool taken;       /* the outcome, for INSN_BRANCH; true for a jump */
	uint16_t written; /* bit n: gpr[n] has a new value (RIP always has one) */
	bool flags_written;
	uint64_t store_value; /* for EMULATE_STORE */
};

/* Whether, and with what, an instruction can be emulated. */
enum emulate_need emulate_need(const struct insn *insn);

/* Whether the condition holds for these flags and this RCX. For the loop forms, RCX is its value before
 * the instruction, which decrements it. */
bool emulate_condition(enum insn_condition condition, bool narrow_count, uint64_t rflags, uint64_t rcx);

/* Executes one instruction, whose emulate_need() is not EMULATE_IMPOSSIBLE, on `state`, RIP included.
 * `loaded` is used for EMULATE_LOAD only. */
void emulate_run(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret);

#endif
