/* SPDX-License-Identifier: MIT */
/* What the processor and the hypervisor say of themselves. Names: FreeBSD's sys/x86/x86/identcpu.c, hypervisor.c. */
#include "kernel.h"

#define CPUID_1_ECX_HYPERVISOR (1u << 31)

enum vm_guest vm_guest;
u_int cpu_high, cpu_exthigh, cpu_feature, cpu_id, amd_pminfo;

void identify_cpu(void)
{
	cpu_high = cpuid(0).eax;
	cpu_id = cpuid(1).eax;
	cpu_feature = cpuid(1).edx;
	cpu_exthigh = cpuid(0x80000000).eax;
	if (cpu_exthigh >= 0x80000007)
		amd_pminfo = cpuid(0x80000007).edx;
}

void identify_hypervisor(void)
{
	if (!(cpuid(1).ecx & CPUID_1_ECX_HYPERVISOR))
		return;
	switch (cpuid(0x40000000).ebx) {
	case 0x4b4d564b: vm_guest = VM_GUEST_KVM; break;    /* "KVMK" */
	case 0x61774d56: vm_guest = VM_GUEST_VMWARE; break; /* "VMwa" */
	case 0x566e6558: vm_guest = VM_GUEST_XEN; break;    /* "XenV" */
	default: vm_guest = VM_GUEST_VM; break;
	}
}
