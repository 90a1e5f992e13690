/* SPDX-License-Identifier: MIT */
/*
 * One x86-64 instruction: what it does to the flow of control, and whether it touches a clock.
 *
 * Facts: Intel SDM vol. 2 (opcodes; appendix B.1.4.7 for the condition codes). Decoding is capstone's.
 */
#ifndef CLOCKSCOPE_INSN_H
#define CLOCKSCOPE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define INSN_MAX_LENGTH 15

enum insn_kind {
	INSN_OTHER,
	INSN_NOP,           /* any form of nop, endbr32, endbr64 */
	INSN_BRANCH,        /* jcc, jrcxz, jecxz, loop, loope, loopne: `condition` and `target` hold */
	INSN_JUMP,          /* direct: `target` holds */
	INSN_JUMP_INDIRECT, /* through a register or memory */
	INSN_CALL,          /* direct: `target` holds */
	INSN_CALL_INDIRECT,
	INSN_RETURN, /* near, far, interrupt or system return */
	INSN_TRAP,   /* ud0, ud1, ud2, int3 */
	INSN_HALT,
	INSN_CMOV,  /* `condition` holds */
	INSN_SETCC, /* `condition` holds */
	INSN_TSC,   /* rdtsc, rdtscp */
	INSN_RDPMC,
	INSN_IN, /* `port` holds; string forms too */
	INSN_OUT,
	INSN_RDMSR,
	INSN_WRMSR,
	INSN_CPUID,
};

/* The first sixteen are the low four bits of the opcodes 70+cc, 0F 80+cc, 0F 90+cc, 0F 40+cc. */
enum insn_condition {
	INSN_O,
	INSN_NO,
	INSN_B,
	INSN_AE,
	INSN_E,
	INSN_NE,
	INSN_BE,
	INSN_A,
	INSN_S,
	INSN_NS,
	INSN_P,
	INSN_NP,
	INSN_L,
	INSN_GE,
	INSN_LE,
	INSN_G,
	INSN_RCXZ,
	INSN_ECXZ,
	INSN_LOOP,
	INSN_LOOPE,
	INSN_LOOPNE,
	INSN_ALWAYS, /* of every instruction that has no condition */
};

#define INSN_PORT_NONE (-1) /* no port I/O */
#define INSN_PORT_DX (-2)   /* the port is in DX */

#define INSN_STACK_UNKNOWN INT32_MIN

struct insn {
	uint64_t address;
	uint64_t target; /* of a direct branch, jump or call; otherwise 0 */
	enum insn_kind kind;
	enum insn_condition condition;
	int port;          /* 0 to 255, or one of INSN_PORT_… */
	int32_t stack;     /* by how much RSP changes (push: -8); calls 0; INSN_STACK_UNKNOWN */
	bool narrow_count; /* loop forms: counts in ECX, not RCX (address-size prefix) */
	bool reads_flags;  /* any of CF, PF, AF, ZF, SF, OF */
	bool writes_flags; /* … or leaves one undefined; calls too, for what is called does */
	uint8_t length;
	uint8_t bytes[INSN_MAX_LENGTH];
};

/* The address after an instruction. */
static inline uint64_t insn_next(const struct insn *insn)
{
	return insn->address + insn->length;
}

/* A decoder; one a thread. */
struct insn_decoder;

struct cs_error *insn_decoder_create(struct insn_decoder **ret);
void insn_decoder_destroy(struct insn_decoder *decoder);

/* Decodes the instruction at the start of `bytes`, which lies at `address`. False where there is no
 * valid instruction in `size` bytes; `*ret` is then undefined. */
bool insn_decode(struct insn_decoder *decoder, const uint8_t *bytes, size_t size, uint64_t address, struct insn *ret);

/* Writes the assembly text (AT&T syntax, as objdump prints it) into `text`, truncated to `size`. */
void insn_text(struct insn_decoder *decoder, const struct insn *insn, char *text, size_t size);

/* The condition's suffix as in "jne", "cmovne": "ne"; "rcxz", "loop" …; "" for INSN_ALWAYS. */
const char *insn_condition_name(enum insn_condition condition);

/* A kind's name in reports: "branch", "jump", "call", … */
const char *insn_kind_name(enum insn_kind kind);

/* Whether the instruction reads or drives a clock's hardware: rdtsc, rdtscp, rdpmc, in, out. */
bool insn_is_clock_access(const struct insn *insn);

#endif
