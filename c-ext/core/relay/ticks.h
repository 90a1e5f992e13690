/* SPDX-License-Identifier: MIT */
/* What is called now and then by the relay's thread while the guest runs. */
#ifndef CLOCKSCOPE_TICKS_H
#define CLOCKSCOPE_TICKS_H

#include <pthread.h>

/* Called in the relay's thread about ten times a second while the guest runs, and once at the end of the connection.
 * It must not call into the relay. */
struct relay_tick {
	void (*call)(void *context);
	void *context;
	struct relay_tick *next; /* the relay's own */
};

struct ticks {
	pthread_mutex_t lock; /* guards the list, and is held while they are called */
	struct relay_tick *first;
};

void ticks_init(struct ticks *ticks);
void ticks_clear(struct ticks *ticks);
void ticks_add(struct ticks *ticks, struct relay_tick *tick);
/* It is not in use afterwards. */
void ticks_remove(struct ticks *ticks, struct relay_tick *tick);
void ticks_run(struct ticks *ticks);

#endif
