/* SPDX-License-Identifier: MIT */
/*
 * The clocks that ACPI's tables tell of. Names: FreeBSD's sys/dev/acpica/acpi_timer.c and acpi_hpet.c.
 * Devices: ACPI 6.4, 4.8.3.3 (PM timer); IA-PC HPET specification 1.0a, 2.3.
 */
#include "kernel.h"

#define HPET_CAPABILITIES 0x000
#define HPET_PERIOD 0x004 /* femtoseconds */
#define HPET_CONFIG 0x010
#define HPET_MAIN_COUNTER 0x0f0
#define HPET_ENABLE 1u

POLLING static u_int acpi_timer_get_timecount(struct timecounter *tc)
{
	(void)tc;
	return inl(acpi.pm_timer_port);
}

static struct timecounter acpi_timer_timecounter = {
	.tc_get_timecount = acpi_timer_get_timecount,
	.tc_counter_mask = 0x00ffffff,
	.tc_frequency = 3579545,
	.tc_name = "ACPI-fast",
	.tc_quality = 900,
};

void acpi_timer_attach(void)
{
	if (!acpi.pm_timer_port)
		return;
	if (acpi.pm_timer_32_bits)
		acpi_timer_timecounter.tc_counter_mask = 0xffffffff;
	tc_init(&acpi_timer_timecounter);
	printf("acpi_timer0: port 0x%x\n", acpi.pm_timer_port);
}

POLLING static u_int hpet_get_timecount(struct timecounter *tc)
{
	(void)tc;
	return *physical_register(acpi.hpet_base + HPET_MAIN_COUNTER);
}

static struct timecounter hpet_timecounter = {
	.tc_get_timecount = hpet_get_timecount,
	.tc_counter_mask = ~0u,
	.tc_name = "HPET",
	.tc_quality = 950,
};

void hpet_attach(void)
{
	if (!acpi.hpet_base)
		return;
	hpet_timecounter.tc_frequency = 1000000000000000 / *physical_register(acpi.hpet_base + HPET_PERIOD);
	*physical_register(acpi.hpet_base + HPET_CONFIG) |= HPET_ENABLE;
	tc_init(&hpet_timecounter);
	printf("hpet0: capabilities 0x%x\n", *physical_register(acpi.hpet_base + HPET_CAPABILITIES));
}
