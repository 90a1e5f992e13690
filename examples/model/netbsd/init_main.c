/* SPDX-License-Identifier: MIT */
/* The start. Order: NetBSD's sys/kern/init_main.c. */
#include "../workload.h"
#include "kernel.h"

const char ostype[] = "NetBSD";
const char osrelease[] = "10.99.0";
const char version[] = "NetBSD 10.99.0 (CLOCKSCOPE-MODEL)";
const char kernel_banner[] = "NetBSD 10.99.0 (CLOCKSCOPE-MODEL) #0: model guest \"netbsd\"";

/* NetBSD's own note, so that tools recognise the file as they would a real kernel: sys/sys/exec_elf.h, 5.1. */
struct netbsd_note {
	uint32_t name_size, data_size, type;
	char name[8];
	uint32_t version;
};
__attribute__((section(".note.netbsd.ident"), aligned(4), used)) static const struct netbsd_note ident = {
	7, 4, 1, "NetBSD", 1099000000};

int main(void);

/* Both are part of main in NetBSD's compiled kernels too. */
static inline __attribute__((always_inline)) void configure(void)
{
	cpu_configure();
	printf("root: configured\n");
}

static inline __attribute__((always_inline)) void configure2(void)
{
	initclocks();
	cpu_boot_secondary_processors();
}

/* Until `ticks` clock interrupts came, or for 0.1 s of a fast TSC where none comes. */
POLLING static void wait_for_ticks(int ticks)
{
	uint64_t start = rdtsc();

	while (hardclock_ticks < ticks && rdtsc() - start < 300000000)
		cpu_relax();
}

static void print_summary(void)
{
	printf("model: lapic_per_second %u, lapic_from_cpuid %d\n", lapic_per_second, lapic_from_cpuid);
	printf("model: timecounter \"%s\" at the end\n", timecounter->tc_name);
}

int main(void)
{
	inittimecounter();
	configure();
	configure2();
	wait_for_ticks(5);
	workload_run();
	wait_for_ticks(hardclock_ticks + 2);
	print_summary();
	return 0;
}

void kernel_main(void)
{
	hz = (int)option_number("hz", 100);
	cpu_init_first();
	main();
}
