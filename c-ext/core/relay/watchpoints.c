/* SPDX-License-Identifier: MIT */
#include "relay/watchpoints.h"

#include <stdlib.h>
#include <string.h>

#include "base/vector.h"

void watchpoints_clear(struct watchpoints *table)
{
	free(table->items);
	*table = (struct watchpoints){0};
}

struct cs_error *watchpoints_add(struct watchpoints *table, const struct watchpoint *set)
{
	CS_TRY(VECTOR_ROOM(table->items, table->count + 1, table->room));
	table->items[table->count++] = *set;
	return NULL;
}

static bool same(const struct watchpoint *a, const struct watchpoint *b)
{
	return a->type == b->type && a->address == b->address && a->length == b->length;
}

void watchpoints_remove(struct watchpoints *table, const struct watchpoint *lifted)
{
	for (size_t i = table->count; i-- > 0;) {
		if (!same(&table->items[i], lifted))
			continue;
		table->count--;
		memmove(&table->items[i], &table->items[i + 1], (table->count - i) * sizeof(table->items[0]));
		return;
	}
}

struct cs_error *watchpoints_lift(struct watchpoints *table, struct stub *stub)
{
	while (table->count) {
		const struct watchpoint *last = &table->items[--table->count];
		struct cs_error *error =
			stub_command(stub, "z%c,%llx,%llx", last->type, (unsigned long long)last->address,
				     (unsigned long long)last->length);

		if (error && error->code != CS_ERROR_REFUSED)
			return error;
		cs_error_destroy(error);
	}
	return NULL;
}
