/* SPDX-License-Identifier: MIT */
/*
 * What the files of the FreeBSD flavour share. Names, order and the layout of struct timecounter are FreeBSD's
 * (sys/sys/timetc.h, sys/sys/timeet.h, FreeBSD 14); the code is this project's own, and far shorter.
 */
#ifndef MODEL_FREEBSD_KERNEL_H
#define MODEL_FREEBSD_KERNEL_H

#include <stddef.h>

#include "../machine/acpi.h"
#include "../machine/console.h"
#include "../machine/cpu.h"
#include "../machine/machine.h"

typedef unsigned int u_int;

/* Compiled in always, tested where the command line says "invariants", as in a kernel with that option. */
#define KASSERT(condition, message)                                                                                    \
	do {                                                                                                           \
		if (option("invariants") && !(condition))                                                              \
			panic(message);                                                                                \
	} while (0)

/* ---- kern_tc.c ---- */

struct timecounter {
	u_int (*tc_get_timecount)(struct timecounter *);
	void (*tc_poll_pps)(struct timecounter *);
	u_int tc_counter_mask;
	uint64_t tc_frequency; /* Hz */
	const char *tc_name;
	int tc_quality;
	u_int tc_flags;
	void *tc_priv;
	struct timecounter *tc_next;
};

_Static_assert(offsetof(struct timecounter, tc_counter_mask) == 16, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_frequency) == 24, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_name) == 32, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_quality) == 40, "clockscope's profile reads it there");

extern struct timecounter *timecounter; /* the active one */

void inittimecounter(void *dummy);
void tc_init(struct timecounter *tc);
void tc_ticktock(int count);

/* ---- kern_et.c: event timers ---- */

struct eventtimer;
typedef void et_event_cb_t(struct interrupt_frame *frame);

struct eventtimer {
	struct eventtimer *et_all; /* the next */
	const char *et_name;
	int et_flags;
	int et_quality;
	int et_active;
	uint64_t et_frequency; /* Hz; 0 where it is not known yet */
	int (*et_start)(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns);
	et_event_cb_t *et_event_cb;
};

_Static_assert(offsetof(struct eventtimer, et_name) == 8, "clockscope's profile reads it there");
_Static_assert(offsetof(struct eventtimer, et_quality) == 20, "clockscope's profile reads it there");
_Static_assert(offsetof(struct eventtimer, et_frequency) == 32, "clockscope's profile reads it there");

int et_register(struct eventtimer *et);
/* The best of those whose frequency is known, NULL where there is none. */
struct eventtimer *et_find(void);
int et_init(struct eventtimer *et, et_event_cb_t *event);
int et_start(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns);

/* ---- kern_clock.c, kern_clocksource.c ---- */

extern int hz;
extern volatile int ticks;

void initclocks(void *dummy);
void cpu_initclocks_bsp(void);
void cpu_initclocks_ap(void);

/* ---- subr_clockcalib.c ---- */

uint64_t clockcalib(uint64_t (*clk)(void), const char *clkname);

/* ---- identcpu.c ---- */

enum vm_guest { VM_GUEST_NO, VM_GUEST_VM, VM_GUEST_KVM, VM_GUEST_VMWARE, VM_GUEST_XEN };

extern enum vm_guest vm_guest;
extern u_int cpu_high, cpu_exthigh, cpu_feature, cpu_id, amd_pminfo;

void identify_cpu(void);
void identify_hypervisor(void);

/* ---- tsc.c ---- */

extern uint64_t tsc_freq; /* Hz */
extern int tsc_is_invariant;

void tsc_init(void);
void start_TSC(void);
void init_TSC_tc(void *dummy);
void tsc_calibrate(void);

/* ---- clock.c: the i8254 ---- */

#define TIMER_FREQ 1193182 /* Hz */

void i8254_init(void);
bool i8254_present(void);
void DELAY(int usec);
void startrtclock(void);
void attimer_attach(void);
void cpu_initclocks(void);

/* ---- local_apic.c ---- */

void lapic_init(void);
void lapic_calibrate_timer(void);

/* ---- acpi_timer.c, acpi_hpet.c ---- */

void acpi_timer_attach(void);
void hpet_attach(void);

/* ---- mp_machdep.c ---- */

extern int mp_ncpus;

struct pcpu {
	struct pcpu *pc_prvspace; /* at %gs:0 */
	u_int pc_cpuid;
	volatile bool pc_started;
	volatile uint64_t pc_clock_interrupts;
};

static inline struct pcpu *get_pcpu(void)
{
	struct pcpu *pcpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(pcpu));
	return pcpu;
}

void pcpu_init(u_int cpu);
void mp_start(void *dummy);
void release_aps(void *dummy);

#endif
