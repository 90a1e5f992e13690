/* SPDX-License-Identifier: MIT */
/*
 * The i8254: rate generator on channel 0, delays, and a timecounter. Names: NetBSD's sys/arch/x86/isa/clock.c.
 * Device: Intel 8254 data sheet (231164), control word and counter latch.
 */
#include "kernel.h"

#define COUNTER_0 0x40
#define MODE 0x43
#define MODE_RATE_GENERATOR 0x34 /* counter 0, low byte then high byte, mode 2 */
#define MODE_LATCH 0x00          /* counter 0 */

POLLING static void i8254_delay(unsigned usec);

unsigned long x86_rtclock_tval; /* reload value */
void (*delay_func)(unsigned usec) = i8254_delay;
void (*x86_initclock_func)(void) = i8254_initclocks;

static uint32_t i8254_offset, i8254_lastcount;

POLLING unsigned gettick(void)
{
	bool enabled = interrupts_disable();
	unsigned low, high;

	outb(MODE, MODE_LATCH);
	low = inb(COUNTER_0);
	high = inb(COUNTER_0);
	interrupts_restore(enabled);
	return high << 8 | low;
}

POLLING static u_int i8254_get_timecount(struct timecounter *tc)
{
	bool enabled = interrupts_disable();
	uint32_t count = (uint32_t)x86_rtclock_tval - gettick();

	(void)tc;
	if (count < i8254_lastcount)
		i8254_offset += (uint32_t)x86_rtclock_tval;
	i8254_lastcount = count;
	count += i8254_offset;
	interrupts_restore(enabled);
	return count;
}

static struct timecounter i8254_timecounter = {
	.tc_get_timecount = i8254_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_frequency = TIMER_FREQ,
	.tc_name = "i8254",
	.tc_quality = 100,
};

void initrtclock(unsigned long tval)
{
	outb(MODE, MODE_RATE_GENERATOR);
	outb(COUNTER_0, (uint8_t)tval);
	outb(COUNTER_0, (uint8_t)(tval >> 8));
	x86_rtclock_tval = tval ? tval : 0x10000;
}

/* Absent ports read as ones, so the count never moves. */
POLLING bool i8254_present(void)
{
	unsigned first = gettick();

	for (int i = 0; i < 1000; i++)
		if (gettick() != first)
			return true;
	return false;
}

void startrtclock(void)
{
	initrtclock((unsigned long)(TIMER_FREQ + hz / 2) / (unsigned)hz);
	if (!i8254_present()) {
		printf("clock: no i8254 answers\n");
		return;
	}
	tc_init(&i8254_timecounter);
	printf("clock: i8254 counts from %lu\n", x86_rtclock_tval);
}

/* How far the counter went from earlier to now, through at most one reload. */
static unsigned ticks_between(unsigned earlier, unsigned now)
{
	return now > earlier ? (unsigned)x86_rtclock_tval - (now - earlier) : earlier - now;
}

POLLING static void i8254_delay(unsigned usec)
{
	int64_t left = (int64_t)usec * TIMER_FREQ / 1000000;
	unsigned earlier = gettick();

	while (left > 0) {
		unsigned now = gettick();

		left -= ticks_between(earlier, now);
		earlier = now;
	}
}

static void clockintr(struct interrupt_frame *frame)
{
	hardclock(frame);
}

void i8254_initclocks(void)
{
	interrupt_set(VECTOR_PIT, clockintr);
	interrupt_unmask_pit(true);
}

void cpu_initclocks(void)
{
	(*x86_initclock_func)();
}
