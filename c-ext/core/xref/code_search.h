/* SPDX-License-Identifier: MIT */
/* A variable among the operands of a kernel's instructions. */
#ifndef CLOCKSCOPE_XREF_CODE_SEARCH_H
#define CLOCKSCOPE_XREF_CODE_SEARCH_H

#include "xref/found_sites.h"
#include "xref/target.h"
#include "xref/xref.h"

/* Every instruction that reads, writes or takes the address of the target. Fills a zero-initialised `*ret`. */
struct cs_error *xref_accesses(struct xref *xref, const struct xref_target *target, struct xref_sites *ret);

#endif
