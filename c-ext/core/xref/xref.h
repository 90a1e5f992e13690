/* SPDX-License-Identifier: MIT */
/*
 * Questions asked of a kernel before it runs: which instructions read or write a variable, take its address, call a
 * function; by which path a function can be reached.
 *
 * Answers come from the whole text. Nothing is disassembled that need not be: a sieve finds the values that may name
 * the variable (scan.h), and only the instructions around them are decoded, from the symbol before on
 * (shape.h). Accesses through a pointer cannot be seen; the places that take the variable's address are listed
 * apart for that.
 */
#ifndef CLOCKSCOPE_XREF_H
#define CLOCKSCOPE_XREF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "elf/elf.h"

struct xref;

/* The ELF must outlive the xref. Not safe for several threads at once. */
struct cs_error *xref_create(struct elf *elf, struct xref **ret);
void xref_destroy(struct xref *xref);

/* Whether the linker kept relocations; without them, a per-CPU variable's accesses by register plus offset and the
 * places that take its address cannot be told from numbers, and are not listed. */
struct cs_error *xref_has_relocations(struct xref *xref, bool *ret);

/* The symbol that an address lies in; a symbol without a size (tables that the linker script marks) reaches up to the
 * next. `*ret` NULL: none. */
struct cs_error *xref_symbol_over(struct xref *xref, uint64_t address, const struct elf_symbol **ret);

/* The source file of a static symbol as its symbol table names it ("tsc.c"), or NULL. */
struct cs_error *xref_file_of(struct xref *xref, const struct elf_symbol *symbol, const char **ret);

/* The index of the first symbol at or after an address; `symbol_count` where there is none. */
size_t xref_first_symbol(const struct xref *xref, uint64_t address);

/* A symbol's section is executable. */
bool xref_is_code(const struct xref *xref, const struct elf_symbol *symbol);

#endif
