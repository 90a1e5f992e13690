/* SPDX-License-Identifier: MIT */
/* The time stamp counter as a timecounter. Names and rules: NetBSD's sys/arch/x86/x86/tsc.c. */
#include "kernel.h"

uint64_t tsc_freq;
static int64_t tsc_drift_max = 1000; /* cycles */
static int64_t tsc_drift_observed;

static u_int tsc_get_timecount(struct timecounter *tc)
{
	(void)tc;
	return (u_int)rdtsc();
}

static struct timecounter tsc_timecounter = {
	.tc_get_timecount = tsc_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_name = "TSC",
	.tc_quality = 3000,
};

bool cpu_hascounter(void)
{
	return cpu_feature[0] & CPUID_1_EDX_TSC;
}

uint64_t cpu_frequency(struct cpu_info *ci)
{
	return ci->ci_data.cpu_cc_freq;
}

/* Families and models whose TSC is invariant though they have no leaf that says so (Intel SDM volume 3, 17.17). */
static bool model_is_invariant(uint32_t signature)
{
	unsigned family = signature >> 8 & 0xf;
	unsigned model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);

	switch (family) {
	case 0x05: return true;
	case 0x06: return model == 0x0e || model == 0x0f || model == 0x17 || model == 0x1c;
	case 0x0f: return model >= 0x03;
	default: return false;
	}
}

static bool tsc_is_invariant(void)
{
	if (!cpu_hascounter())
		return false;
	if (cpuid(0x80000000).eax >= 0x80000007)
		return cpuid(0x80000007).edx & CPUID_APM_EDX_INVARIANT_TSC;
	return model_is_invariant(curcpu()->ci_signature);
}

POLLING static void tsc_delay(unsigned usec)
{
	uint64_t start = rdtsc(), cycles = usec * tsc_freq / 1000000;

	while (rdtsc() - start < cycles)
		cpu_relax();
}

void tsc_tc_init(void)
{
	if (!cpu_hascounter())
		return;
	tsc_freq = curcpu()->ci_data.cpu_cc_freq;
	if (!tsc_is_invariant()) {
		printf("TSC not known invariant on this CPU\n");
		tsc_timecounter.tc_quality = -100;
	} else if (tsc_drift_observed > tsc_drift_max) {
		printf("ERROR: %ld cycle TSC drift observed\n", tsc_drift_observed);
		tsc_timecounter.tc_quality = -100;
	} else if (vm_guest == VM_GUEST_NO) {
		delay_func = tsc_delay;
	}
	if (tsc_freq != 0) {
		tsc_timecounter.tc_frequency = tsc_freq;
		tc_init(&tsc_timecounter);
	}
	printf("model: tsc_freq %lu\n", tsc_freq);
}

/* ---- the other processors' counters against ours ---- */

void tsc_sync_drift(int64_t drift)
{
	if (drift > tsc_drift_observed)
		tsc_drift_observed = drift;
}

static volatile uint64_t tsc_sync_val;

POLLING void tsc_sync_ap(struct cpu_info *ci)
{
	uint64_t tsc;

	while (!(ci->ci_flags & CPUF_SYNCTSC))
		cpu_relax();
	tsc = rdtsc() >> 1;
	__atomic_and_fetch(&ci->ci_flags, ~(unsigned)CPUF_SYNCTSC, __ATOMIC_SEQ_CST);
	tsc_sync_val = tsc + (rdtsc() >> 1);
}

/* The mean of two readings around the other's. Under TCG the round trip, not the drift, is what one sees. */
POLLING void tsc_sync_bp(struct cpu_info *ci)
{
	uint64_t tsc;

	tsc_sync_val = 0;
	__atomic_or_fetch(&ci->ci_flags, CPUF_SYNCTSC, __ATOMIC_SEQ_CST);
	tsc = rdtsc() >> 1;
	while (ci->ci_flags & CPUF_SYNCTSC)
		cpu_relax();
	tsc += rdtsc() >> 1;
	while (tsc_sync_val == 0)
		cpu_relax();
	ci->ci_data.cpu_cc_skew = (int64_t)(tsc - tsc_sync_val);
	printf("cpu%u: TSC skew %ld\n", ci->ci_index, ci->ci_data.cpu_cc_skew);
}
