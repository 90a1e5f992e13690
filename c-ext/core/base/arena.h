/* SPDX-License-Identifier: MIT */
/*
 * Memory that is released all at once. It has a limit, since what fills it may come from a hostile file.
 *
 * Running out (of memory, or of the limit) is remembered in `exhausted`, so that a caller may allocate
 * many small things and look once.
 */
#ifndef CLOCKSCOPE_ARENA_H
#define CLOCKSCOPE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* the newest first */
	size_t used;                /* bytes in all blocks */
	size_t limit;
	bool exhausted;
};

/* An arena is `struct arena a = {.limit = BYTES};`. Releases all that was allocated. */
void arena_release(struct arena *arena);

/* SIZE zeroed bytes, aligned for any type; NULL when exhausted. */
void *arena_allocate(struct arena *arena, size_t size);

/* A copy of LENGTH bytes with a NUL after them; "" when exhausted. Never NULL. */
const char *arena_copy(struct arena *arena, const void *data, size_t length);

/* A new, zeroed element at the end of *ARRAY, which holds *COUNT elements of SIZE bytes; NULL when
 * exhausted. *ARRAY begins as NULL with a count of 0, and may move. */
void *arena_append(struct arena *arena, void **array, size_t *count, size_t size);

#endif
