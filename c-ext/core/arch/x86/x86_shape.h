/* SPDX-License-Identifier: MIT */
/*
 * The shape of one x86-64 instruction. capstone's version 4 neither knows each instruction that kernels use (rdpkru)
 * nor always whether an operand is written.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2 and appendix A
 * (opcode maps); AMD64 Architecture Programmer's Manual, volume 3, appendix A.
 */
#ifndef CLOCKSCOPE_X86_SHAPE_H
#define CLOCKSCOPE_X86_SHAPE_H

#include "arch/shape.h"

enum shape_map {
	SHAPE_MAP_ONE = 0, /* one-byte opcodes; 1 to 3 as VEX numbers them: 0f, 0f 38, 0f 3a */
	SHAPE_MAP_0F = 1,
	SHAPE_MAP_0F38 = 2,
	SHAPE_MAP_0F3A = 3,
};

struct x86_shape {
	struct shape all;
	uint8_t map; /* enum shape_map, or 5, 6 (EVEX only) */
	uint8_t opcode;
	uint8_t modrm;
	uint8_t simd_prefix; /* 0x66, 0xf2, 0xf3 or 0: mandatory prefix, or VEX.pp */
	uint8_t vector;      /* VEX/EVEX vector length: 0 (16 bytes), 1 (32), 2 (64) */
	bool has_modrm, vex, evex, operand16, address32, segment_fs;
	bool wide, index_extended; /* REX.W, REX.X */
};

/* Decodes the instruction at the start of `bytes`. False where there is none: an invalid opcode, or `size`
 * ends it. */
bool x86_shape_decode(const uint8_t *bytes, size_t size, struct x86_shape *ret);

/* Finds what a decoded instruction does to its memory operand, and its width. */
void x86_access_classify(struct x86_shape *shape);

#endif
