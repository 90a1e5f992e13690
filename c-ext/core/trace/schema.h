/* SPDX-License-Identifier: MIT */
/* schemas/trace.sql, embedded at build time so that the built extension looks up no file. */
#ifndef CLOCKSCOPE_SCHEMA_H
#define CLOCKSCOPE_SCHEMA_H

/* The two pragmas at the head of trace.sql; test_store.c holds them equal. */
#define SCHEMA_APPLICATION_ID 0x436c6b53
#define SCHEMA_VERSION 2

/* The text of schemas/trace.sql, NUL-terminated. */
extern const char *const schema_sql;

#endif
