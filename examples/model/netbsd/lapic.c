/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: calibrated twice, then the clock interrupt and a timecounter.
 * Names and order: NetBSD's sys/arch/x86/x86/lapic.c (1.85 and later). Registers: Intel SDM volume 3, 10.5.4.
 */
#include "kernel.h"

#define LAPIC_LVT_TIMER 0x320
#define LAPIC_ICR_TIMER 0x380 /* initial count */
#define LAPIC_CCR_TIMER 0x390 /* current count */
#define LAPIC_DCR_TIMER 0x3e0 /* divide configuration */
#define LAPIC_DCRT_DIV1 0x0b
#define LAPIC_LVT_MASKED (1u << 16)
#define LAPIC_LVT_TMM_PERIODIC (1u << 17)
#define CALIBRATION_COUNT 0x80000000

bool x2apic_mode; /* nothing here ever writes it: a question for `clock writers` */
bool lapic_from_cpuid;
uint32_t lapic_tval;
uint32_t lapic_per_second;
uint64_t lapic_frac_cycle_per_usec; /* 32.32 fixed point */
uint32_t lapic_delaytab[26];
static bool lapic_broken_periodic;

static uint32_t lapic_gettick(void)
{
	return lapic_read(LAPIC_CCR_TIMER);
}

static u_int lapic_get_timecount(struct timecounter *tc)
{
	(void)tc;
	return curcpu()->ci_lapic_counter - lapic_gettick();
}

static struct timecounter lapic_timecounter = {
	.tc_get_timecount = lapic_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_name = "lapic",
	.tc_quality = -100, /* of a MULTIPROCESSOR kernel: each processor has its own */
};

static void lapic_clockintr(struct interrupt_frame *frame)
{
	curcpu()->ci_lapic_counter += lapic_tval;
	hardclock(frame);
}

static void lapic_start(uint32_t lvt, uint32_t count)
{
	lapic_write(LAPIC_LVT_TIMER, lvt | LAPIC_LVT_MASKED);
	lapic_write(LAPIC_DCR_TIMER, LAPIC_DCRT_DIV1);
	lapic_write(LAPIC_ICR_TIMER, count);
}

static void lapic_reset(void)
{
	lapic_start(LAPIC_LVT_TMM_PERIODIC | VECTOR_LAPIC_TIMER, lapic_tval);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_TMM_PERIODIC | VECTOR_LAPIC_TIMER);
}

static void lapic_initclock(void)
{
	if (curcpu() == &cpu_info_primary) {
		if (!lapic_from_cpuid)
			lapic_calibrate_timer(true);
		lapic_timecounter.tc_frequency = lapic_per_second;
		tc_init(&lapic_timecounter);
		interrupt_set(VECTOR_LAPIC_TIMER, lapic_clockintr);
	}
	lapic_reset();
}

POLLING static void lapic_delay(unsigned usec)
{
	int64_t left = usec < 26 ? lapic_delaytab[usec] : (int64_t)((lapic_frac_cycle_per_usec * usec) >> 32);
	uint32_t earlier = lapic_gettick();

	while (left > 0) {
		uint32_t now = lapic_gettick();

		if (lapic_broken_periodic && now == 0 && earlier == 0) {
			lapic_reset();
			now = lapic_gettick();
		}
		left -= now > earlier ? lapic_tval - (now - earlier) : earlier - now;
		earlier = now;
		cpu_relax();
	}
}

/* First pass: 10 ms of the i8254. Returns Hz; 0 where either counter stands still. */
POLLING static uint32_t measure_against_i8254(void)
{
	unsigned seen = 0, initial_i8254;
	uint32_t initial_lapic, elapsed;

	if (!i8254_present())
		return 0;
	initial_lapic = lapic_gettick();
	initial_i8254 = gettick();
	while (seen < TIMER_FREQ / 100) {
		unsigned now = gettick();

		seen += now > initial_i8254 ? (unsigned)x86_rtclock_tval - (now - initial_i8254) : initial_i8254 - now;
		initial_i8254 = now;
	}
	elapsed = initial_lapic - lapic_gettick();
	return (uint32_t)(((uint64_t)elapsed * TIMER_FREQ + seen / 2) / seen);
}

