/* SPDX-License-Identifier: MIT */
/*
 * What an instruction does to general registers, in the few shapes that jump tables, counted loops and
 * conditions are made of. Registers are numbered as in encodings (RAX 0 … R15 15), whatever part is named.
 */
#ifndef CLOCKSCOPE_OPERANDS_H
#define CLOCKSCOPE_OPERANDS_H

#include "arch/x86/insn.h"

#define OPERANDS_NO_REGISTER (-1)

enum operands_shape {
	OPERANDS_OTHER,
	OPERANDS_SET,          /* reg = constant (mov, lea of a fixed address, xor with itself) */
	OPERANDS_COPY,         /* reg = from (mov, movzx, movsxd between registers) */
	OPERANDS_ADD,          /* reg += constant (add, sub, inc, dec); flags compare the result with 0 */
	OPERANDS_ADD_REGISTER, /* reg += from */
	OPERANDS_MASK,         /* reg &= constant */
	OPERANDS_COMPARE,      /* flags of reg - constant (cmp, test of a register with itself) */
	OPERANDS_LOAD,         /* reg = memory */
	OPERANDS_JUMP,         /* to memory, or to `from` */
};

struct operands_memory {
	int base, index; /* OPERANDS_NO_REGISTER: none */
	int scale;
	int64_t displacement; /* with base RIP: the absolute address, and no base */
	unsigned size;        /* bytes accessed */
};

struct operands {
	enum operands_shape shape;
	int reg, from;
	unsigned size;      /* bytes of `reg` that take part: 4 or 8; for comparisons 1 and 2 too */
	unsigned from_size; /* bytes of `from` that take part */
	int64_t constant;
	struct operands_memory memory; /* size 0: no memory operand */
	uint16_t written;              /* bit n: register n is changed, implicitly too; a call's callee is left out */
	uint16_t read;                 /* bit n: register n is read, for addresses too */
	bool stores;                   /* memory is written, the stack too */
};

/* Analyses one instruction that `decoder` has decoded before. */
void operands_of(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret);

/* One operand as it is written. */
#define OPERAND_MAX 4
#define OPERAND_TEXT_MAX 64

struct operand {
	char text[OPERAND_TEXT_MAX]; /* AT&T syntax: "%rax", "8(%rsp)", "$1"; empty where it is too long */
	int reg;                     /* OPERANDS_NO_REGISTER: it is no general register */
	struct operands_memory memory;
};

/* The operands of an instruction, in the order of their text; returns their number, at most OPERAND_MAX. */
size_t operands_list(struct insn_decoder *decoder, const struct insn *insn, struct operand *ret);

#endif
