/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer as an event timer. Names and order: FreeBSD's sys/x86/x86/local_apic.c.
 * Registers: Intel SDM volume 3, 10.5.4.
 */
#include "kernel.h"

#define LAPIC_LVT_TIMER 0x320
#define LAPIC_ICR_TIMER 0x380 /* initial count */
#define LAPIC_CCR_TIMER 0x390 /* current count */
#define LAPIC_DCR_TIMER 0x3e0 /* divide configuration */
#define LAPIC_LVTT_PERIODIC (1u << 17)
#define LAPIC_LVTT_MASKED (1u << 16)
#define APIC_TIMER_MAX_COUNT 0xffffffff

int x2apic_mode;
static unsigned long lapic_timer_divisor, count_freq; /* count_freq: Hz */

static int lapic_et_start(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns);

static struct eventtimer lapic_et = {
	.et_name = "LAPIC",
	.et_quality = 600,
	.et_start = lapic_et_start,
};

/* The divide register holds log2(divisor) - 1 in bits 0, 1 and 3; 7 stands for a divisor of 1. */
static void lapic_timer_set_divisor(u_int divisor)
{
	u_int code = (u_int)__builtin_ctz(divisor) - 1;

	lapic_write(LAPIC_DCR_TIMER, (code & 3) | (code & 4) << 1);
}

static void lapic_timer_oneshot_nointr(uint32_t count)
{
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVTT_MASKED);
	lapic_write(LAPIC_ICR_TIMER, count);
}

POLLING static uint64_t cb_lapic_getcount(void)
{
	return APIC_TIMER_MAX_COUNT - lapic_read(LAPIC_CCR_TIMER);
}

static int lapic_et_start(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns)
{
	uint32_t count = (uint32_t)(period_ns * et->et_frequency / 1000000000);

	(void)first_ns;
	interrupt_set(VECTOR_LAPIC_TIMER, et->et_event_cb);
	lapic_timer_set_divisor((u_int)lapic_timer_divisor);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVTT_PERIODIC | VECTOR_LAPIC_TIMER);
	lapic_write(LAPIC_ICR_TIMER, count);
	return 0;
}

/* The hypervisor's own word for the bus frequency. */
static bool lapic_calibrate_initcount_cpuid_vm(void)
{
	if (vm_guest == VM_GUEST_NO)
		return false;
	count_freq = (unsigned long)hypervisor_frequencies().bus_khz * 1000 / 2;
	lapic_timer_divisor = 2;
	return count_freq != 0;
}

static void lapic_calibrate_initcount(void)
{
	uint64_t freq;

	if (lapic_calibrate_initcount_cpuid_vm())
		goto done;
	lapic_timer_set_divisor(2);
	/* "lapic=stopped": an initial count of 0 really stops the timer. */
	lapic_timer_oneshot_nointr(option("lapic") ? 0 : APIC_TIMER_MAX_COUNT);
	freq = clockcalib(cb_lapic_getcount, "lapic");
	lapic_timer_divisor = 2;
	while (freq * 2 / lapic_timer_divisor >= APIC_TIMER_MAX_COUNT)
		lapic_timer_divisor *= 2;
	count_freq = freq * 2 / lapic_timer_divisor;
done:
	printf("lapic: Divisor %lu, Frequency %lu Hz\n", lapic_timer_divisor, count_freq);
}

void lapic_calibrate_timer(void)
{
	bool enabled = interrupts_disable();

	lapic_calibrate_initcount();
	interrupts_restore(enabled);
	lapic_et.et_frequency = count_freq;
}

void lapic_init(void)
{
	KASSERT((cpu_feature & CPUID_1_EDX_TSC) != 0 && tsc_freq != 0, "TSC not initialized");
	et_register(&lapic_et);
}
