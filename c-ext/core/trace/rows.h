/* SPDX-License-Identifier: MIT */
/*
 * The rows of a trace in memory: what a recorder hands to the store, and what a reader gets back.
 * tables.h has the fields of each, schemas/trace.sql says what they mean. Text is UTF-8 by intention, but comes from
 * guests and files and may hold any bytes. Nothing here owns what it points to.
 */
#ifndef CLOCKSCOPE_ROWS_H
#define CLOCKSCOPE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/tables.h"

enum record_value_kind {
	RECORD_VALUE_UNREADABLE,
	RECORD_VALUE_SIGNED,
	RECORD_VALUE_UNSIGNED, /* 2^63 or more: masks, addresses */
	RECORD_VALUE_TEXT,
};

struct record_value {
	const char *name;
	enum record_value_kind kind;
	uint64_t number;  /* two's complement when signed */
	const char *text; /* may hold NUL bytes */
	size_t length;    /* of text, in bytes */
};

struct record_event {
	ROW_FIELDS(EVENT) /* seq and host_ns are given by the store, and ignored when writing */
	struct record_value *values;
	size_t value_count;
	struct row_frame *frames; /* innermost first; `event` and `level` are given by the store */
	size_t frame_count;
};

#endif
