/* SPDX-License-Identifier: MIT */
/*
 * A kernel's (or program's) ELF file: text and data by virtual address, symbols, identity.
 *
 * Opening costs milliseconds whatever the size: the file is mapped, and symbols are sorted at first use. Not safe
 * for several threads at once. A file that shrinks while it is mapped raises SIGBUS, as with any mapping.
 */
#ifndef CLOCKSCOPE_ELF_H
#define CLOCKSCOPE_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/error.h"

struct elf;

struct elf_symbol {
	const char *name; /* belongs to the ELF; untrusted bytes */
	uint64_t address;
	uint64_t size; /* as in the table; where that says 0, up to the next symbol or section end */
	bool function;
	bool variable; /* neither: a mark in assembly */
	bool global;
};

struct elf_section {
	const char *name;
	uint64_t address;
	uint64_t size;
	bool executable;
	bool has_bytes; /* false: zero-filled at run time (.bss) */
};

/* What a loader puts into memory in one piece. */
struct elf_segment {
	uint64_t address;
	uint64_t physical;
	uint64_t size; /* of its bytes in the file */
};

/* Opens a file. CS_ERROR_SYSTEM: cannot be read; CS_ERROR_FORMAT: no ELF, of a machine that is not known, not linked,
 * truncated. */
struct cs_error *elf_create(const char *path, struct elf **ret);
void elf_destroy(struct elf *elf);

const char *elf_path(const struct elf *elf);

/* Whose instructions it holds. */
const struct arch *elf_arch(const struct elf *elf);

/* Allocated sections, sorted by address. Belongs to the ELF. */
const struct elf_section *elf_sections(const struct elf *elf, size_t *count_ret);

/* Whether there is a section of that name, allocated or not (.debug_info). */
bool elf_has_section(const struct elf *elf, const char *name);

/* The loaded segment of that number; false where there are no more. */
bool elf_segment(const struct elf *elf, size_t number, struct elf_segment *ret);

/* The executable section that holds an address, or NULL. */
const struct elf_section *elf_text_section(const struct elf *elf, uint64_t address);

/* A pointer into the mapped file to `size` bytes at a virtual address, or NULL where the file has not all
 * of them. */
const uint8_t *elf_bytes(const struct elf *elf, uint64_t address, size_t size);

/* The same for as many bytes as the section has from there on; NULL where it has none. */
const uint8_t *elf_bytes_from(const struct elf *elf, uint64_t address, size_t *size_ret);

/* Whether there is a symbol table (.symtab); what a stripped program has are the names it shares with others. */
bool elf_is_stripped(const struct elf *elf);

/* All symbols with a name and an address in an allocated section, sorted by address. */
struct cs_error *elf_symbols(struct elf *elf, const struct elf_symbol **ret, size_t *count_ret);

/* The next symbol of that very name after `after` (NULL: the first); static functions may share one. NULL
 * where there is no more. */
struct cs_error *elf_find(struct elf *elf, const char *name, const struct elf_symbol *after,
			  const struct elf_symbol **ret);

/* The same for all that the compiler made of the function `base`: itself, .cold, .part.N, … */
struct cs_error *elf_find_variant(struct elf *elf, const char *base, const struct elf_symbol *after,
				  const struct elf_symbol **ret);

/* The symbol whose range holds the address (functions first), or NULL. */
struct cs_error *elf_symbol_at(struct elf *elf, uint64_t address, const struct elf_symbol **ret);

/* Length of a symbol name without the compiler's suffixes (.cold, .part.N, .isra.N, .constprop.N). */
size_t elf_base_name_length(const char *name);

/* Whether a symbol is a part split off a function (`.cold`). */
bool elf_is_cold_part(const char *name);

/* The GNU build id's bytes; NULL where there is none. */
const uint8_t *elf_build_id(const struct elf *elf, size_t *size_ret);

/* The loaded section of notes that holds it: where the guest's own memory has it too. NULL where there is none. */
const struct elf_section *elf_build_id_notes(const struct elf *elf);

/* The GNU build id among notes, from a file or a guest's memory; NULL where they have none. */
const uint8_t *elf_find_build_id(const uint8_t *notes, size_t size, size_t *size_ret);

/* The kernel's version string, without the newline: Linux's linux_banner or BSD's version; empty where
 * there is none. Belongs to the ELF. */
struct cs_error *elf_banner(struct elf *elf, const char **ret);

/* libelf's handle, for those who read further sections. */
struct Elf;
struct Elf *elf_handle(const struct elf *elf);

#endif
