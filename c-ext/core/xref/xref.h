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
#include "xref/shape.h"

struct xref;

/* The ELF must outlive the xref. Not safe for several threads at once. */
struct cs_error *xref_create(struct elf *elf, struct xref **ret);
void xref_destroy(struct xref *xref);

/* The bytes of memory that a question is about. Ranges are [low, high), virtual addresses; those of a per-CPU
 * variable are those of its section, which begins at 0 in Linux before 6.15. */
struct xref_target {
	const struct elf_symbol *symbol; /* NULL for an address that no symbol covers */
	uint64_t low, high;
	uint64_t whole_low, whole_high; /* the whole variable */
	/* What base-plus-index addressing may reach: an element's access may begin at any multiple of `stride`
	 * bytes from `low` within this range. */
	uint64_t repeat_low, repeat_high, stride;
	bool zero_based; /* small addresses, which mean the variable only with %gs or under a relocation */
};

/*
 * Finds what EXPRESSION names: NAME, FILE:NAME, NAME+OFFSET, NAME.field[2].field (with DWARF), or an address in
 * hexadecimal (0x…). CS_ERROR_NOT_FOUND: no such variable or field; the message has the nearest names.
 * CS_ERROR_ARGUMENT: several variables have that name, or the expression is malformed.
 */
struct cs_error *xref_variable(struct xref *xref, const char *expression, struct xref_target *ret);

/* Finds a function: NAME, FILE:NAME or an address in it. Errors as above. Parts that the compiler split off count as
 * the function. */
struct cs_error *xref_function(struct xref *xref, const char *expression, const struct elf_symbol **ret);

enum xref_kind {
	XREF_INSTRUCTION,
	XREF_POINTER,  /* data: 8 bytes that hold an address */
	XREF_RELATIVE, /* data: 4 bytes that hold the distance to it */
	XREF_CALL,
	XREF_JUMP, /* a jump to another function's entry: a tail call, as a rule */
};

struct xref_site {
	uint64_t address; /* of the instruction or datum */
	uint64_t target;  /* the address that it names */
	uint8_t kind;     /* enum xref_kind */
	uint8_t access;   /* enum shape_access bits */
	bool indexed;     /* a register is added to `target` */
};

struct xref_sites {
	struct xref_site *items; /* sorted by address */
	size_t count, capacity;
};

/* Releases the items; a zero-initialised struct is legal. */
void xref_sites_clear(struct xref_sites *sites);

/* Every instruction that reads, writes or takes the address of the target. Fills a zero-initialised `*ret`. */
struct cs_error *xref_accesses(struct xref *xref, const struct xref_target *target, struct xref_sites *ret);

/* Every place in data that holds an address in the target. Fills a zero-initialised `*ret`. */
struct cs_error *xref_pointers(struct xref *xref, const struct xref_target *target, struct xref_sites *ret);

/* Whether the linker kept relocations; without them, a per-CPU variable's accesses by register plus offset and the
 * places that take its address cannot be told from numbers, and are not listed. */
struct cs_error *xref_has_relocations(struct xref *xref, bool *ret);

/* The symbol that an address lies in; a symbol without a size (tables that the linker script marks) reaches up to the
 * next. `*ret` NULL: none. */
struct cs_error *xref_symbol_over(struct xref *xref, uint64_t address, const struct elf_symbol **ret);

/* The source file of a static symbol as its symbol table names it ("tsc.c"), or NULL. */
struct cs_error *xref_file_of(struct xref *xref, const struct elf_symbol *symbol, const char **ret);

#endif
