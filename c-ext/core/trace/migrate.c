/* SPDX-License-Identifier: MIT */
#include "trace/migrate.h"

#include <string.h>

#include "base/util.h"

/* Version 1 grew while it was written: its first traces have only what the first of all readers knew. */
static const struct addition {
	int64_t version; /* the last that may lack it */
	const char *table;
	const char *column; /* NULL: the whole table */
	const char *value;
} additions[] = {
	{1, "event_value", "is_unsigned", "0"},
	{1, "function", NULL, NULL},
	{1, "block", NULL, NULL},
	{1, "edge", NULL, NULL},
	{1, "instruction", NULL, NULL},
	{1, "window", NULL, NULL},
	{1, "probe", NULL, NULL},
	{1, "invocation", NULL, NULL},
	{1, "step", NULL, NULL},
	{1, "gap_block", NULL, NULL},
	{1, "decision", NULL, NULL},
	{1, "stop", NULL, NULL},
	{1, "source", NULL, NULL},
	{1, "invocation", "caller_name", "''"},
	/* As if the guest had never stood: how long it did was not kept. */
	{1, "event", "host_ns", "run_ns"},
	{1, "stop", "host_ns", "run_ns"},
	{1, "window_pass", NULL, NULL},
	{1, "cpuid", NULL, NULL},
	{1, "msr", NULL, NULL},
	{1, "event", "tsc", "NULL"},
	{1, "instruction", "flags", "0"}, /* readers then go by its text */
	{1, "variable", NULL, NULL},
	{1, "intervention", NULL, NULL},
	{1, "intervention_use", NULL, NULL},
	/* Only what a boot should have was kept, and neither when it was watched nor how often the guest came there. */
	{2, "expectation", "optional", "0"},
	{2, "expectation", "within", "''"},
	{2, "expectation", "from_ns", "NULL"},
	{2, "expectation", "to_ns", "NULL"},
	{2, "expectation", "reached", "NULL"},
	{2, "expectation", "matched", "NULL"},
	{2, "expectation", "unfinished", "NULL"},
};

static const struct addition *find(int64_t version, const char *table, const char *column)
{
	for (size_t i = 0; i < ARRAY_SIZE(additions); i++)
		if (version <= additions[i].version && !strcmp(additions[i].table, table) &&
		    (column ? additions[i].column && !strcmp(additions[i].column, column) : !additions[i].column))
			return &additions[i];
	return NULL;
}

bool migrate_may_lack(int64_t version, const char *table)
{
	return find(version, table, NULL) != NULL;
}

const char *migrate_value(int64_t version, const char *table, const char *column)
{
	const struct addition *addition = find(version, table, column);

	return addition ? addition->value : NULL;
}
