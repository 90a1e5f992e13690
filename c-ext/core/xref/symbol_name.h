/* SPDX-License-Identifier: MIT */
/* What a user's words name. */
#ifndef CLOCKSCOPE_XREF_SYMBOL_NAME_H
#define CLOCKSCOPE_XREF_SYMBOL_NAME_H

#include "xref/target.h"
#include "xref/xref.h"

/*
 * Finds what EXPRESSION names: NAME, FILE:NAME, NAME+OFFSET, NAME.field[2].field (with DWARF), or an address in
 * hexadecimal (0x…). CS_ERROR_NOT_FOUND: no such variable or field; the message has the nearest names.
 * CS_ERROR_ARGUMENT: several variables have that name, or the expression is malformed.
 */
struct cs_error *xref_variable(struct xref *xref, const char *expression, struct xref_target *ret);

/* Finds a function: NAME, FILE:NAME or an address in it. Errors as above. Parts that the compiler split off count as
 * the function. */
struct cs_error *xref_function(struct xref *xref, const char *expression, const struct elf_symbol **ret);

#endif
