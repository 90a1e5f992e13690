/* SPDX-License-Identifier: MIT */
/* What the files of xref know of a kernel under question. */
#ifndef CLOCKSCOPE_XREF_INTERNAL_H
#define CLOCKSCOPE_XREF_INTERNAL_H

#include "elf/elf.h"

struct object;

struct xref {
	struct elf *elf; /* not owned */
	struct object *object;
	const struct elf_symbol *symbols; /* sorted by address; the ELF's */
	size_t symbol_count;
};

#endif
