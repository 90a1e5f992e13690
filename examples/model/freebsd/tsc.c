/* SPDX-License-Identifier: MIT */
/* The time stamp counter: frequency early, late and refined; a timecounter. Names and rules: sys/x86/x86/tsc.c. */
#include "kernel.h"

#define AMDPM_TSC_INVARIANT (1u << 8)

uint64_t tsc_freq;
int tsc_is_invariant;
static int tsc_disabled;
static int tsc_early_calib_exact;
static int tsc_shift = 1; /* the timecounter's frequency must fit in 31 bits: 4 GHz would overflow 32 too fast */

POLLING static u_int tsc_get_timecount(struct timecounter *tc)
{
	return (u_int)(rdtsc() >> (uint64_t)tc->tc_priv);
}

static struct timecounter tsc_timecounter = {
	.tc_get_timecount = tsc_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_name = "TSC",
	.tc_quality = 800, /* adjusted in init_TSC_tc */
};

/* ---- frequency ---- */

POLLING static uint64_t rdtsc_ordered(void)
{
	return rdtsc();
}

/* The hypervisor's own word for it. */
static bool tsc_freq_cpuid_vm(void)
{
	if (vm_guest == VM_GUEST_NO)
		return false;
	tsc_freq = (uint64_t)hypervisor_frequencies().tsc_khz * 1000;
	return tsc_freq != 0;
}

/* Leaves 0x15 (crystal and ratio) and 0x16 (MHz). */
static bool tsc_freq_cpuid(uint64_t *res)
{
	struct cpuid_registers r;

	if (cpu_high < 0x15)
		return false;
	r = cpuid(0x15);
	if (r.eax && r.ebx && r.ecx) {
		*res = (uint64_t)r.ecx * r.ebx / r.eax;
		return true;
	}
	if (cpu_high < 0x16)
		return false;
	*res = (uint64_t)cpuid(0x16).eax * 1000000;
	return *res != 0;
}

/* The tenth of a second that the i8254 counts. */
static bool tsc_freq_8254(uint64_t *res)
{
	uint64_t before;

	if (!i8254_present())
		return false;
	before = rdtsc();
	DELAY(100000);
	*res = (rdtsc() - before) * 10;
	return true;
}

static bool model_is_invariant(void)
{
	u_int family = cpu_id >> 8 & 0xf;
	u_int model = (cpu_id >> 4 & 0xf) | (cpu_id >> 12 & 0xf0);

	return vm_guest == VM_GUEST_NO && ((family == 0x6 && model >= 0xe) || (family == 0xf && model >= 0x3));
}

static void probe_tsc_freq_early(void)
{
	tsc_is_invariant = (amd_pminfo & AMDPM_TSC_INVARIANT) || model_is_invariant();
	printf("model: TSC is %sinvariant\n", tsc_is_invariant ? "" : "not ");
	if (tsc_freq_cpuid_vm() || tsc_freq_cpuid(&tsc_freq)) {
		tsc_early_calib_exact = 1;
		printf("Early TSC frequency %lu Hz derived from CPUID\n", tsc_freq);
	}
}

static void probe_tsc_freq_late(void)
{
	if (tsc_freq != 0)
		return;
	if (tsc_freq_8254(&tsc_freq)) {
		printf("Early TSC frequency %lu Hz derived from 8254 PIT\n", tsc_freq);
		return;
	}
	tsc_disabled = 1;
	printf("model: TSC frequency not found, TSC disabled\n");
}

void tsc_init(void)
{
	if (cpu_feature & CPUID_1_EDX_TSC)
		probe_tsc_freq_early();
	else
		tsc_disabled = 1;
}

void start_TSC(void)
{
	if (!tsc_disabled)
		probe_tsc_freq_late();
}

/* ---- timecounter ---- */

void init_TSC_tc(void *dummy)
{
	uint64_t shift = 0;

	(void)dummy;
	if (tsc_disabled)
		return;
	if (mp_ncpus > 1 && !tsc_is_invariant)
		tsc_timecounter.tc_quality = -100; /* counters of different processors may disagree */
	else if (tsc_is_invariant)
		tsc_timecounter.tc_quality = 1000;
	while (tsc_freq >> shift > UINT32_MAX >> tsc_shift)
		shift++;
	if (shift > 0)
		tsc_timecounter.tc_name = "TSC-low";
	tsc_timecounter.tc_frequency = tsc_freq >> shift;
	tsc_timecounter.tc_priv = (void *)shift;
	printf("model: %s will have quality %d\n", tsc_timecounter.tc_name, tsc_timecounter.tc_quality);
}

/* Registration waits for this: a frequency must not change once time is kept by it. */
void tsc_calibrate(void)
{
	if (tsc_disabled)
		return;
	if (!tsc_early_calib_exact) {
		tsc_freq = clockcalib(rdtsc_ordered, "TSC");
		printf("TSC clock: %lu Hz\n", tsc_freq);
	}
	tsc_timecounter.tc_frequency = tsc_freq >> (uint64_t)tsc_timecounter.tc_priv;
	tc_init(&tsc_timecounter);
	printf("model: tsc_freq %lu\n", tsc_freq);
}
