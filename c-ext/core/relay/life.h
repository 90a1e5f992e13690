/* SPDX-License-Identifier: MIT */
/* What waits for a relay's end: the owners of probes that the guest may still meet. */
#ifndef CLOCKSCOPE_LIFE_H
#define CLOCKSCOPE_LIFE_H

#include <pthread.h>
#include <stdbool.h>

/* What probes belong to, at its end. Embed it in that. */
struct relay_retired {
	void (*release)(void *context);
	void *context;
	struct relay_retired *next; /* the relay's own */
};

struct life {
	pthread_mutex_t lock;
	bool ended; /* the thread is no more: no probe is hit again */
	struct relay_retired *retired;
};

void life_init(struct life *life);
void life_clear(struct life *life);

/* False where it need not wait, for the end has come. */
bool life_wait_for_end(struct life *life, struct relay_retired *retired);

/* No probe is hit any more: releases all that wait. */
void life_end(struct life *life);

#endif
