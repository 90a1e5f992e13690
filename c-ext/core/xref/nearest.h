/* SPDX-License-Identifier: MIT */
/* What a misspelt name may have been meant to be. */
#ifndef CLOCKSCOPE_XREF_NEAREST_H
#define CLOCKSCOPE_XREF_NEAREST_H

#include <stddef.h>

/* The nearest names to a misspelt one, as " (did you mean a, b, c?)", or "". The caller frees it; NULL without
 * memory. `next(context, i)` gives the i-th of `count` candidates, NULL for none. */
char *nearest_names(const char *wanted, const char *(*next)(const void *context, size_t i), const void *context,
		    size_t count);

#endif
