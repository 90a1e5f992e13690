/* SPDX-License-Identifier: MIT */
/*
 * Where functions were inlined: the copies of a function's code in others, by DWARF (DW_TAG_inlined_subroutine). A
 * function may have copies and a symbol, or copies alone.
 */
#ifndef CLOCKSCOPE_INLINED_H
#define CLOCKSCOPE_INLINED_H

#include "elf/lines.h"

struct inlined_copy {
	const char *function;
	const char *within; /* the function that has a symbol, as DWARF names it */
	uint64_t address;   /* where the copy begins */
	const char *file;   /* where it is called; NULL where DWARF does not say */
	int line;
	const char *declared; /* the file that the function itself stands in; NULL where DWARF does not say */
};

/* Called with each copy; strings belong to the lines. */
typedef struct cs_error *(*inlined_visit)(void *context, const struct inlined_copy *copy);

/* Finds the copies of so many functions (NULL: of all) by one pass over all units: half a second for a Linux with debug
 * information, nothing without. */
struct cs_error *inlined_find(struct lines *lines, const char *const *names, size_t count, inlined_visit visit,
			      void *context);

#endif
