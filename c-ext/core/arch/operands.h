/* SPDX-License-Identifier: MIT */
/*
 * What an instruction does to general registers, in the few shapes that jump tables, counted loops and
 * conditions are made of. Registers are numbered as in the architecture's encodings, whatever part is named.
 */
#ifndef CLOCKSCOPE_OPERANDS_H
#define CLOCKSCOPE_OPERANDS_H

#include "arch/insn.h"

#define OPERANDS_NO_REGISTER INSN_NO_REGISTER

enum operands_shape {
	OPERANDS_OTHER,
	OPERANDS_SET,          /* reg = constant */
	OPERANDS_COPY,         /* reg = from, extended perhaps */
	OPERANDS_ADD,          /* reg += constant; flags compare the result with 0 */
	OPERANDS_ADD_REGISTER, /* reg += from */
	OPERANDS_MASK,         /* reg &= constant */
	OPERANDS_COMPARE,      /* flags of reg - constant */
	OPERANDS_LOAD,         /* reg = memory */
	OPERANDS_JUMP,         /* to memory, or to `from` */
};

struct operands_memory {
	int base, index; /* OPERANDS_NO_REGISTER: none */
	int scale;
	int64_t displacement; /* where it is relative to the instruction: the absolute address, and no base */
	unsigned size;        /* bytes accessed */
};

struct operands {
	enum operands_shape shape;
	int reg, from;
	unsigned size;      /* bytes of `reg` that take part: 4 or 8; for comparisons 1 and 2 too */
	unsigned from_size; /* bytes of `from` that take part */
	int64_t constant;
	struct operands_memory memory; /* size 0: no memory operand */
	uint32_t written;              /* bit n: register n is changed, implicitly too; a call's callee is left out */
	uint32_t read;                 /* bit n: register n is read, for addresses too */
	bool stores;                   /* memory is written, the stack too */
};

/* Analyses one instruction that `decoder` has decoded before. */
void operands_of(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret);

/* The same, with what the callee of a call may change by the calling convention. */
void operands_with_callee(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret);

/* One operand as it is written. */
#define OPERAND_MAX 4
#define OPERAND_TEXT_MAX 64

struct operand {
	char text[OPERAND_TEXT_MAX]; /* as in the assembly text; empty where it is too long */
	int reg;                     /* OPERANDS_NO_REGISTER: it is no general register */
	struct operands_memory memory;
};

/* The operands of an instruction, in the order of their text; returns their number, at most OPERAND_MAX. */
size_t operands_list(struct insn_decoder *decoder, const struct insn *insn, struct operand *ret);

#endif
