/* SPDX-License-Identifier: MIT */
/* The other processors. Names: FreeBSD's sys/amd64/amd64/mp_machdep.c and sys/x86/x86/mp_x86.c. */
#include "../workload.h"
#include "kernel.h"

int mp_ncpus = 1;
static struct pcpu pcpus[MAX_CPUS];
static volatile unsigned aps_ready;

void pcpu_init(u_int cpu)
{
	pcpus[cpu].pc_prvspace = &pcpus[cpu];
	pcpus[cpu].pc_cpuid = cpu;
	wrmsr(MSR_GS_BASE, (uint64_t)&pcpus[cpu]);
}

static void delay(unsigned usec)
{
	DELAY((int)usec);
}

static void start_ap(u_int cpu)
{
	machine_start_cpu(cpu, delay);
	while (!pcpus[cpu].pc_started)
		cpu_relax();
	printf("SMP: AP CPU #%u Launched!\n", cpu);
}

void mp_start(void *dummy)
{
	(void)dummy;
	for (u_int cpu = 1; cpu < machine_cpu_count(); cpu++) {
		start_ap(cpu);
		mp_ncpus++;
	}
}

/* Comes up, waits until the boot processor has initialised the clocks, and starts its own timer. */
static void init_secondary(u_int cpu)
{
	pcpu_init(cpu);
	pcpus[cpu].pc_started = true;
	machine_sleep_until(&aps_ready, 1);
	cpu_initclocks_ap();
}

void release_aps(void *dummy)
{
	(void)dummy;
	aps_ready = 1;
	machine_wake_others();
}

void kernel_main_secondary(unsigned cpu)
{
	init_secondary(cpu);
	workload_serve(cpu);
}
