/* SPDX-License-Identifier: MIT */
/* A field of a variable, by DWARF. */
#ifndef CLOCKSCOPE_XREF_DATA_TYPE_H
#define CLOCKSCOPE_XREF_DATA_TYPE_H

#include "xref/target.h"
#include "xref/xref.h"

/* Narrows a target from its variable to `path` (".a.b[2].c"), by DWARF. */
struct cs_error *xref_narrow(struct xref *xref, const char *path, struct xref_target *target);

#endif
