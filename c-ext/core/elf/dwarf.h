/* SPDX-License-Identifier: MIT */
/* Between lines.c (positions) and variables.c (what registers hold): how DWARF is read. */
#ifndef CLOCKSCOPE_DWARF_H
#define CLOCKSCOPE_DWARF_H

#include <elfutils/libdw.h>

#include "elf/lines.h"

struct lines {
	Dwarf *dwarf; /* NULL: the ELF has none */
	Dwarf_Die unit;
	bool unit_known;    /* `unit` is that of the last look-up: the next one is likely to be in it */
	Dwarf_Die function; /* likewise, of variables.c */
	bool function_known;
	Dwarf_CFI *frames; /* belongs to `dwarf` */
};

/* Makes `lines->unit` the compilation unit that holds an address; false where there is none. */
bool lines_find_unit(struct lines *lines, uint64_t address);

#endif
