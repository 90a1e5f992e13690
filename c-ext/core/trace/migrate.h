/* SPDX-License-Identifier: MIT */
/*
 * What older traces lack, and what stands for it.
 *
 * No trace is refused for its age: a boot that failed seldom fails twice. The file itself is never changed; a reader
 * sees its tables as the schema has them today (checked.h), with these values where a column or a table was not there
 * yet. A new version of the schema adds its lines to the table in migrate.c, and a trace of the version before it to
 * plugin/tests/versions.
 */
#ifndef CLOCKSCOPE_MIGRATE_H
#define CLOCKSCOPE_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether traces of a version may lack a table; it is then read as an empty one. */
bool migrate_may_lack(int64_t version, const char *table);

/* The SQL of what stands for a column, from the table's others, in traces of a version that lack it; NULL: they must
 * have it. */
const char *migrate_value(int64_t version, const char *table, const char *column);

#endif
