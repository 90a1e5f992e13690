/* SPDX-License-Identifier: MIT */
/* A variable among a kernel's data. */
#ifndef CLOCKSCOPE_XREF_POINTERS_H
#define CLOCKSCOPE_XREF_POINTERS_H

#include "xref/found_sites.h"
#include "xref/target.h"
#include "xref/xref.h"

/* Every place in data that holds an address in the target. Fills a zero-initialised `*ret`. */
struct cs_error *xref_pointers(struct xref *xref, const struct xref_target *target, struct xref_sites *ret);

/* Whether a section, by its name, is one of the tables by which a kernel finds, patches or unwinds its code: they
 * list every function, and none is called or handed on through them. */
bool xref_is_bookkeeping(const char *section_name);

/* The same for tables inside .init.data and .rodata, by the symbol that covers the entry. */
bool xref_is_listing(const char *symbol_name);

/* Whether a symbol is an entry of the table by which modules find what they may use. */
bool xref_is_export(const char *symbol_name);

#endif
