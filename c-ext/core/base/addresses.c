/* SPDX-License-Identifier: MIT */
#include "base/addresses.h"

#include <stdlib.h>

int address_compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

size_t addresses_sort(uint64_t *addresses, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(addresses, count, sizeof(*addresses), address_compare);
	for (size_t i = 0; i < count; i++)
		if (!kept || addresses[kept - 1] != addresses[i])
			addresses[kept++] = addresses[i];
	return kept;
}

bool addresses_hold(const uint64_t *addresses, size_t count, uint64_t address)
{
	return count && bsearch(&address, addresses, count, sizeof(*addresses), address_compare);
}
