/* SPDX-License-Identifier: MIT */
/* The few ACPI facts that a clock needs. Source: ACPI specification 6.4, chapter 5.2; IA-PC HPET 1.0a, 3.2.4. */
#ifndef MODEL_ACPI_H
#define MODEL_ACPI_H

#include <stdbool.h>
#include <stdint.h>

struct acpi_facts {
	bool present;
	uint64_t hpet_base;     /* physical; 0: no HPET */
	uint16_t pm_timer_port; /* 0: none */
	bool pm_timer_32_bits;
	uint16_t pm1a_control_port;  /* 0: none */
	uint64_t sleep_control_base; /* of hardware-reduced machines, memory-mapped; 0: none */
	unsigned cpu_count;
	uint8_t cpu_apic_ids[8];
};

extern struct acpi_facts acpi;

/* rsdp: physical address, 0: search the BIOS's area. Leaves acpi.present false where there are no tables. */
void acpi_init(uint64_t rsdp);

#endif
