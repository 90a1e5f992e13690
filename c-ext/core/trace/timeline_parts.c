/* SPDX-License-Identifier: MIT */
#include "trace/timeline_parts.h"

#include <string.h>

const char *timeline_fact(const struct timeline *timeline, const char *key)
{
	for (size_t i = 0; i < timeline->fact_count; i++)
		if (!strcmp(timeline->facts[i].key, key))
			return timeline->facts[i].value;
	return "";
}
