/* SPDX-License-Identifier: MIT */
/*
 * The watchpoints that GDB has set in the stub: they are lifted when GDB can reach them no more, for a guest must not
 * stop for nobody.
 */
#ifndef CLOCKSCOPE_WATCHPOINTS_H
#define CLOCKSCOPE_WATCHPOINTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rsp/stub.h"

struct watchpoint {
	char type; /* '2' write, '3' read, '4' access: the digit behind Z */
	uint64_t address;
	uint64_t length; /* bytes */
};

/* A zeroed table is empty. */
struct watchpoints {
	struct watchpoint *items; /* in the order in which they were set */
	size_t count;
	size_t room;
};

void watchpoints_clear(struct watchpoints *table);

/* The stub has one more, or one less. */
struct cs_error *watchpoints_add(struct watchpoints *table, const struct watchpoint *set);
void watchpoints_remove(struct watchpoints *table, const struct watchpoint *lifted);

/* Has the stub lift them all. One that it refuses to lift keeps no other; the table is empty afterwards. */
struct cs_error *watchpoints_lift(struct watchpoints *table, struct stub *stub);

#endif
