/* SPDX-License-Identifier: MIT */
#include "xref/found_sites.h"

#include "base/util.h"
#include "base/vector.h"

void xref_sites_clear(struct xref_sites *sites)
{
	free(sites->items);
	*sites = (struct xref_sites){0};
}

struct cs_error *xref_sites_add(struct xref_sites *sites, struct xref_site site)
{
	CS_TRY(VECTOR_ROOM(sites->items, sites->count + 1, sites->capacity));
	sites->items[sites->count++] = site;
	return NULL;
}
