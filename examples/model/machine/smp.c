/* SPDX-License-Identifier: MIT */
/* The other processors: started, put to sleep, woken. Source: Intel SDM volume 3, 8.4.4 and 10.6.1. */
#include "acpi.h"
#include "cpu.h"
#include "machine.h"

extern uint32_t secondary_stack;
extern const char trampoline_begin[], trampoline_end[];
_Noreturn void machine_start_secondary(void);
void interrupts_init_cpu(void);

static unsigned starting_cpu;
static uint8_t secondary_stacks[MAX_CPUS][16384] __attribute__((aligned(16)));

unsigned machine_cpu_count(void)
{
	return acpi.cpu_count ? acpi.cpu_count : 1;
}

uint8_t machine_cpu_apic_id(unsigned cpu)
{
	return acpi.cpu_apic_ids[cpu];
}

void machine_start_secondary(void)
{
	interrupts_init_cpu();
	kernel_main_secondary(starting_cpu);
}

static void woken(struct interrupt_frame *frame)
{
	(void)frame; /* to leave the halt was all */
}

/* Intel SDM volume 3, 8.4.4.1 and 10.6.1: the interrupt command register. */
static void send_command(uint8_t apic_id, uint32_t command)
{
	enum { ICR_LOW = 0x300, ICR_HIGH = 0x310, BUSY = 1 << 12 };

	lapic_write(ICR_HIGH, (uint32_t)apic_id << 24);
	lapic_write(ICR_LOW, command);
	while (lapic_read(ICR_LOW) & BUSY)
		cpu_relax();
}

void machine_start_cpu(unsigned cpu, void (*delay_us)(unsigned))
{
	enum { TRAMPOLINE = 0x8000, INIT = 0x4500, STARTUP = 0x4600 };
	volatile char *copy = (volatile char *)TRAMPOLINE;

	interrupt_set(VECTOR_WAKE, woken);
	for (const char *p = trampoline_begin; p < trampoline_end; p++)
		*copy++ = *p;
	starting_cpu = cpu;
	/* The end of its stack, as a physical address: less KERNEL_BASE. */
	secondary_stack = (uint32_t)(uint64_t)secondary_stacks[cpu + 1] & 0x7fffffff;
	send_command(machine_cpu_apic_id(cpu), INIT);
	delay_us(10000);
	send_command(machine_cpu_apic_id(cpu), STARTUP | TRAMPOLINE >> 12);
	delay_us(200);
	send_command(machine_cpu_apic_id(cpu), STARTUP | TRAMPOLINE >> 12);
}

void machine_sleep_until(volatile unsigned *flag, unsigned bits)
{
	/* Tested with interrupts off: a wake-up between the test and the halt would be lost. */
	for (;;) {
		interrupts_disable();
		if (*flag & bits)
			break;
		cpu_wait();
	}
	interrupts_enable();
}

void machine_wake_others(void)
{
	enum { ALL_BUT_SELF = 3 << 18, ASSERT = 1 << 14 };

	send_command(0, ALL_BUT_SELF | ASSERT | VECTOR_WAKE);
}
