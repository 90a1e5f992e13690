/* SPDX-License-Identifier: MIT */
#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 16u

struct cs_error *vector_room(void *array, size_t wanted, size_t *room, size_t size)
{
	size_t grown_room = *room > ROOM_MIN / 2 ? *room * 2 : ROOM_MIN;
	void *grown;

	if (wanted <= *room)
		return NULL;
	if (grown_room < wanted)
		grown_room = wanted;
	memcpy(&grown, array, sizeof(grown));
	grown = reallocarray(grown, grown_room, size);
	if (!grown)
		return &cs_error_no_memory;
	memcpy(array, &grown, sizeof(grown));
	*room = grown_room;
	return NULL;
}
