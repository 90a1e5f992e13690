/* SPDX-License-Identifier: MIT */
/*
 * Growing arrays: a pointer, how many items it holds, and how many it has room for, in the caller's own struct.
 *
 *     CS_TRY(VECTOR_ROOM(path->steps, path->count + 1, path->room));
 *     path->steps[path->count++] = step;
 */
#ifndef CLOCKSCOPE_VECTOR_H
#define CLOCKSCOPE_VECTOR_H

#include <stddef.h>

#include "base/error.h"

/* Makes `*array`, malloc'd or NULL, hold at least `wanted` items of `size` bytes, at least doubling it where it grows.
 * `*room` is how many it has room for. On CS_ERROR_NO_MEMORY all is as before. */
struct cs_error *vector_room(void *array, size_t wanted, size_t *room, size_t size);

/* The same for a typed pointer; ROOM may be of any unsigned type that holds the numbers. */
#define VECTOR_ROOM(ARRAY, WANTED, ROOM)                                                                               \
	__extension__({                                                                                                \
		size_t vector_room_ = (ROOM);                                                                          \
		struct cs_error *vector_error_ =                                                                       \
			vector_room(&(ARRAY), (WANTED), &vector_room_, sizeof(__typeof__(*(ARRAY))));                  \
		(ROOM) = (__typeof__(ROOM))vector_room_;                                                               \
		vector_error_;                                                                                         \
	})

#endif
