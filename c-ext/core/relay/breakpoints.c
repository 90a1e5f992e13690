/* SPDX-License-Identifier: MIT */
#include "relay/breakpoints.h"

#include <stdlib.h>
#include <string.h>

#include "base/vector.h"

void breakpoints_clear(struct breakpoints *table)
{
	free(table->items);
	*table = (struct breakpoints){0};
}

/* The first item that is not below (address, type). */
static size_t position(const struct breakpoints *table, uint64_t address, char type)
{
	size_t low = 0;
	size_t high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct breakpoint *at = &table->items[middle];

		if (at->address < address || (at->address == address && at->type < type))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool breakpoints_has(const struct breakpoints *table, uint64_t address, char type, unsigned owner)
{
	for (size_t i = position(table, address, type); i < table->count; i++) {
		const struct breakpoint *at = &table->items[i];

		if (at->address != address || (type && at->type != type))
			return false;
		if (at->owners & owner)
			return true;
	}
	return false;
}

struct cs_error *breakpoints_add(struct breakpoints *table, uint64_t address, char type, unsigned owner, bool *first)
{
	size_t at = position(table, address, type);
	struct breakpoint *item;

	*first = at == table->count || table->items[at].address != address || table->items[at].type != type;
	if (!*first) {
		table->items[at].owners |= owner;
		return NULL;
	}
	CS_TRY(VECTOR_ROOM(table->items, table->count + 1, table->capacity));
	item = &table->items[at];
	memmove(item + 1, item, (table->count - at) * sizeof(*item));
	*item = (struct breakpoint){.address = address, .type = type, .owners = owner};
	table->count++;
	return NULL;
}

bool breakpoints_remove(struct breakpoints *table, uint64_t address, char type, unsigned owner)
{
	size_t at = position(table, address, type);
	struct breakpoint *item = at < table->count ? &table->items[at] : NULL;

	if (!item || item->address != address || item->type != type || !(item->owners & owner))
		return false;
	item->owners &= ~owner;
	if (item->owners)
		return false;
	table->count--;
	memmove(item, item + 1, (table->count - at) * sizeof(*item));
	return true;
}
