/* SPDX-License-Identifier: MIT */
/*
 * The shape of one x86-64 instruction: its length, where its displacement and immediate lie, and what
 * it does to its memory operand.
 *
 * capstone names an instruction and its operands; it needs about 0.7 µs for it, and its version 4 neither knows
 * each instruction that kernels use (rdpkru) nor always whether an operand is written. A question asked of the
 * whole kernel needs only shapes, of which this decodes one in about 15 ns.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2 and appendix A
 * (opcode maps); AMD64 Architecture Programmer's Manual, volume 3, appendix A.
 */
#ifndef CLOCKSCOPE_SHAPE_H
#define CLOCKSCOPE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHAPE_MAX_LENGTH 15 /* bytes in the longest instruction */

/* What an instruction does to its memory operand; a read-modify-write has both bits. */
enum shape_access {
	SHAPE_READ = 1,
	SHAPE_WRITE = 2,
	SHAPE_ADDRESS = 4, /* computes the address only (lea) */
	SHAPE_PERHAPS = 8, /* writes only where a comparison or a mask has it so; kernels use cmpxchg to read, too */
};

enum shape_memory {
	SHAPE_NO_MEMORY,
	SHAPE_RIP,      /* displacement from the next instruction */
	SHAPE_ABSOLUTE, /* the displacement is the address */
	SHAPE_REGISTER, /* base or index register plus displacement */
};

enum shape_map {
	SHAPE_MAP_ONE = 0, /* one-byte opcodes; 1 to 3 as VEX numbers them: 0f, 0f 38, 0f 3a */
	SHAPE_MAP_0F = 1,
	SHAPE_MAP_0F38 = 2,
	SHAPE_MAP_0F3A = 3,
};

struct shape {
	uint8_t length; /* bytes */
	uint8_t map;    /* enum shape_map, or 5, 6 (EVEX only) */
	uint8_t opcode;
	uint8_t modrm;
	uint8_t simd_prefix; /* 0x66, 0xf2, 0xf3 or 0: mandatory prefix, or VEX.pp */
	uint8_t vector;      /* VEX/EVEX vector length: 0 (16 bytes), 1 (32), 2 (64) */
	bool has_modrm, vex, evex, operand16, address32, segment_gs, segment_fs;
	bool wide, index_extended;                  /* REX.W, REX.X */
	uint8_t displacement_at, displacement_size; /* offset in the instruction; size 0, 1, 4 or 8 */
	uint8_t immediate_at, immediate_size;       /* of the last immediate, or a branch's relative target */
	uint8_t memory;                             /* enum shape_memory */
	uint8_t access;                             /* enum shape_access bits; 0 without a memory operand */
	bool indexes_bits; /* bt, bts … with a register: the bit number may lead past the operand */
	uint16_t width;    /* bytes of the memory operand */
};

/* The displacement or immediate of a decoded instruction, sign-extended; 0 where it has none. */
int64_t shape_displacement(const struct shape *shape, const uint8_t *bytes);
int64_t shape_immediate(const struct shape *shape, const uint8_t *bytes);

/* Whether the immediate is a relative branch target: call, jmp, jcc; `ret_call` says which of them. */
bool shape_is_branch(const struct shape *shape, bool *ret_call);

#endif
