/* SPDX-License-Identifier: MIT */
/* A section's instructions, one after the other. */
#ifndef CLOCKSCOPE_XREF_WALK_H
#define CLOCKSCOPE_XREF_WALK_H

#include "arch/shape.h"
#include "xref/xref.h"

/*
 * Walks the instructions of an executable section in order. A walk begins anew at each symbol, as objdump does, so
 * data between functions cannot lead it astray for long; a byte that begins no instruction is stepped over.
 */
struct walk {
	const struct xref *xref;
	const uint8_t *bytes;
	uint64_t address; /* of the section */
	size_t size, at;  /* `at`: the offset where the next instruction begins */
	size_t next_symbol;
	bool (*shape)(const uint8_t *bytes, size_t size, struct shape *ret); /* the architecture's */
};

void walk_begin(struct walk *walk, const struct xref *xref, const struct elf_section *section, const uint8_t *bytes);

/* Moves to the last symbol at or before `offset`, if that lies ahead. */
void walk_skip_to(struct walk *walk, size_t offset);

/* Decodes the next instruction: its offset in the section and its shape. False at the section's end. */
bool walk_next(struct walk *walk, size_t *offset_ret, struct shape *ret);

#endif
