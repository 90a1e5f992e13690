/* SPDX-License-Identifier: MIT */
/*
 * .debug_aranges: which compilation unit holds an address. libdw's own reader goes to every unit of the kernel before
 * it answers the first question, and with a file that is not in memory that takes longer than all the rest.
 */
#ifndef CLOCKSCOPE_ARANGES_H
#define CLOCKSCOPE_ARANGES_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aranges {
	const uint8_t *bytes; /* belongs to the ELF; NULL: it has no such section, or it is compressed */
	size_t size;
	size_t at; /* the set that the last answer was in: questions come in the order of addresses */
};

void aranges_init(struct aranges *aranges, Elf *elf);

/* The offset in .debug_info of the unit that the section names for an address. False where it names none. */
bool aranges_find(struct aranges *aranges, uint64_t address, uint64_t *unit_ret);

#endif
