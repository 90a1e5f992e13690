/* SPDX-License-Identifier: MIT */
#include "relay/guest_state.h"

#include <stdlib.h>
#include <string.h>

void guest_state_init(struct guest_state *state)
{
	pthread_mutex_init(&state->lock, NULL);
}

void guest_state_clear(struct guest_state *state)
{
	pthread_mutex_destroy(&state->lock);
	free(state->reason);
	state->reason = NULL;
}

enum relay_state guest_state_get(struct guest_state *state)
{
	enum relay_state now;

	pthread_mutex_lock(&state->lock);
	now = state->now;
	pthread_mutex_unlock(&state->lock);
	return now;
}

void guest_state_set(struct guest_state *state, enum relay_state to)
{
	pthread_mutex_lock(&state->lock);
	state->now = to;
	/* Who sees the state may ask for the reason before the stub has closed the connection. */
	if (to == RELAY_EXITED && !state->reason)
		state->reason = strdup("the guest ended");
	pthread_mutex_unlock(&state->lock);
}

void guest_state_end(struct guest_state *state, enum relay_state to, const char *reason)
{
	pthread_mutex_lock(&state->lock);
	if (state->now != RELAY_EXITED)
		state->now = to;
	if (!state->reason)
		state->reason = strdup(reason);
	pthread_mutex_unlock(&state->lock);
}

char *guest_state_reason(struct guest_state *state)
{
	char *copy;

	pthread_mutex_lock(&state->lock);
	copy = strdup(state->reason ? state->reason : "");
	pthread_mutex_unlock(&state->lock);
	return copy;
}
