/* SPDX-License-Identifier: MIT */
/*
 * A trace's tables as readers see them: each row is held against the schema as it is read.
 *
 * A file may say of itself what it likes. STRICT, NOT NULL, CHECK and references do not bind it, for whoever can write
 * it can write its schema too. So no reader reads its tables: for each of ours there is a temporary view of the same
 * name, which hides it, has our columns, and whose rows go through a function that holds them against our description
 * (schema.h). A row that breaks it ends the question with an error. Older traces are brought up to date there as well
 * (migrate.h).
 */
#ifndef CLOCKSCOPE_CHECKED_H
#define CLOCKSCOPE_CHECKED_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct checked;

/* Makes the views on DB, a trace of file PATH and of a version that is known; the caller owns *RET, which must outlive
 * all use of DB. CS_ERROR_FORMAT: its tables are not a trace's. */
struct cs_error *checked_create(sqlite3 *db, const char *path, int64_t version, struct checked **ret);

/* NULL is legal. */
void checked_destroy(struct checked *checked);

/* Whether rows that break the schema are left out of questions, instead of ending them with SQLITE_CORRUPT. */
void checked_set_lenient(struct checked *checked, bool lenient);

/* What was wrong with the first such row of a question, one line; NULL: there was none so far. */
const char *checked_damage(const struct checked *checked);

/* Before each question. */
void checked_forget(struct checked *checked);

#endif
