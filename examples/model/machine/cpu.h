/* SPDX-License-Identifier: MIT */
/* The instructions that C has no words for. Source: Intel SDM volume 2. */
#ifndef MODEL_CPU_H
#define MODEL_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_GS_BASE 0xc0000101
#define CPUID_1_EDX_TSC (1u << 4)
#define CPUID_1_EDX_APIC (1u << 9)
#define CPUID_APM_EDX_INVARIANT_TSC (1u << 8)

struct cpuid_registers {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_registers cpuid(uint32_t leaf)
{
	struct cpuid_registers r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void interrupts_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Returns whether they were enabled. */
static inline bool interrupts_disable(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return (flags & 0x200) != 0;
}

static inline void interrupts_restore(bool enabled)
{
	if (enabled)
		interrupts_enable();
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Sleep until the next interrupt; interrupts are enabled by the same step, so none is missed. */
static inline void cpu_wait(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

static inline volatile uint32_t *physical_register(uint64_t address)
{
	return (volatile uint32_t *)address;
}

#endif
