/* SPDX-License-Identifier: MIT */
/*
 * Jump tables: where an indirect jump can go. Known are the two shapes that compilers write for a switch,
 *
 *     cmp $N, index; ja …; jmp *table(, index, 8)            absolute addresses
 *     lea table(%rip), base; movslq (base, index, 4), reg; add base, reg; jmp *reg      offsets from the table
 *
 * and their variants (mov and jmp *reg, notrack, `and` for the bound).
 */
#ifndef CLOCKSCOPE_JUMP_TABLE_H
#define CLOCKSCOPE_JUMP_TABLE_H

#include "flow/code.h"

#define TABLE_LIMIT 1024u /* entries */

enum table_outcome {
	TABLE_NONE,     /* no table is involved: a call through a pointer */
	TABLE_RESOLVED, /* `*ret` holds the targets */
	TABLE_UNKNOWN,  /* there is a table, but its place or size is not known */
};

/* Analyses the indirect jump that ends a run of `count` instructions. `targets` has room for TABLE_LIMIT. */
enum table_outcome table_resolve(struct insn_decoder *decoder, const struct cfg_input *input,
				 const struct code_insn *run, size_t count, uint64_t *targets, size_t *count_ret);

#endif
