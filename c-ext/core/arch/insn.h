/* SPDX-License-Identifier: MIT */
/*
 * One instruction, of whatever architecture: what it does to the flow of control, and whether it touches a clock.
 *
 * Kinds and conditions are those that all processors share. What only one of them has stands in `detail`, which that
 * architecture's own folder alone understands; its names in reports come from there too.
 */
#ifndef CLOCKSCOPE_INSN_H
#define CLOCKSCOPE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct arch;

#define INSN_MAX_LENGTH 15 /* of any architecture that is known */

enum insn_kind {
	INSN_OTHER,
	INSN_NOP,           /* any form of nop, and what marks an entry for indirect branches */
	INSN_BRANCH,        /* conditional: `condition` and `target` hold */
	INSN_JUMP,          /* direct: `target` holds */
	INSN_JUMP_INDIRECT, /* through a register or memory */
	INSN_CALL,          /* direct: `target` holds */
	INSN_CALL_INDIRECT,
	INSN_RETURN,      /* near, far, interrupt or system return */
	INSN_TRAP,        /* raises an exception always; see `asserts` */
	INSN_HALT,        /* waits for an interrupt, and for nothing else */
	INSN_SELECT,      /* moves where a condition holds: `condition` */
	INSN_TRUTH,       /* writes whether a condition holds: `condition` */
	INSN_CLOCK,       /* reads the processor's clock */
	INSN_COUNTER,     /* reads a counter of events */
	INSN_PORT_READ,   /* reads a device's port: `port` holds; string forms too */
	INSN_PORT_WRITE,  /* writes to one */
	INSN_SYSTEM_READ, /* reads a register of the processor's own by number */
	INSN_SYSTEM_WRITE,
	INSN_IDENTIFY, /* asks the processor what it is */
};

/* Of numbers compared (left ? right) or of a result; each even one and the next are each other's opposite. */
enum insn_condition {
	INSN_OVERFLOW,
	INSN_NOT_OVERFLOW,
	INSN_BELOW, /* unsigned, as the next five pairs' BELOW and ABOVE */
	INSN_NOT_BELOW,
	INSN_EQUAL,
	INSN_NOT_EQUAL,
	INSN_NOT_ABOVE,
	INSN_ABOVE,
	INSN_NEGATIVE,
	INSN_NOT_NEGATIVE,
	INSN_EVEN, /* of the bits set in the result's lowest byte; on x86 alone */
	INSN_ODD,
	INSN_LESS, /* signed */
	INSN_NOT_LESS,
	INSN_NOT_GREATER,
	INSN_GREATER,
	INSN_BY_REGISTER, /* what register `decides` holds decides, perhaps with the flags: `detail` has how */
	INSN_ALWAYS,      /* of every instruction that has no condition */
};

#define INSN_PORT_NONE (-1)     /* no port I/O */
#define INSN_PORT_REGISTER (-2) /* the port is in a register */

#define INSN_STACK_UNKNOWN INT32_MIN

#define INSN_NO_REGISTER (-1)

struct insn {
	const struct arch *arch;
	uint64_t address;
	uint64_t target; /* of a direct branch, jump or call; otherwise 0 */
	enum insn_kind kind;
	enum insn_condition condition;
	int port;          /* 0 to 255, or one of INSN_PORT_… */
	int32_t stack;     /* by how much the stack pointer changes (a push: -8); calls 0; INSN_STACK_UNKNOWN */
	int8_t decides;    /* the register that a condition reads beside flags, or INSN_NO_REGISTER */
	uint8_t detail;    /* the architecture's own */
	bool reads_flags;  /* any of those that arithmetic sets */
	bool writes_flags; /* … or leaves one undefined; calls too, for what is called does */
	bool asserts;      /* INSN_TRAP: an instruction that is none, by which kernels say BUG and WARN */
	bool defers;       /* an interrupt may be held off until after the next instruction */
	bool repeats;      /* goes round at its place until it is done, and may be resumed in its midst */
	bool wide_port;    /* INSN_PORT_READ: reads a device's whole register, not bytes of a stream */
	uint8_t length;
	uint8_t bytes[INSN_MAX_LENGTH];
};

/* The address after an instruction. */
static inline uint64_t insn_next(const struct insn *insn)
{
	return insn->address + insn->length;
}

/* Whether a condition depends on flags alone. */
static inline bool insn_by_flags(enum insn_condition condition)
{
	return condition <= INSN_GREATER;
}

/* The opposite of a condition that depends on flags. */
static inline enum insn_condition insn_opposite(enum insn_condition condition)
{
	return (enum insn_condition)(condition ^ 1);
}

/* Whether a condition that depends on flags holds once the lowest `size` bytes (4 or 8) of two numbers were compared.
 */
bool insn_condition_of(enum insn_condition condition, uint64_t left, uint64_t right, unsigned size);

/* A decoder; one a thread. */
struct insn_decoder;

struct cs_error *insn_decoder_create(const struct arch *arch, struct insn_decoder **ret);
void insn_decoder_destroy(struct insn_decoder *decoder);

const struct arch *insn_decoder_arch(const struct insn_decoder *decoder);

/* Decodes the instruction at the start of `bytes`, which lies at `address`. False where there is no
 * valid instruction in `size` bytes; `*ret` is then undefined. */
bool insn_decode(struct insn_decoder *decoder, const uint8_t *bytes, size_t size, uint64_t address, struct insn *ret);

/* Writes the assembly text (as objdump prints it) into `text`, truncated to `size`. */
void insn_text(struct insn_decoder *decoder, const struct insn *insn, char *text, size_t size);

/* The condition as the instruction's name has it ("ne" of jne, cmovne), "" for INSN_ALWAYS. */
const char *insn_condition_name(const struct insn *insn);

/* A kind's name in reports: "branch", "jump", "call", …, and "rdtsc" on x86. */
const char *insn_kind_name(const struct insn *insn);

/* Whether the instruction reads or drives a clock's hardware: the processor's clock and counters, ports. */
bool insn_is_clock_access(const struct insn *insn);

/* Whether the instruction itself says that its loop waits for something. */
bool insn_is_pause(const struct insn *insn);

#endif
