/* SPDX-License-Identifier: MIT */
/*
 * Places in a kernel's text that its instructions alone do not explain: where the kernel rewrites its
 * text while it runs, and where control goes that no instruction names.
 *
 * Linux keeps tables of them, which this stage reads from the ELF; the architecture lists them. A kernel without such
 * tables has none.
 */
#ifndef CLOCKSCOPE_SITES_H
#define CLOCKSCOPE_SITES_H

#include "arch/sites.h"
#include "elf/elf.h"

struct site {
	uint64_t address;
	uint64_t target;
	uint32_t length; /* bytes of text that may change; 0 for those not patched */
	uint32_t extent;
	enum site_kind kind;
};

/* All sites of an ELF, sorted by address. Read-only after creation. */
struct sites {
	struct site *items;
	size_t count;
	size_t room;
	const char *unread[SITES_TABLES_MAX]; /* names of tables that are there, but not in a known form */
	size_t unread_count;
};

/* Reads the tables that the ELF has. A table in a form of a later kernel is left out and named in `unread`: what it
 * lists is then unknown. */
struct cs_error *sites_create(struct elf *elf, struct sites **ret);
void sites_destroy(struct sites *sites);

/* The sites that touch [start, end); the array belongs to `sites`. */
const struct site *sites_between(const struct sites *sites, uint64_t start, uint64_t end, size_t *count_ret);

/* Whether the kernel rewrites this kind of site. */
bool site_is_patched(enum site_kind kind);

/* "alternative", "static key", … */
const char *site_kind_name(enum site_kind kind);

#endif
