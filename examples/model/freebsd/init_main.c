/* SPDX-License-Identifier: MIT */
/* The start. Order: FreeBSD's sys/amd64/amd64/machdep.c (hammer_time) and sys/kern/init_main.c (mi_startup). */
#include "../workload.h"
#include "kernel.h"

const char ostype[] = "FreeBSD";
const char osrelease[] = "14.2-RELEASE";
const char version[] = "FreeBSD 14.2-RELEASE (CLOCKSCOPE-MODEL)";
const char kernel_banner[] = "FreeBSD 14.2-RELEASE (CLOCKSCOPE-MODEL): model guest \"freebsd\"";

void hammer_time(void);
void mi_startup(void);

static void cpu_startup(void *dummy)
{
	(void)dummy;
	startrtclock();
}

static void apic_setup_local(void *dummy)
{
	(void)dummy;
	lapic_init();
}

static void configure(void *dummy)
{
	(void)dummy;
	hpet_attach();
	acpi_timer_attach();
	attimer_attach();
	interrupts_enable();
}

/* Subsystems in FreeBSD's order: SI_SUB_CPU, SI_SUB_SMP, SI_SUB_CONFIGURE, SI_SUB_CLOCKS (sys/sys/kernel.h). */
static void (*const sysinit[])(void *) = {
	cpu_startup, apic_setup_local, mp_start, init_TSC_tc, configure, initclocks, inittimecounter, release_aps,
};

void mi_startup(void)
{
	for (size_t i = 0; i < sizeof(sysinit) / sizeof(sysinit[0]); i++)
		sysinit[i](NULL);
}

/* What runs before mi_startup(); FreeBSD's own is called by the assembly entry. */
__attribute__((noinline)) void hammer_time(void)
{
	pcpu_init(0);
	identify_cpu();
	identify_hypervisor();
	i8254_init();
	tsc_init();
}

/* Until `count` clock interrupts came, or for 0.1 s of a fast TSC where none comes. */
POLLING static void wait_for_ticks(int count)
{
	uint64_t start = rdtsc();

	while (ticks < count && rdtsc() - start < 300000000)
		cpu_relax();
}

void kernel_main(void)
{
	hz = (int)option_number("hz", 100);
	hammer_time();
	mi_startup();
	wait_for_ticks(5);
	workload_run();
	wait_for_ticks(ticks + 2);
	printf("model: timecounter \"%s\" at the end\n", timecounter->tc_name);
}
