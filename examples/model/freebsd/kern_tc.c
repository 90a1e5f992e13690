/* SPDX-License-Identifier: MIT */
/* Timecounters: registration and choice. Rules: FreeBSD's sys/kern/kern_tc.c, tc_init(). */
#include "kernel.h"

POLLING static u_int dummy_get_timecount(struct timecounter *tc)
{
	static u_int now;

	(void)tc;
	return ++now;
}

static struct timecounter dummy_timecounter = {
	.tc_get_timecount = dummy_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_frequency = 1000000,
	.tc_name = "dummy",
	.tc_quality = -1000000,
};

struct timecounter *timecounter = &dummy_timecounter;
struct timecounter *timecounters = &dummy_timecounter;

/* The counter that the time of day is read from; follows `timecounter` at the next tick. */
static struct timehands {
	struct timecounter *th_counter;
	u_int th_offset_count;
	uint64_t th_offset; /* counts since the boot, over all counters */
} timehands = {.th_counter = &dummy_timecounter};

static void tc_windup(void)
{
	struct timehands *th = &timehands;
	u_int now = th->th_counter->tc_get_timecount(th->th_counter);

	th->th_offset += (now - th->th_offset_count) & th->th_counter->tc_counter_mask;
	th->th_offset_count = now;
	if (th->th_counter == timecounter)
		return;
	th->th_counter = timecounter;
	th->th_offset_count = timecounter->tc_get_timecount(timecounter);
}

void inittimecounter(void *dummy)
{
	(void)dummy;
	tc_windup();
}

/* A counter that wraps between two ticks cannot keep time: 10% of margin. */
static bool tc_wraps_too_fast(const struct timecounter *tc)
{
	uint64_t wraps = tc->tc_frequency / tc->tc_counter_mask * 11 / 10;

	return wraps > (uint64_t)hz;
}

static bool tc_is_better(const struct timecounter *tc)
{
	if (tc->tc_quality < 0 || tc->tc_quality < timecounter->tc_quality)
		return false;
	return tc->tc_quality > timecounter->tc_quality || tc->tc_frequency >= timecounter->tc_frequency;
}

void tc_init(struct timecounter *tc)
{
	if (tc->tc_quality >= 0 && tc_wraps_too_fast(tc)) {
		tc->tc_quality = -2000;
		printf("Timecounter \"%s\" frequency %lu Hz -- Insufficient hz\n", tc->tc_name, tc->tc_frequency);
	} else {
		printf("Timecounter \"%s\" frequency %lu Hz quality %d\n", tc->tc_name, tc->tc_frequency,
		       tc->tc_quality);
	}
	tc->tc_next = timecounters;
	timecounters = tc;
	if (!tc_is_better(tc))
		return;
	printf("model: timecounter is now \"%s\", was \"%s\"\n", tc->tc_name, timecounter->tc_name);
	tc->tc_get_timecount(tc);
	timecounter = tc;
}

void tc_ticktock(int count)
{
	(void)count;
	tc_windup();
}
