/* SPDX-License-Identifier: MIT */
/*
 * From addresses to source lines, with the functions that the compiler inlined there. Read from DWARF by
 * libdw, one compilation unit at a time. Not safe for several threads at once.
 */
#ifndef CLOCKSCOPE_LINES_H
#define CLOCKSCOPE_LINES_H

#include "elf/elf.h"

struct lines;

/* One level of a source position. */
struct line {
	const char *function; /* NULL where DWARF does not say */
	const char *file;     /* as the compiler recorded it; NULL where unknown */
	int line;             /* 0 where unknown */
	bool inlined;         /* the function is inlined into the next level's */
};

/* `elf` must outlive the result. An ELF without DWARF gives one that knows nothing. */
struct cs_error *lines_create(struct elf *elf, struct lines **ret);
void lines_destroy(struct lines *lines);

/* Levels of an address, the innermost inlined function first; at most `limit`. Returns their number, 0 where
 * nothing is known. Strings belong to `lines`. */
size_t lines_at(struct lines *lines, uint64_t address, struct line *ret, size_t limit);

/* The source line alone, some fifty times as fast: for those who ask about thousands of addresses. False where
 * nothing is known; `ret->function` is always NULL. */
bool lines_position(struct lines *lines, uint64_t address, struct line *ret);

#endif
