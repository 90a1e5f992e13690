/* SPDX-License-Identifier: MIT */
/* The clock interrupt. Order: FreeBSD's sys/kern/kern_clock.c and kern_clocksource.c. */
#include "../workload.h"
#include "kernel.h"

int hz = 100;
volatile int ticks;
static struct eventtimer *timer;

void initclocks(void *dummy)
{
	(void)dummy;
	cpu_initclocks();
	printf("model: clocks initialized, hz %d\n", hz);
}

static void hardclock(int count)
{
	ticks += count;
	workload_tick();
	tc_ticktock(count);
}

static void hardclockintr(struct interrupt_frame *frame)
{
	struct pcpu *pcpu = get_pcpu();

	(void)frame;
	pcpu->pc_clock_interrupts++;
	if (pcpu->pc_cpuid == 0)
		hardclock(1);
}

static void timer_start(void)
{
	uint64_t period_ns = 1000000000 / (uint64_t)hz;

	et_start(timer, period_ns, period_ns);
}

void cpu_initclocks_bsp(void)
{
	timer = et_find();
	if (!timer) {
		printf("model: no event timer: the clock does not tick\n");
		return;
	}
	et_init(timer, hardclockintr);
	timer_start();
}

/* Each processor starts its own; the i8254 is there but once. */
void cpu_initclocks_ap(void)
{
	if (timer && string_equal(timer->et_name, "LAPIC"))
		timer_start();
}
