/* SPDX-License-Identifier: MIT */
/* The registers of x86-64. */
#ifndef CLOCKSCOPE_X86_REGISTERS_H
#define CLOCKSCOPE_X86_REGISTERS_H

/* Registers numbered as in instruction encodings. */
enum x86_register {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8, /* r9 to r15 follow */
	X86_REGISTERS = 16,
};

/* In RFLAGS (SDM vol. 1, 3.4.3). */
enum x86_flag {
	X86_CF = 1 << 0,
	X86_PF = 1 << 2,
	X86_AF = 1 << 4,
	X86_ZF = 1 << 6,
	X86_SF = 1 << 7,
	X86_TF = 1 << 8,
	X86_IF = 1 << 9,
	X86_OF = 1 << 11,
};

#endif
