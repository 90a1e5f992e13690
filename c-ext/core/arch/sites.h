/* SPDX-License-Identifier: MIT */
/*
 * Tables in which a kernel lists places of its text that it rewrites while it runs, or that go where no instruction
 * names. Which there are, and how long the text is, depends on the architecture; elf/sites.h reads them.
 */
#ifndef CLOCKSCOPE_ARCH_SITES_H
#define CLOCKSCOPE_ARCH_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum site_kind {
	SITE_ALTERNATIVE, /* `target` is the replacement's address, `extent` its length */
	SITE_STATIC_KEY,  /* nop or a jump to `target` */
	SITE_STATIC_CALL,
	SITE_RETPOLINE,
	SITE_RETURN, /* jump to the return thunk, or ret */
	SITE_MCOUNT, /* call of the tracer at a function's entry, or nop */
	SITE_PARAVIRT,
	SITE_LOCK,   /* lock prefix, or none */
	SITE_MARKER, /* what marks a target of indirect branches, or another nop */
	SITE_FIXUP,  /* not patched: an exception here continues at `target` */
	SITE_BUG,    /* not patched: this trap never continues */
	SITE_WARN,   /* not patched: this trap continues after itself */
};

/* What an entry is made of. */
enum site_form {
	SITE_FORM_ALTERNATIVE, /* offsets of text and replacement; at the end the two lengths, and perhaps a padding's
				*/
	SITE_FORM_KEY,         /* code, target, key; relative or, in entries of 24 bytes, absolute */
	SITE_FORM_RELATIVE,    /* the offset of the text */
	SITE_FORM_ABSOLUTE,    /* the address of the text; 0: none */
	SITE_FORM_PARAVIRT,    /* address, type, length */
	SITE_FORM_FIXUP,       /* instruction, fixup, and what to do there */
	SITE_FORM_BUG,         /* address, file and line perhaps, flags; BUGFLAG_WARNING is bit 0 */
};

struct site_table {
	const char *name;
	const char *start, *stop; /* the linker script's symbols */
	enum site_kind kind;
	enum site_form form;
	bool may_be_empty; /* an entry of zeros is none */
	size_t sizes[4];   /* of an entry in the kernels known, most recent first */
	/* Bytes of text that may change, by the first two; 0 where they cannot be such a place. */
	uint32_t (*length)(const uint8_t *text);
};

#define SITES_TABLES_MAX 16

#endif
