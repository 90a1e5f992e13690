/* SPDX-License-Identifier: MIT */
#include "relay/ticks.h"

void ticks_init(struct ticks *ticks)
{
	pthread_mutex_init(&ticks->lock, NULL);
}

void ticks_clear(struct ticks *ticks)
{
	pthread_mutex_destroy(&ticks->lock);
}

void ticks_add(struct ticks *ticks, struct relay_tick *tick)
{
	pthread_mutex_lock(&ticks->lock);
	tick->next = ticks->first;
	ticks->first = tick;
	pthread_mutex_unlock(&ticks->lock);
}

void ticks_remove(struct ticks *ticks, struct relay_tick *tick)
{
	struct relay_tick **at = &ticks->first;

	pthread_mutex_lock(&ticks->lock);
	while (*at && *at != tick)
		at = &(*at)->next;
	if (*at)
		*at = tick->next;
	pthread_mutex_unlock(&ticks->lock);
}

void ticks_run(struct ticks *ticks)
{
	pthread_mutex_lock(&ticks->lock);
	for (const struct relay_tick *tick = ticks->first; tick; tick = tick->next)
		tick->call(tick->context);
	pthread_mutex_unlock(&ticks->lock);
}
