/* SPDX-License-Identifier: MIT */
#include "elf/aranges.h"

#include <gelf.h>
#include <string.h>

#include "base/util.h"

/* A set's header as 32-bit DWARF has it (DWARF 5, section 6.1.2); the ranges begin at a multiple of their size. */
struct header {
	uint32_t length; /* of what follows */
	uint16_t version;
	uint32_t unit;
	uint8_t address_size, segment_size;
} __attribute__((packed));

#define RANGE_SIZE (2 * sizeof(uint64_t))

void aranges_init(struct aranges *aranges, Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	*aranges = (struct aranges){.bytes = NULL};
	while (elf_getshdrstrndx(elf, &names) == 0 && (section = elf_nextscn(elf, section))) {
		const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
		Elf_Data *data;

		if (!name || strcmp(name, ".debug_aranges") != 0 || (header.sh_flags & SHF_COMPRESSED))
			continue;
		data = elf_rawdata(section, NULL);
		if (data && data->d_buf)
			*aranges = (struct aranges){.bytes = data->d_buf, .size = data->d_size};
		return;
	}
}

/* Whether one of the ranges from `at` to `end` holds the address. */
static bool holds(const struct aranges *aranges, size_t at, size_t end, uint64_t address)
{
	for (; end - at >= RANGE_SIZE; at += RANGE_SIZE) {
		uint64_t range[2];

		memcpy(range, aranges->bytes + at, sizeof(range));
		if (address - range[0] < range[1])
			return true;
	}
	return false;
}

/* Looks through the sets from `*at` to `end`, and leaves `*at` at the one that has the address. */
static bool search(const struct aranges *aranges, size_t *at, size_t end, uint64_t address, uint64_t *unit_ret)
{
	while (*at < end && aranges->size - *at >= RANGE_SIZE) {
		struct header header;
		size_t next;

		memcpy(&header, aranges->bytes + *at, sizeof(header));
		if (header.length > aranges->size - *at - sizeof(header.length))
			return false; /* cut off, or 64-bit DWARF */
		next = *at + sizeof(header.length) + header.length;
		if (next - *at >= RANGE_SIZE && header.version == 2 && header.address_size == sizeof(uint64_t) &&
		    !header.segment_size && holds(aranges, *at + RANGE_SIZE, next, address)) {
			*unit_ret = header.unit;
			return true;
		}
		*at = next;
	}
	return false;
}

bool aranges_find(struct aranges *aranges, uint64_t address, uint64_t *unit_ret)
{
	size_t begin = aranges->at, at = begin;

	if (search(aranges, &at, aranges->size, address, unit_ret)) {
		aranges->at = at;
		return true;
	}
	at = 0;
	if (!search(aranges, &at, begin, address, unit_ret))
		return false;
	aranges->at = at;
	return true;
}
