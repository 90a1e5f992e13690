/* SPDX-License-Identifier: MIT */
#include "relay/meeting.h"

#include <time.h>

#include "base/util.h"

#define WAIT_NS 50000000 /* between two looks at whether a wait was given up */

void meeting_init(struct meeting *meeting, bool (*cancelled)(void))
{
	pthread_condattr_t attributes;

	meeting->cancelled = cancelled;
	pthread_mutex_init(&meeting->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&meeting->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void meeting_clear(struct meeting *meeting)
{
	pthread_cond_destroy(&meeting->changed);
	pthread_mutex_destroy(&meeting->lock);
}

void meeting_begin(struct meeting *meeting)
{
	pthread_mutex_lock(&meeting->lock);
}

void meeting_end(struct meeting *meeting)
{
	pthread_mutex_unlock(&meeting->lock);
}

void meeting_end_telling(struct meeting *meeting)
{
	pthread_cond_broadcast(&meeting->changed);
	pthread_mutex_unlock(&meeting->lock);
}

void meeting_wait(struct meeting *meeting, uint64_t deadline)
{
	uint64_t until = util_now_ns() + WAIT_NS;
	struct timespec when;

	if (deadline < until)
		until = deadline;
	when = (struct timespec){.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
	pthread_cond_timedwait(&meeting->changed, &meeting->lock, &when);
}

bool meeting_is_cancelled(struct meeting *meeting)
{
	bool is;

	pthread_mutex_unlock(&meeting->lock);
	is = meeting->cancelled && meeting->cancelled();
	pthread_mutex_lock(&meeting->lock);
	return is;
}
