/* SPDX-License-Identifier: MIT */
/*
 * All that one processor architecture is to the rest of the core: a table of functions and facts. A folder beside this
 * file fills one (arch/x86/x86_64.c); nothing else includes what lies in such a folder, or names a register.
 *
 * General registers are numbered as in the architecture's instruction encodings.
 */
#ifndef CLOCKSCOPE_ARCH_H
#define CLOCKSCOPE_ARCH_H

#include "arch/emulate.h"
#include "arch/insn.h"
#include "arch/operands.h"
#include "arch/shape.h"
#include "arch/sites.h"
#include "arch/written.h"
#include "base/placement.h"

/* A decoder's first member; the architecture's own follow. */
struct insn_decoder {
	const struct arch *arch;
};

/* An instruction that a paused guest may be made to execute once (relay/borrow.h): it changes nothing but the general
 * registers that it gives its results in. */
struct arch_loan {
	const char *name;
	uint8_t bytes[4];
	uint8_t length;
	const char *unprivileged; /* why a kernel that runs without privilege cannot; NULL: it can */
};

#define ARCH_LOAN_GIVEN 2
#define ARCH_LOAN_RESULTS 4

/* Names of the functions that a Linux kernel returns through, and that it calls and jumps through registers by: from
 * the first to the last, each of `size` bytes. */
struct arch_thunks {
	const char *return_name;
	const char *first, *last;
	unsigned size;
};

struct arch_register {
	const char *name;
	unsigned bits;
};

struct arch {
	const char *name;     /* "x86-64" */
	const char *target;   /* what its name in stubs' descriptions begins with */
	uint16_t elf_machine; /* e_machine of its ELF files, which are 64-bit and little-endian */

	/* See insn.h and operands.h for each of these. */
	struct cs_error *(*decoder_create)(struct insn_decoder **ret);
	void (*decoder_destroy)(struct insn_decoder *decoder);
	bool (*decode)(struct insn_decoder *decoder, const uint8_t *bytes, size_t size, uint64_t address,
		       struct insn *ret);
	void (*text)(struct insn_decoder *decoder, const struct insn *insn, char *text, size_t size);
	const char *(*condition_name)(const struct insn *insn);
	const char *(*kind_name)(enum insn_kind kind);
	bool (*is_pause)(const struct insn *insn);
	void (*operands_of)(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret);
	size_t (*operands_list)(struct insn_decoder *decoder, const struct insn *insn, struct operand *ret);

	bool (*written_by)(struct insn_decoder *decoder, const struct insn *insn, struct written *ret);

	/* See shape.h. Decodes the instruction at the start of `bytes`; false where there is none, or `size` ends it.
	 */
	bool (*shape)(const uint8_t *bytes, size_t size, struct shape *ret);
	/* Whether the value at an offset may belong to an operand that is the processor's own. */
	bool (*may_be_per_cpu)(const uint8_t *bytes, size_t offset);
	unsigned widest_operand; /* in memory: bytes */

	/* See emulate.h. */
	enum emulate_need (*need)(const struct insn *insn);
	bool (*condition)(const struct insn *insn, uint64_t flags, uint64_t value);
	bool (*flags)(const struct insn *insn, bool holds, uint64_t flags, uint64_t *ret);
	void (*run)(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret);

	const char *xml_registers; /* its name in qSupported, where a debugger says what it understands */
	const struct arch_register
		*assumed; /* what GDB assumes where a stub has no description; a nameless one ends it */

	/* Registers, by the names that stubs' descriptions give them. */
	const char *const *general;
	unsigned general_count;
	const uint8_t *dwarf; /* their numbers in DWARF */
	const char *pc;       /* of 64 bits */
	const char *flags_register;
	const char *cpu_base; /* where a kernel keeps the address of what is the processor's own */

	const char *mode; /* says by a bit whether instructions are this architecture's; one that a stub does not tell
			     has it set */
	uint64_t mode_bit;
	const char *privilege; /* some of these bits are set while a program runs */
	uint64_t privilege_bits;
	uint64_t interrupts_flag; /* in the flags: interrupts are taken */
	uint64_t stepping_flag;   /* … the processor steps itself */

	/* The calling convention. */
	unsigned stack_pointer;
	unsigned result;       /* what a function returns lies in it */
	uint32_t call_changes; /* bit n: a callee need not preserve register n */
	int link; /* holds the return address at a function's entry; INSN_NO_REGISTER: it lies on the stack */
	unsigned return_pops; /* bytes that a return takes off the stack */

	/* See moved.h. */
	void (*moved_back)(const struct placement *placement, const uint8_t *original, uint8_t *bytes, size_t size);

	/* Whether the instruction whose last byte this is may hold interrupts off for the next one. */
	bool (*may_defer)(uint8_t last);
	const struct arch_loan *loans;                                        /* a nameless one ends them */
	uint8_t loan_given[ARCH_LOAN_GIVEN], loan_results[ARCH_LOAN_RESULTS]; /* general registers, 32 bits of each */
	const char *clock_loan; /* the one that reads the processor's clock, and what it read */
	uint64_t (*ticks_of)(const uint32_t results[ARCH_LOAN_RESULTS]);

	/* Of a kernel's text. */
	const struct site_table *site_tables; /* a nameless one ends them */
	struct arch_thunks thunks;
	uint8_t breakpoint; /* the byte that debuggers and kernels write over an instruction */
};

/* The architectures that are known; NULL behind the last. The first is what bytes are taken for that come without a
 * file or a stub to say of which they are. */
const struct arch *arch_at(size_t index);

#endif