#define LAPIC_CAL_LOOPS 10

static int lapic_cal_loops;
static uint32_t lapic_cal_t1, lapic_cal_t2;

static void lapic_cal_handler(struct interrupt_frame *frame)
{
	uint32_t now = lapic_gettick();

	(void)frame;
	switch (lapic_cal_loops++) {
	case 0: lapic_cal_t1 = now; break;
	case LAPIC_CAL_LOOPS: lapic_cal_t2 = now; break;
	}
}

/* "calibrate=ticks": as Linux 3.10 does in setup_boot_APIC_clock(). The clock's interrupt reads the timer, while this
 * loop waits for so many of them. */
static uint32_t measure_by_ticks(void)
{
	uint64_t elapsed;

	if (!i8254_present())
		return 0;
	lapic_cal_loops = -1; /* an interrupt may be due already */
	interrupt_set(VECTOR_PIT, lapic_cal_handler);
	interrupt_unmask_pit(true);
	interrupts_enable();
	while (lapic_cal_loops <= LAPIC_CAL_LOOPS)
		cpu_relax();
	interrupts_disable();
	interrupt_unmask_pit(false);
	elapsed = (uint64_t)(lapic_cal_t1 - lapic_cal_t2) * TIMER_FREQ;
	return (uint32_t)(elapsed / (LAPIC_CAL_LOOPS * x86_rtclock_tval));
}

/* Second pass: 50 ms of the TSC, read on both sides of the timer's count. */
static uint32_t measure_against_tsc(void)
{
	uint64_t t0, t1, hertz;
	uint32_t l0, l1;

	t0 = rdtsc();
	l0 = lapic_gettick();
	t0 += rdtsc();
	DELAY(50000);
	t1 = rdtsc();
	l1 = lapic_gettick();
	t1 += rdtsc();
	hertz = (uint64_t)(l0 - l1) * cpu_frequency(curcpu()) / ((t1 - t0 + 1) / 2);
	return (uint32_t)((hertz + 500) / 1000 * 1000);
}

static void derive_from_frequency(void)
{
	lapic_tval = (lapic_per_second + (uint32_t)hz / 2) / (uint32_t)hz;
	lapic_start(LAPIC_LVT_TMM_PERIODIC | VECTOR_LAPIC_TIMER, lapic_tval);
	lapic_frac_cycle_per_usec = ((uint64_t)lapic_per_second << 32) / 1000000;
	for (uint32_t usec = 0; usec < 26; usec++)
		lapic_delaytab[usec] = (uint32_t)((lapic_frac_cycle_per_usec * usec) >> 32);
}

void lapic_calibrate_timer(bool secondpass)
{
	bool enabled = interrupts_disable();
	const char *how = "not calibrated, told by CPUID", *wanted = "";

	option_value("calibrate", &wanted);
	/* "lapic=stopped": an initial count of 0 really stops the timer. */
	lapic_start(0, option("lapic") ? 0 : CALIBRATION_COUNT);
	if (secondpass && cpu_hascounter()) {
		how = "second pass, against the TSC";
		lapic_per_second = measure_against_tsc();
	} else if (lapic_per_second == 0 && list_has(wanted, "ticks")) {
		how = "first pass, against the clock's interrupt";
		lapic_per_second = measure_by_ticks();
	} else if (lapic_per_second == 0) {
		how = "first pass, against the i8254";
		lapic_per_second = measure_against_i8254();
	}
	interrupts_restore(enabled);
	printf("cpu0: local timer: %s: %u Hz\n", how, lapic_per_second);
	if (lapic_per_second == 0)
		return;
	derive_from_frequency();
	if (vm_guest == VM_GUEST_KVM) {
		lapic_broken_periodic = true;
		lapic_timecounter.tc_quality = -100;
		printf("cpu0: applying KVM timer workaround\n");
	}
	if (!secondpass) {
		delay_func = lapic_delay;
		x86_initclock_func = lapic_initclock;
		initrtclock(0);
	}
}
