/* SPDX-License-Identifier: MIT */
/* What the files of the ELF reader share. */
#ifndef CLOCKSCOPE_ELF_INTERNAL_H
#define CLOCKSCOPE_ELF_INTERNAL_H

#include <libelf.h>

#include "elf/elf.h"

struct elf {
	char *path;
	const struct arch *arch;
	void *image;
	size_t size;
	Elf *handle;
	struct elf_section *sections;
	uint64_t *offsets; /* of each section's bytes in the file */
	size_t section_count;
	const uint8_t *build_id; /* in the image */
	size_t build_id_size;
	uint64_t build_id_notes; /* where the section that holds it is loaded; 0: nowhere */

	/* Made at first use. */
	struct elf_symbol *symbols;
	uint64_t *reach; /* for each symbol the highest end among it and those before it */
	size_t symbol_count;
	/* For each hash of a base name the first symbol, for each symbol the next of its hash; NO_SYMBOL ends a list.
	 */
	uint32_t *buckets, *next;
	uint32_t bucket_mask;
	char *banner;
};

#define NO_SYMBOL UINT32_MAX

/* The section that holds an address, or NULL. */
const struct elf_section *elf_section_at(const struct elf *elf, uint64_t address);

struct cs_error *elf_bad(const struct elf *elf, const char *what);

/* Sorts `count` indices of a table of symbols by the symbols' addresses; those of one address stay in their order. */
struct cs_error *elf_order_symbols(const void *table, uint32_t *indices, size_t count);

#endif
