/* SPDX-License-Identifier: MIT */
/* What other threads have the relay's thread do, one after the other. */
#ifndef CLOCKSCOPE_CALL_QUEUE_H
#define CLOCKSCOPE_CALL_QUEUE_H

#include <stdbool.h>

#include "base/error.h"
#include "relay/meeting.h"
#include "rsp/stub.h"

struct queued_call {
	struct cs_error *(*function)(struct stub *stub, void *context);
	void *context;
	struct cs_error *error;
	bool while_running; /* may run while the guest does */
	bool once_ended;    /* … or when it has ended */
	bool done;
	struct queued_call *next;
};

/* Guarded by the meeting but for the descriptors. */
struct calls {
	struct meeting *meeting;
	int wake_fd;   /* eventfd: a call is queued, or the end is near */
	int cancel_fd; /* eventfd: give the current wait up */
	struct queued_call *first;
	bool ending; /* the thread may have looked for calls for the last time */
};

/* CS_ERROR_SYSTEM without descriptors. */
struct cs_error *calls_init(struct calls *calls, struct meeting *meeting);
void calls_clear(struct calls *calls);

/* Any thread: has the call carried out, and waits for it. CS_ERROR_CLOSED once the end has been announced. */
struct cs_error *calls_make(struct calls *calls, struct queued_call *call);

/* Waits, in a meeting, for what the thread was asked to do; tells it when the wait is given up. */
void calls_wait_for(struct calls *calls, const bool *done);

/* No further call is taken. */
void calls_announce_end(struct calls *calls);
bool calls_are_ending(struct calls *calls);

/* The relay's thread: the next call, NULL where none waits; and its end. */
struct queued_call *calls_next(struct calls *calls);
void calls_finish(struct calls *calls, struct queued_call *call, struct cs_error *error);
bool calls_are_waiting(struct calls *calls);

#endif
