/* SPDX-License-Identifier: MIT */
/* Devices. Order: NetBSD's sys/arch/amd64/amd64/autoconf.c: the i8254 first, then the processors on mainbus. */
#include "kernel.h"

static void mainbus_attach(void)
{
	for (unsigned i = 0; i < machine_cpu_count(); i++)
		cpu_attach(i);
}

void cpu_configure(void)
{
	startrtclock();
	mainbus_attach();
	interrupts_enable();
}
