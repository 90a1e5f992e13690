/* SPDX-License-Identifier: MIT */
/*
 * Jump tables: where an indirect jump can go. Known are the two shapes that compilers write for a switch,
 *
 *     cmp $N, index; ja …; jmp *table(, index, 8)            absolute addresses
 *     lea table(%rip), base; movslq (base, index, 4), reg; add base, reg; jmp *reg      offsets from the table
 *
 * and their variants (mov and jmp *reg, notrack, `and` for the bound, a guard whose taken branch leads to the jump).
 */
#ifndef CLOCKSCOPE_JUMP_TABLE_H
#define CLOCKSCOPE_JUMP_TABLE_H

#include "flow/backward.h"

#define TABLE_LIMIT 1024u /* entries */

enum table_outcome {
	TABLE_NONE,     /* no table is involved: a call through a pointer */
	TABLE_RESOLVED, /* `*targets` holds them all */
	TABLE_UNKNOWN,  /* there is a table, but its place or size is not known; `*targets` holds what is */
};

/* Analyses the indirect jump that is instruction number `jump`, by the ways that are known to lead there. `targets` has
 * room for TABLE_LIMIT. Where nothing says how long a table is, it ends with the first entry that is no place in the
 * function. */
enum table_outcome table_resolve(const struct backward *backward, uint32_t jump, uint64_t *targets, size_t *count_ret);

#endif
