/* SPDX-License-Identifier: MIT */
/* Between lines.c (positions) and variables.c (what registers hold): how DWARF is read. */
#ifndef CLOCKSCOPE_DWARF_H
#define CLOCKSCOPE_DWARF_H

#include <elfutils/libdw.h>

#include "elf/aranges.h"
#include "elf/lines.h"

struct noreturn_answer {
	uint64_t function;
	bool never;
};

/* Of noreturn.c, sorted by address. */
struct noreturn_answers {
	struct noreturn_answer *items;
	size_t count, capacity;
};

struct lines {
	const struct arch *arch;
	Dwarf *dwarf; /* NULL: the ELF has none */
	struct aranges aranges;
	Dwarf_Die unit;
	bool unit_known;    /* `unit` is that of the last look-up: the next one is likely to be in it */
	Dwarf_Die function; /* likewise, of variables.c */
	bool function_known;
	Elf *elf;               /* borrowed */
	Dwarf_CFI *debug_frame; /* belongs to `dwarf` */
	Dwarf_CFI *eh_frame;    /* of .eh_frame, which compilers write by default; own */
	bool frames_known;      /* … and have been looked for */
	struct noreturn_answers noreturn;
};

/* The canonical frame address at an address: what register (DWARF's number) holds, plus `*offset`. False where no frame
 * table (.debug_frame, .eh_frame) knows, or it is no such sum. */
bool lines_frame(struct lines *lines, uint64_t address, unsigned *reg, int64_t *offset);

/* Makes `lines->unit` the compilation unit that holds an address; false where there is none. */
bool lines_find_unit(struct lines *lines, uint64_t address);

#endif
