/* SPDX-License-Identifier: MIT */
/*
 * What a trace holds: schemas/trace.sql, embedded at build time so that the built extension looks up no file, and the
 * same as a description of its tables, from which readers know what each row must be like.
 */
#ifndef CLOCKSCOPE_SCHEMA_H
#define CLOCKSCOPE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

/* The two pragmas at the head of trace.sql. */
extern const int schema_application_id;
extern const int schema_version;

/* The text of schemas/trace.sql, NUL-terminated. */
extern const char *const schema_sql;

struct schema_column {
	const char *name;
	const char *type; /* "INTEGER", "TEXT", "BLOB" */
	bool nullable;
	const char *standard; /* its DEFAULT as SQL; "" where it has none */
};

/* What must hold of each row. */
struct schema_rule {
	const char *sql;   /* an expression of the row's columns; NULL is as good as true */
	const char *words; /* what is wrong with a row of which it does not hold */
};

struct schema_table {
	const char *name;
	const struct schema_column *columns;
	size_t column_count;
	const struct schema_rule *rules;
	size_t rule_count;
	bool numbered; /* rows have a rowid beside their columns, in whose order they were written */
};

struct schema {
	const struct schema_table *tables;
	size_t table_count;
	const char *names;   /* of the tables, as |a|b|c| */
	const char *indices; /* the text of each, one after the other */
};

/* The tables of schema_sql, as .ci/describe_schema.py describes them. Rules are the CHECKs and the references that
 * stand there, and references of more than one step, which SQL cannot say. */
extern const struct schema schema_described;

#endif
