/* SPDX-License-Identifier: MIT */
/*
 * Places in a kernel's text that its instructions alone do not explain: where the kernel rewrites its
 * text while it runs, and where control goes that no instruction names.
 *
 * Linux keeps tables of them, which this stage reads from the ELF: include/linux/jump_label.h,
 * arch/x86/include/asm/{alternative,paravirt,extable,bug}.h, include/linux/static_call_types.h,
 * arch/x86/kernel/vmlinux.lds.S. A kernel without such tables has none. Left out is __call_sites: it lists every
 * call, which stays a call of the same function.
 */
#ifndef CLOCKSCOPE_SITES_H
#define CLOCKSCOPE_SITES_H

#include "elf/elf.h"

#define SITES_TABLES 11 /* that are known */

enum site_kind {
	SITE_ALTERNATIVE, /* `target` is the replacement's address, `extent` its length */
	SITE_STATIC_KEY,  /* nop or a jump to `target` */
	SITE_STATIC_CALL,
	SITE_RETPOLINE,
	SITE_RETURN, /* jump to the return thunk, or ret */
	SITE_MCOUNT, /* call of __fentry__, or nop */
	SITE_PARAVIRT,
	SITE_LOCK,  /* lock prefix, or none */
	SITE_ENDBR, /* endbr64, or another nop */
	SITE_FIXUP, /* not patched: an exception here continues at `target` */
	SITE_BUG,   /* not patched: this ud2 never continues */
	SITE_WARN,  /* not patched: this ud2 continues after itself */
};

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
	const char *unread[SITES_TABLES]; /* names of tables that are there, but not in a known form */
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
