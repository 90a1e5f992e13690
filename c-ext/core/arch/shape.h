/* SPDX-License-Identifier: MIT */
/*
 * The shape of one instruction: its length, where it names an address, and what it does to its memory operand.
 *
 * Naming an instruction and its operands takes about 0.7 µs. A question asked of a whole kernel needs only shapes, of
 * which an architecture decodes one in about 15 ns.
 */
#ifndef CLOCKSCOPE_SHAPE_H
#define CLOCKSCOPE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an instruction does to its memory operand; a read-modify-write has both bits. */
enum shape_access {
	SHAPE_READ = 1,
	SHAPE_WRITE = 2,
	SHAPE_ADDRESS = 4, /* computes the address only */
	SHAPE_PERHAPS = 8, /* writes only where a comparison or a mask has it so; kernels use cmpxchg to read, too */
};

enum shape_memory {
	SHAPE_NO_MEMORY,
	SHAPE_RELATIVE, /* displacement from the next instruction */
	SHAPE_ABSOLUTE, /* the displacement is the address */
	SHAPE_REGISTER, /* base or index register plus displacement */
};

struct shape {
	uint8_t length;                             /* bytes */
	uint8_t displacement_at, displacement_size; /* offset in the instruction; size 0, 1, 4 or 8 */
	uint8_t immediate_at, immediate_size;       /* of the last immediate, or a branch's relative target */
	uint8_t memory;                             /* enum shape_memory */
	uint8_t access;                             /* enum shape_access bits; 0 without a memory operand */
	bool indexes_bits;    /* the operand is a string of bits, of which one far off may be meant */
	bool per_cpu;         /* the operand is the processor's own: counts from arch->cpu_base */
	bool branches, calls; /* the immediate is a branch's target, counted from the next instruction */
	uint16_t width;       /* bytes of the memory operand */
};

/* The displacement or immediate of a decoded instruction, sign-extended; 0 where it has none. */
int64_t shape_displacement(const struct shape *shape, const uint8_t *bytes);
int64_t shape_immediate(const struct shape *shape, const uint8_t *bytes);

#endif
