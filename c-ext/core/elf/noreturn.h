/* SPDX-License-Identifier: MIT */
/* Functions that never return, as the compiler was told (_Noreturn, __attribute__((noreturn))): DW_AT_noreturn. */
#ifndef CLOCKSCOPE_NORETURN_H
#define CLOCKSCOPE_NORETURN_H

#include "elf/lines.h"

/* Whether the function that begins at an address never returns; false where DWARF does not say. Each function is looked
 * up once: some milliseconds where its unit knows of such functions at all, microseconds where not. */
struct cs_error *noreturn_ask(struct lines *lines, uint64_t function, bool *ret);

#endif
