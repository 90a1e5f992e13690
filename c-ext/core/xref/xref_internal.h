/* SPDX-License-Identifier: MIT */
/* What the files of xref share. */
#ifndef CLOCKSCOPE_XREF_INTERNAL_H
#define CLOCKSCOPE_XREF_INTERNAL_H

#include "xref/object.h"
#include "xref/xref.h"

struct xref {
	struct elf *elf; /* not owned */
	struct object *object;
	const struct elf_symbol *symbols; /* sorted by address; the ELF's */
	size_t symbol_count;
};

/* The index of the first symbol at or after an address; `symbol_count` where there is none. */
size_t xref_first_symbol(const struct xref *xref, uint64_t address);

/* Whether a section, by its name, is one of the tables by which a kernel finds, patches or unwinds its code: they
 * list every function, and none is called or handed on through them. */
bool xref_is_bookkeeping(const char *section_name);

/* The same for tables inside .init.data and .rodata, by the symbol that covers the entry. */
bool xref_is_listing(const char *symbol_name);

/* Whether a symbol is an entry of the table by which modules find what they may use. */
bool xref_is_export(const char *symbol_name);

/* Appends one site. */
struct cs_error *xref_sites_add(struct xref_sites *sites, struct xref_site site);

/* Narrows a target from its variable to `path` (".a.b[2].c"), by DWARF. */
struct cs_error *xref_narrow(struct xref *xref, const char *path, struct xref_target *target);

/* A symbol's section is executable. */
bool xref_is_code(const struct xref *xref, const struct elf_symbol *symbol);

/*
 * Walks the instructions of an executable section in order. A walk begins anew at each symbol, as objdump does, so
 * data between functions cannot lead it astray for long; a byte that begins no instruction is stepped over.
 */
struct walk {
	const struct xref *xref;
	const uint8_t *bytes;
	uint64_t address; /* of the section */
	size_t size, at;  /* `at`: the offset where the next instruction begins */
	size_t next_symbol;
};

void walk_begin(struct walk *walk, const struct xref *xref, const struct elf_section *section, const uint8_t *bytes);

/* Moves to the last symbol at or before `offset`, if that lies ahead. */
void walk_skip_to(struct walk *walk, size_t offset);

/* Decodes the next instruction: its offset in the section and its shape. False at the section's end. */
bool walk_next(struct walk *walk, size_t *offset_ret, struct shape *ret);

/* The nearest names to a misspelt one, as " (did you mean a, b, c?)", or "". The caller frees it; NULL without
 * memory. `next(context, i)` gives the i-th of `count` candidates, NULL for none. */
char *nearest_names(const char *wanted, const char *(*next)(const void *context, size_t i), const void *context,
		    size_t count);

#endif
