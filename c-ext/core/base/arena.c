/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 65536

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

void arena_release(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
	struct arena_block *block = NULL;

	if (size <= arena->limit - arena->used)
		block = calloc(1, sizeof(*block) + size);
	if (!block) {
		arena->exhausted = true;
		return NULL;
	}
	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->used += size;
	return block;
}

void *arena_allocate(struct arena *arena, size_t size)
{
	size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *block = arena->blocks;
	void *memory;

	if (!block || block->size - block->used < rounded)
		block = add_block(arena, rounded > BLOCK_SIZE ? rounded : BLOCK_SIZE);
	if (!block)
		return NULL;
	memory = block->data + block->used;
	block->used += rounded;
	return memory;
}

const char *arena_copy(struct arena *arena, const void *data, size_t length)
{
	char *copy = arena_allocate(arena, length + 1);

	if (!copy)
		return "";
	if (length)
		memcpy(copy, data, length);
	return copy;
}

void *arena_append(struct arena *arena, void **array, size_t *count, size_t size)
{
	/* Room for the next power of two; the array is full whenever the count is one. */
	if ((*count & (*count - 1)) == 0) {
		void *larger = arena_allocate(arena, (*count ? 2 * *count : 1) * size);

		if (!larger)
			return NULL;
		if (*count)
			memcpy(larger, *array, *count * size);
		*array = larger;
	}
	return (unsigned char *)*array + (*count)++ * size;
}
