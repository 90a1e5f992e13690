/* SPDX-License-Identifier: MIT */
/* What a question is about. */
#ifndef CLOCKSCOPE_XREF_TARGET_H
#define CLOCKSCOPE_XREF_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "elf/elf.h"

/* The bytes of memory that a question is about. Ranges are [low, high), virtual addresses; those of a per-CPU
 * variable are those of its section, which begins at 0 in Linux before 6.15. */
struct xref_target {
	const struct elf_symbol *symbol; /* NULL for an address that no symbol covers */
	uint64_t low, high;
	uint64_t whole_low, whole_high; /* the whole variable */
	/* What base-plus-index addressing may reach: an element's access may begin at any multiple of `stride`
	 * bytes from `low` within this range. */
	uint64_t repeat_low, repeat_high, stride;
	bool zero_based; /* small addresses, which mean the variable only with %gs or under a relocation */
};

#endif
