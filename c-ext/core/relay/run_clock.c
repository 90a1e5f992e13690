/* SPDX-License-Identifier: MIT */
#include "relay/run_clock.h"

#include "base/util.h"

void run_clock_init(struct run_clock *clock)
{
	pthread_mutex_init(&clock->lock, NULL);
}

void run_clock_clear(struct run_clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}

void run_clock_begin(struct run_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	clock->resumed_at = util_now_ns();
	if (clock->stopped_at)
		clock->statistics.stood_ns += clock->resumed_at - clock->stopped_at;
	clock->stopped_at = 0;
	for (; clock->marks_passed < clock->marks_made; clock->marks_passed++)
		clock->marks[clock->marks_passed % RELAY_MARKS] = clock->statistics;
	clock->statistics.resumes++;
	pthread_mutex_unlock(&clock->lock);
}

void run_clock_end(struct run_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	if (clock->resumed_at) {
		clock->stopped_at = util_now_ns();
		clock->statistics.run_ns += clock->stopped_at - clock->resumed_at;
	}
	clock->resumed_at = 0;
	pthread_mutex_unlock(&clock->lock);
}

void run_clock_count_passed_on(struct run_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	clock->statistics.gdb_stops++;
	pthread_mutex_unlock(&clock->lock);
}

void run_clock_count_own(struct run_clock *clock, uint64_t began)
{
	pthread_mutex_lock(&clock->lock);
	clock->statistics.own_stops++;
	clock->statistics.own_stop_ns += util_now_ns() - began;
	pthread_mutex_unlock(&clock->lock);
}

/* With the lock held. */
static uint64_t ran(const struct run_clock *clock)
{
	return clock->statistics.run_ns + (clock->resumed_at ? util_now_ns() - clock->resumed_at : 0);
}

uint64_t run_clock_ns(struct run_clock *clock)
{
	uint64_t ns;

	pthread_mutex_lock(&clock->lock);
	ns = ran(clock);
	pthread_mutex_unlock(&clock->lock);
	return ns;
}

uint64_t run_clock_since_resumed(struct run_clock *clock)
{
	uint64_t ns;

	pthread_mutex_lock(&clock->lock);
	ns = util_now_ns() - clock->resumed_at;
	pthread_mutex_unlock(&clock->lock);
	return ns;
}

void run_clock_restart(struct run_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	clock->statistics.run_ns = 0;
	clock->limit_from_ns = 0;
	if (clock->resumed_at)
		clock->resumed_at = util_now_ns();
	pthread_mutex_unlock(&clock->lock);
}

uint64_t run_clock_mark(struct run_clock *clock)
{
	uint64_t mark;

	pthread_mutex_lock(&clock->lock);
	mark = clock->marks_made++;
	pthread_mutex_unlock(&clock->lock);
	return mark;
}

bool run_clock_marked(struct run_clock *clock, uint64_t mark, struct relay_statistics *ret)
{
	bool kept;

	pthread_mutex_lock(&clock->lock);
	kept = mark < clock->marks_passed && clock->marks_made - mark <= RELAY_MARKS;
	if (kept)
		*ret = clock->marks[mark % RELAY_MARKS];
	pthread_mutex_unlock(&clock->lock);
	return kept;
}

void run_clock_set_limit(struct run_clock *clock, uint64_t nanoseconds)
{
	pthread_mutex_lock(&clock->lock);
	clock->limit_from_ns = ran(clock);
	clock->limit_ns = nanoseconds;
	pthread_mutex_unlock(&clock->lock);
}

bool run_clock_limit_is_over(struct run_clock *clock)
{
	bool over;

	pthread_mutex_lock(&clock->lock);
	over = clock->limit_ns && ran(clock) >= clock->limit_from_ns + clock->limit_ns;
	pthread_mutex_unlock(&clock->lock);
	return over;
}

void run_clock_statistics(struct run_clock *clock, struct relay_statistics *ret)
{
	pthread_mutex_lock(&clock->lock);
	*ret = clock->statistics;
	ret->run_ns = ran(clock);
	pthread_mutex_unlock(&clock->lock);
}
