/* SPDX-License-Identifier: MIT */
/*
 * What a trace holds: schemas/trace.sql, embedded at build time so that the built extension looks up no file, and the
 * same as a description of its tables, from which readers know what each row must be like.
 */
#ifndef CLOCKSCOPE_SCHEMA_H
#define CLOCKSCOPE_SCHEMA_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

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
	struct schema_column *columns;
	size_t column_count;
	struct schema_rule *rules;
	size_t rule_count;
	bool numbered; /* rows have a rowid beside their columns, in whose order they were written */
};

struct schema {
	struct arena arena; /* owns all below */
	struct schema_table *tables;
	size_t table_count;
	const char *indices; /* the text of each, one after the other */
};

/* Describes the tables of schema_sql; the caller owns *RET. Rules are the CHECKs and the references that stand there,
 * and references of more than one step, which SQL cannot say. */
struct cs_error *schema_create(struct schema **ret);

/* NULL is legal. */
void schema_destroy(struct schema *schema);

#endif
