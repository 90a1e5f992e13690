/* SPDX-License-Identifier: MIT */
/* Processors: attached, started, let go. Names and order: NetBSD's sys/arch/x86/x86/cpu.c. */
#include "../workload.h"
#include "kernel.h"

struct cpu_info cpu_info_primary = {.ci_self = &cpu_info_primary};
static struct cpu_info cpu_info_secondary[MAX_CPUS];

static struct cpu_info *cpu_lookup(unsigned index)
{
	return index == 0 ? &cpu_info_primary : &cpu_info_secondary[index];
}

static void cpu_set_current(struct cpu_info *ci)
{
	ci->ci_self = ci;
	wrmsr(MSR_GS_BASE, (uint64_t)ci);
}

void cpu_init_first(void)
{
	cpu_set_current(&cpu_info_primary);
	cpu_probe(&cpu_info_primary);
	identify_hypervisor();
}

POLLING static void cpu_wait_flag(struct cpu_info *ci, unsigned flag)
{
	while (!(ci->ci_flags & flag))
		cpu_relax();
}

static void cpu_set_flag(struct cpu_info *ci, unsigned flag)
{
	__atomic_or_fetch(&ci->ci_flags, flag, __ATOMIC_SEQ_CST);
}

static void cpu_start_secondary(struct cpu_info *ci)
{
	machine_start_cpu(ci->ci_index, delay_func);
	cpu_wait_flag(ci, CPUF_PRESENT);
	printf("cpu%u: started\n", ci->ci_index);
}

void cpu_attach(unsigned index)
{
	struct cpu_info *ci = cpu_lookup(index);

	ci->ci_index = index;
	if (index == 0) {
		cpu_get_tsc_freq(ci);
		lapic_calibrate_timer(false);
	} else {
		ci->ci_data.cpu_cc_freq = cpu_info_primary.ci_data.cpu_cc_freq;
		cpu_start_secondary(ci);
	}
}

/* Where a secondary processor comes up. */
static void cpu_hatch(struct cpu_info *ci)
{
	cpu_set_flag(ci, CPUF_PRESENT);
	machine_sleep_until(&ci->ci_flags, CPUF_GO);
	tsc_sync_ap(ci);
	cpu_initclocks();
	cpu_set_flag(ci, CPUF_RUNNING);
}

void kernel_main_secondary(unsigned cpu)
{
	struct cpu_info *ci = cpu_lookup(cpu);

	cpu_set_current(ci);
	cpu_hatch(ci);
	workload_serve(cpu);
}

void cpu_boot_secondary_processors(void)
{
	for (unsigned i = 1; i < machine_cpu_count(); i++) {
		struct cpu_info *ci = cpu_lookup(i);

		cpu_set_flag(ci, CPUF_GO);
		machine_wake_others();
		tsc_sync_bp(ci);
		/* TCG's processors are threads: their readings show the host's scheduling, not a drift. */
		tsc_sync_drift((int64_t)option_number("tsc_drift", 0));
		cpu_wait_flag(ci, CPUF_RUNNING);
		printf("cpu%u: running\n", i);
	}
	/* Now that the TSC is known, attach its timecounter. */
	tsc_tc_init();
	printf("model: %u processors\n", machine_cpu_count());
}
