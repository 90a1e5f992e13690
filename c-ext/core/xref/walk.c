/* SPDX-License-Identifier: MIT */
#include "xref/walk.h"

#include "arch/arch.h"
#include "xref/xref_internal.h"

void walk_begin(struct walk *walk, const struct xref *xref, const struct elf_section *section, const uint8_t *bytes)
{
	*walk = (struct walk){
		.xref = xref,
		.bytes = bytes,
		.shape = elf_arch(xref->elf)->shape,
		.address = section->address,
		.size = section->size,
		.next_symbol = xref_first_symbol(xref, section->address),
	};
}

void walk_skip_to(struct walk *walk, size_t offset)
{
	/* The first symbol after `offset`; the one before it is where to begin. */
	size_t after = xref_first_symbol(walk->xref, walk->address + offset + 1);
	uint64_t begin;

	if (!after)
		return;
	begin = walk->xref->symbols[after - 1].address;
	if (begin < walk->address || begin - walk->address <= walk->at)
		return;
	walk->at = begin - walk->address;
	walk->next_symbol = after;
}

/* The offset that the instruction at `at` must not cross: the next symbol's, or the section's end. */
static size_t limit_of(struct walk *walk)
{
	const struct elf_symbol *symbols = walk->xref->symbols;
	size_t count = walk->xref->symbol_count;
	uint64_t here = walk->address + walk->at;

	while (walk->next_symbol < count && symbols[walk->next_symbol].address <= here)
		walk->next_symbol++;
	if (walk->next_symbol == count || symbols[walk->next_symbol].address - walk->address > walk->size)
		return walk->size;
	return symbols[walk->next_symbol].address - walk->address;
}

bool walk_next(struct walk *walk, size_t *offset_ret, struct shape *ret)
{
	for (; walk->at < walk->size; walk->at++) {
		if (!walk->shape(walk->bytes + walk->at, limit_of(walk) - walk->at, ret))
			continue;
		*offset_ret = walk->at;
		walk->at += ret->length;
		return true;
	}
	return false;
}
