/* SPDX-License-Identifier: MIT */
#include "arch/x86/moved.h"

#include <string.h>

static uint32_t field(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Where a field begins that holds the byte, and differs by the offset; SIZE: there is none. */
static size_t field_around(uint32_t offset, const uint8_t *original, const uint8_t *bytes, size_t at, size_t size)
{
	for (size_t before = 0; before < 4 && before <= at; before++) {
		size_t start = at - before;
		uint32_t moved;

		if (size - start < 4)
			continue;
		moved = field(bytes + start) - field(original + start);
		if (moved == offset || moved == -offset)
			return start;
	}
	return size;
}

void moved_back(const struct placement *placement, const uint8_t *original, uint8_t *bytes, size_t size)
{
	uint32_t offset = (uint32_t)placement->offset;

	for (size_t i = 0; offset && i < size; i++) {
		size_t start = bytes[i] == original[i] ? size : field_around(offset, original, bytes, i, size);

		if (start < size)
			memcpy(bytes + start, original + start, 4);
	}
}

bool moved_holds(const struct placement *placement, const struct insn *insn, const uint8_t *bytes)
{
	uint8_t there[INSN_MAX_LENGTH];

	memcpy(there, bytes, insn->length);
	moved_back(placement, insn->bytes, there, insn->length);
	return memcmp(there, insn->bytes, insn->length) == 0;
}

struct insn moved_insn(const struct placement *placement, const struct insn *insn, const uint8_t *bytes)
{
	struct insn moved = *insn;

	moved.address = placement_run(placement, (struct link_address){insn->address}).value;
	if (insn->target) /* counts from the instruction */
		moved.target = insn->target + (moved.address - insn->address);
	memcpy(moved.bytes, bytes, insn->length);
	return moved;
}
