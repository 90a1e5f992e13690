/* SPDX-License-Identifier: MIT */
/*
 * What the processor and the hypervisor say of themselves. Names: NetBSD's sys/arch/x86/x86/identcpu.c and
 * cpu.c. Leaves: Intel SDM volume 2, CPUID; VMware's "Mechanisms to determine if software is running in a VM".
 */
#include "kernel.h"

#define CPUID_1_ECX_HYPERVISOR (1u << 31)

enum vm_guest vm_guest;
int cpuid_level;
uint32_t cpu_feature[2];

void cpu_probe(struct cpu_info *ci)
{
	struct cpuid_registers r = cpuid(0);

	cpuid_level = (int)r.eax;
	r = cpuid(1);
	ci->ci_signature = r.eax;
	cpu_feature[0] = r.edx;
	cpu_feature[1] = r.ecx;
}

void identify_hypervisor(void)
{
	const char *word;

	if (cpu_feature[1] & CPUID_1_ECX_HYPERVISOR) {
		switch (cpuid(0x40000000).ebx) {
		case 0x4b4d564b: vm_guest = VM_GUEST_KVM; break;    /* "KVMK" */
		case 0x61774d56: vm_guest = VM_GUEST_VMWARE; break; /* "VMwa" */
		default: vm_guest = VM_GUEST_VM; break;
		}
	}
	/* TCG cannot present itself as another; the word lets the others' branches be taken on it. */
	if (!option_value("vm_guest", &word))
		return;
	if (list_has(word, "kvm"))
		vm_guest = VM_GUEST_KVM;
	else if (list_has(word, "vmware"))
		vm_guest = VM_GUEST_VMWARE;
}

/* Of the next two none is inlined: whether it was called is a question that one asks. */

/* Leaf 0x15: crystal clock and ratio. Also the LAPIC timer's frequency, which runs on the crystal. */
__attribute__((noinline)) uint64_t tsc_freq_cpuid(struct cpu_info *ci)
{
	struct cpuid_registers r = cpuid(0x15);

	(void)ci;
	if (r.eax == 0 || r.ebx == 0 || r.ecx == 0)
		return 0;
	lapic_per_second = r.ecx;
	return (uint64_t)r.ecx * r.ebx / r.eax;
}

__attribute__((noinline)) uint64_t tsc_freq_vmware_cpuid(struct cpu_info *ci)
{
	struct hypervisor_frequencies told = hypervisor_frequencies();

	(void)ci;
	if (told.tsc_khz == 0 || told.bus_khz == 0)
		return 0;
	lapic_per_second = told.bus_khz * 1000;
	lapic_from_cpuid = true;
	return (uint64_t)told.tsc_khz * 1000;
}

static uint64_t measure_against_delay(void)
{
	uint64_t before = rdtsc();

	DELAY(100000);
	return (rdtsc() - before) * 10;
}

POLLING static uint64_t cpu_counter_rdtsc(void)
{
	return rdtsc();
}

/* A pointer, as in NetBSD 10.99: what is read through it is known at run time only. */
uint64_t (*cpu_counter)(void) = cpu_counter_rdtsc;

static uint64_t measure_one(unsigned usec)
{
	bool enabled = interrupts_disable();
	uint64_t before = (*cpu_counter)(), after;

	(*delay_func)(usec);
	after = (*cpu_counter)();
	interrupts_restore(enabled);
	return after - before;
}

/* "calibrate=rounds": NetBSD's own way. First what the calls themselves take, then 1,000 rounds of 100 microseconds:
 * one stop between two of these reads is one in a thousand. */
static uint64_t measure_in_rounds(void)
{
	uint64_t overhead = 0, sum = 0;

	for (int i = 0; i <= 8; i++) {
		uint64_t once = measure_one(0);

		if (i > 0)
			overhead += once;
	}
	overhead >>= 3;
	for (int i = 0; i < 1000; i++)
		sum += measure_one(100) - overhead;
	return sum * 10;
}

uint64_t cpu_tsc_freq_cpuid(struct cpu_info *ci)
{
	if (vm_guest == VM_GUEST_VMWARE)
		return tsc_freq_vmware_cpuid(ci);
	return cpuid_level >= 0x15 ? tsc_freq_cpuid(ci) : 0;
}

void cpu_get_tsc_freq(struct cpu_info *ci)
{
	const char *how = "";
	uint64_t freq;

	if (!cpu_hascounter())
		return;
	option_value("calibrate", &how);
	freq = cpu_tsc_freq_cpuid(ci);
	if (freq != 0) {
		printf("cpu0: TSC freq CPUID %lu Hz\n", freq);
	} else if (i8254_present()) {
		freq = list_has(how, "rounds") ? measure_in_rounds() : measure_against_delay();
		printf("cpu0: TSC freq DELAY %lu Hz\n", freq);
	} else {
		printf("cpu0: TSC freq unknown\n");
	}
	ci->ci_data.cpu_cc_freq = freq;
}
