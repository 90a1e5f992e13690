/* SPDX-License-Identifier: MIT */
/* The clock interrupt, and the timecounter that counts it. Order: NetBSD's sys/kern/kern_clock.c, initclocks(). */
#include "../workload.h"
#include "kernel.h"

int hz = 100;
volatile int hardclock_ticks;

static u_int get_intr_timecount(struct timecounter *tc)
{
	(void)tc;
	return (u_int)hardclock_ticks;
}

static struct timecounter intr_timecounter = {
	.tc_get_timecount = get_intr_timecount,
	.tc_counter_mask = ~0u,
	.tc_name = "clockinterrupt",
	.tc_quality = 0, /* better than dummy, worse than all else */
};

void initclocks(void)
{
	cpu_initclocks();
	intr_timecounter.tc_frequency = (uint64_t)hz;
	tc_init(&intr_timecounter);
	printf("clock: hz %d\n", hz);
}

void hardclock(struct interrupt_frame *frame)
{
	struct cpu_info *ci = curcpu();

	(void)frame;
	ci->ci_clock_interrupts++;
	if (ci != &cpu_info_primary)
		return;
	hardclock_ticks++;
	workload_tick();
	tc_ticktock();
}
