/* SPDX-License-Identifier: MIT */
#include "relay/call_queue.h"

#include <sys/eventfd.h>

#include "base/util.h"

struct cs_error *calls_init(struct calls *calls, struct meeting *meeting)
{
	calls->meeting = meeting;
	calls->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	calls->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (calls->wake_fd < 0 || calls->cancel_fd < 0)
		return cs_error_create(CS_ERROR_SYSTEM, "too many open files: your guest cannot be attached");
	return NULL;
}

void calls_clear(struct calls *calls)
{
	util_close_fd(&calls->wake_fd);
	util_close_fd(&calls->cancel_fd);
}

void calls_wait_for(struct calls *calls, const bool *done)
{
	while (!*done) {
		meeting_wait(calls->meeting, UINT64_MAX);
		if (!*done && meeting_is_cancelled(calls->meeting))
			eventfd_write(calls->cancel_fd, 1);
	}
}

/* In a meeting. */
static void append(struct calls *calls, struct queued_call *call)
{
	struct queued_call **last = &calls->first;

	while (*last)
		last = &(*last)->next;
	*last = call;
	eventfd_write(calls->wake_fd, 1);
}

struct cs_error *calls_make(struct calls *calls, struct queued_call *call)
{
	bool ending;
	eventfd_t count;

	meeting_begin(calls->meeting);
	ending = calls->ending;
	if (!ending) {
		append(calls, call);
		calls_wait_for(calls, &call->done);
	}
	meeting_end(calls->meeting);
	if (ending)
		return cs_error_create(CS_ERROR_CLOSED, "the connection was closed");
	eventfd_read(calls->cancel_fd, &count); /* a cancel that came too late must not hit the next call */
	return call->error;
}

void calls_announce_end(struct calls *calls)
{
	meeting_begin(calls->meeting);
	calls->ending = true;
	meeting_end(calls->meeting);
	eventfd_write(calls->wake_fd, 1);
}

bool calls_are_ending(struct calls *calls)
{
	bool ending;

	meeting_begin(calls->meeting);
	ending = calls->ending;
	meeting_end(calls->meeting);
	return ending;
}

struct queued_call *calls_next(struct calls *calls)
{
	struct queued_call *call;

	meeting_begin(calls->meeting);
	call = calls->first;
	if (call)
		calls->first = call->next;
	meeting_end(calls->meeting);
	return call;
}

void calls_finish(struct calls *calls, struct queued_call *call, struct cs_error *error)
{
	meeting_begin(calls->meeting);
	call->error = error;
	call->done = true;
	meeting_end_telling(calls->meeting);
}

bool calls_are_waiting(struct calls *calls)
{
	bool waiting;

	meeting_begin(calls->meeting);
	waiting = calls->first != NULL;
	meeting_end(calls->meeting);
	return waiting;
}
