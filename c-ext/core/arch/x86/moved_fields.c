/* SPDX-License-Identifier: MIT */
/* Linux, arch/x86/boot/compressed/misc.c, handle_relocations(): the fields have 32 bits. Which they are the linker
 * seldom keeps, but it shows: the bytes differ by just the offset. */
#include "arch/x86/x86_internal.h"

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

void x86_moved_back(const struct placement *placement, const uint8_t *original, uint8_t *bytes, size_t size)
{
	uint32_t offset = (uint32_t)placement->offset;

	for (size_t i = 0; offset && i < size; i++) {
		size_t start = bytes[i] == original[i] ? size : field_around(offset, original, bytes, i, size);

		if (start < size)
			memcpy(bytes + start, original + start, 4);
	}
}
