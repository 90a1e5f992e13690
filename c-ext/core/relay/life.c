/* SPDX-License-Identifier: MIT */
#include "relay/life.h"

#include <stddef.h>

#include "base/util.h"

void life_init(struct life *life)
{
	pthread_mutex_init(&life->lock, NULL);
}

void life_clear(struct life *life)
{
	pthread_mutex_destroy(&life->lock);
}

bool life_wait_for_end(struct life *life, struct relay_retired *retired)
{
	bool waits;

	pthread_mutex_lock(&life->lock);
	waits = !life->ended;
	if (waits) {
		retired->next = life->retired;
		life->retired = retired;
	}
	pthread_mutex_unlock(&life->lock);
	return waits;
}

void life_end(struct life *life)
{
	struct relay_retired *retired;

	pthread_mutex_lock(&life->lock);
	life->ended = true;
	retired = TAKE_PTR(life->retired);
	pthread_mutex_unlock(&life->lock);
	while (retired) {
		struct relay_retired *next = retired->next;

		retired->release(retired->context);
		retired = next;
	}
}
