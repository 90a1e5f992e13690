/* SPDX-License-Identifier: MIT */
/*
 * The i8254: delays, a timecounter and an event timer. Names: FreeBSD's sys/x86/isa/clock.c.
 * Device: Intel 8254 data sheet (231164).
 */
#include "kernel.h"

#define COUNTER_0 0x40
#define MODE 0x43
#define MODE_RATE_GENERATOR 0x34 /* counter 0, low byte then high byte, mode 2 */
#define MODE_LATCH 0x00

static u_int i8254_max_count;
static u_int i8254_offset, i8254_lastcount;

POLLING static u_int getit(void)
{
	bool enabled = interrupts_disable();
	u_int low, high;

	outb(MODE, MODE_LATCH);
	low = inb(COUNTER_0);
	high = inb(COUNTER_0);
	interrupts_restore(enabled);
	return high << 8 | low;
}

static void set_i8254_freq(u_int count)
{
	outb(MODE, MODE_RATE_GENERATOR);
	outb(COUNTER_0, (uint8_t)count);
	outb(COUNTER_0, (uint8_t)(count >> 8));
	i8254_max_count = count ? count : 0x10000;
}

void i8254_init(void)
{
	set_i8254_freq(0);
}

/* Absent ports read as ones, so the count never moves. */
POLLING bool i8254_present(void)
{
	u_int first = getit();

	for (int i = 0; i < 1000; i++)
		if (getit() != first)
			return true;
	return false;
}

/* Spins where there is no i8254 that counts, so that nobody waits for ever. */
POLLING void DELAY(int usec)
{
	int64_t left = (int64_t)usec * TIMER_FREQ / 1000000;
	u_int earlier = getit();

	if (!i8254_present()) {
		for (int i = 0; i < usec; i++)
			cpu_relax();
		return;
	}
	while (left > 0) {
		u_int now = getit();

		left -= now > earlier ? i8254_max_count - (now - earlier) : earlier - now;
		earlier = now;
	}
}

void startrtclock(void)
{
	start_TSC();
}

POLLING static u_int i8254_get_timecount(struct timecounter *tc)
{
	bool enabled = interrupts_disable();
	u_int count = i8254_max_count - getit();

	(void)tc;
	if (count < i8254_lastcount)
		i8254_offset += i8254_max_count;
	i8254_lastcount = count;
	count += i8254_offset;
	interrupts_restore(enabled);
	return count;
}

static struct timecounter i8254_timecounter = {
	.tc_get_timecount = i8254_get_timecount,
	.tc_counter_mask = 0xffff,
	.tc_frequency = TIMER_FREQ,
	.tc_name = "i8254",
	.tc_quality = 0,
};

static int attimer_start(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns)
{
	(void)first_ns;
	set_i8254_freq((u_int)(period_ns * TIMER_FREQ / 1000000000));
	interrupt_set(VECTOR_PIT, et->et_event_cb);
	interrupt_unmask_pit(true);
	return 0;
}

static struct eventtimer attimer_et = {
	.et_name = "i8254",
	.et_quality = 100,
	.et_frequency = TIMER_FREQ,
	.et_start = attimer_start,
};

void attimer_attach(void)
{
	if (!i8254_present()) {
		printf("attimer0: no counter answers\n");
		return;
	}
	tc_init(&i8254_timecounter);
	et_register(&attimer_et);
}

void cpu_initclocks(void)
{
	tsc_calibrate();
	lapic_calibrate_timer();
	cpu_initclocks_bsp();
}
