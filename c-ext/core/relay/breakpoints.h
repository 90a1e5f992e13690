/* SPDX-License-Identifier: MIT */
/*
 * Who wants a breakpoint where. GDB and the relay may both want one at an address; the stub holds it
 * once, from the first who asks to the last who lets go.
 */
#ifndef CLOCKSCOPE_BREAKPOINTS_H
#define CLOCKSCOPE_BREAKPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum breakpoint_owner {
	BREAKPOINT_OF_GDB = 1,
	BREAKPOINT_OF_RELAY = 2,
	BREAKPOINT_BORROWED = 4, /* for the moment in which an instruction is borrowed */
};

struct breakpoint {
	uint64_t address;
	char type; /* '0' software, '1' hardware: the digit behind Z */
	unsigned owners;
};

/* A zeroed table is empty. */
struct breakpoints {
	struct breakpoint *items; /* sorted by address, then type */
	size_t count;
	size_t capacity;
};

void breakpoints_clear(struct breakpoints *table);

/* Whether the owner has a breakpoint of that type there; type 0 means any. */
bool breakpoints_has(const struct breakpoints *table, uint64_t address, char type, unsigned owner);

/* Notes that the owner wants one. *first: nobody had it before, so the stub must be asked. */
struct cs_error *breakpoints_add(struct breakpoints *table, uint64_t address, char type, unsigned owner, bool *first);

/* Notes that the owner wants it no longer. Returns whether that was the last owner, so that the stub
 * must be told. False where the owner had none. */
bool breakpoints_remove(struct breakpoints *table, uint64_t address, char type, unsigned owner);

#endif
