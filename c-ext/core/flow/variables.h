/* SPDX-License-Identifier: MIT */
/*
 * What the source calls the operands of the comparison that a branch decides by: DWARF's location lists say which
 * variable a register or a slot of the stack holds at an address (DWARF 5, sections 2.6 and 4.1).
 */
#ifndef CLOCKSCOPE_VARIABLES_H
#define CLOCKSCOPE_VARIABLES_H

#include "arch/operands.h"
#include "elf/lines.h"
#include "flow/cfg.h"

struct variable {
	char operand[OPERAND_TEXT_MAX]; /* as in the comparison's text: "%eax" */
	const char *name;               /* in the source; belongs to the lines */
};

/* The variables that are compared before a block's branch and that the operands still hold at the branch. Of several in
 * one place, that of the innermost scope. At most OPERAND_MAX; returns their number, 0 where nothing is known. */
size_t variables_compared(struct lines *lines, struct insn_decoder *decoder, const struct cfg *cfg, uint32_t block,
			  struct variable *ret);

/* The name of the variable that a register (numbered as in encodings) holds whole at an address, or NULL. */
const char *variables_in_register(struct lines *lines, uint64_t address, int reg);

/* The same for the memory at `displacement` from what register `base` points to: a slot of the stack. */
const char *variables_in_slot(struct lines *lines, uint64_t address, int base, int64_t displacement);

/* Whether DWARF says of the function at an address that it returns nothing. */
bool variables_none_returned(struct lines *lines, uint64_t address);

#endif
