/* SPDX-License-Identifier: MIT */
/*
 * Which architecture a file or a stub is of; and the names of machines that are not known beyond them, so that they can
 * be refused by what they are.
 */
#ifndef CLOCKSCOPE_MACHINES_H
#define CLOCKSCOPE_MACHINES_H

#include "arch/arch.h"

/* The architecture of 64-bit little-endian ELF files with this e_machine, or NULL. */
const struct arch *machine_of_elf(uint16_t elf_machine);

/* What a machine is called: "i386", "aarch64", …; "another machine" where not even that is known. */
const char *machine_name_of_elf(uint16_t elf_machine);

/* The architecture that a stub's target description names ("i386:x86-64"), or NULL. */
const struct arch *machine_of_target(const char *name);

/* The machine that has a register of that name, and none before it in the list that it stands in; NULL behind the last.
 */
struct machine_mark {
	const char *reg;
	const char *machine;
};
const struct machine_mark *machine_mark_at(size_t index);

/* The machine whose full reply to `g` has that many bytes by GDB's own layouts (gdb/features), which a stub without a
 * description sends; NULL where it is none but those that are known. */
const char *machine_name_of_size(size_t size);

#endif
