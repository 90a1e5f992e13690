/* SPDX-License-Identifier: MIT */
/* Whether the guest runs, and why there is none any more: set by the relay's thread, read by any. */
#ifndef CLOCKSCOPE_GUEST_STATE_H
#define CLOCKSCOPE_GUEST_STATE_H

#include <pthread.h>

enum relay_state {
	RELAY_STOPPED, /* the guest stands; requests are possible */
	RELAY_RUNNING,
	RELAY_EXITED, /* the guest ended; the stub may still be there */
	RELAY_CLOSED, /* no connection any more */
};

struct guest_state {
	pthread_mutex_t lock; /* none other is taken while it is held */
	enum relay_state now;
	char *reason; /* why the connection ended; NULL while it stands */
};

void guest_state_init(struct guest_state *state);
void guest_state_clear(struct guest_state *state);

enum relay_state guest_state_get(struct guest_state *state);
void guest_state_set(struct guest_state *state, enum relay_state to);

/* There is no connection any more. The reason that was given first counts; a guest that ended before has ended. */
void guest_state_end(struct guest_state *state, enum relay_state to, const char *reason);

/* malloc'd; empty while the connection stands, NULL without memory. */
char *guest_state_reason(struct guest_state *state);

#endif
