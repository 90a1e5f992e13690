/* SPDX-License-Identifier: MIT */
/* What is found: instructions and data that name something. */
#ifndef CLOCKSCOPE_XREF_FOUND_SITES_H
#define CLOCKSCOPE_XREF_FOUND_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/shape.h"
#include "base/error.h"

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

/* Appends one site. */
struct cs_error *xref_sites_add(struct xref_sites *sites, struct xref_site site);

#endif
