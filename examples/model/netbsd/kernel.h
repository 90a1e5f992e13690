/* SPDX-License-Identifier: MIT */
/*
 * What the files of the NetBSD flavour share. Names, order and the layout of struct timecounter are NetBSD's
 * (sys/sys/timetc.h, sys/arch/x86/include/cpu.h, NetBSD 7 to 11); the code is this project's own, and far shorter.
 */
#ifndef MODEL_NETBSD_KERNEL_H
#define MODEL_NETBSD_KERNEL_H

#include <stddef.h>

#include "../machine/console.h"
#include "../machine/cpu.h"
#include "../machine/machine.h"

typedef unsigned int u_int;

/* ---- kern_tc.c ---- */

struct timecounter {
	u_int (*tc_get_timecount)(struct timecounter *);
	void (*tc_poll_pps)(struct timecounter *);
	u_int tc_counter_mask;
	uint64_t tc_frequency; /* Hz */
	const char *tc_name;
	int tc_quality;
	void *tc_priv;
	struct timecounter *tc_next;
};

_Static_assert(offsetof(struct timecounter, tc_counter_mask) == 16, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_frequency) == 24, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_name) == 32, "clockscope's profile reads it there");
_Static_assert(offsetof(struct timecounter, tc_quality) == 40, "clockscope's profile reads it there");

extern struct timecounter *timecounter; /* the active one */

void inittimecounter(void);
void tc_init(struct timecounter *tc);
void tc_ticktock(void);

/* ---- kern_clock.c ---- */

extern int hz; /* clock interrupts a second */
extern volatile int hardclock_ticks;

void initclocks(void);
void hardclock(struct interrupt_frame *frame);

/* ---- clock.c: the i8254 ---- */

#define TIMER_FREQ 1193182 /* Hz; sys/dev/ic/i8253reg.h */

extern unsigned long x86_rtclock_tval;
extern void (*delay_func)(unsigned usec);
extern void (*x86_initclock_func)(void);

#define DELAY(usec) (*delay_func)(usec)

/* Whether an i8254 counts down; without one the flavour goes on where NetBSD itself would loop for ever. */
bool i8254_present(void);
void initrtclock(unsigned long tval);
void startrtclock(void);
unsigned gettick(void);
void i8254_initclocks(void);
void cpu_initclocks(void);

/* ---- lapic.c ---- */

extern uint32_t lapic_per_second; /* Hz */
extern bool lapic_from_cpuid;

void lapic_calibrate_timer(bool secondpass);

/* ---- tsc.c ---- */

extern uint64_t tsc_freq; /* Hz */

struct cpu_info;
void tsc_tc_init(void);
void tsc_sync_bp(struct cpu_info *ci);
void tsc_sync_ap(struct cpu_info *ci);
void tsc_sync_drift(int64_t drift);
uint64_t cpu_frequency(struct cpu_info *ci);
bool cpu_hascounter(void);

/* ---- identcpu.c ---- */

enum vm_guest { VM_GUEST_NO, VM_GUEST_VM, VM_GUEST_KVM, VM_GUEST_VMWARE };

extern enum vm_guest vm_guest;
extern int cpuid_level;
extern uint32_t cpu_feature[2];

void cpu_probe(struct cpu_info *ci);
void identify_hypervisor(void);
void cpu_get_tsc_freq(struct cpu_info *ci);
extern uint64_t (*cpu_counter)(void);
uint64_t cpu_tsc_freq_cpuid(struct cpu_info *ci);
uint64_t tsc_freq_cpuid(struct cpu_info *ci);
uint64_t tsc_freq_vmware_cpuid(struct cpu_info *ci);

/* ---- cpu.c ---- */

#define CPUF_PRESENT 0x1000
#define CPUF_RUNNING 0x2000
#define CPUF_GO 0x8000
#define CPUF_SYNCTSC 0x0800

struct cpu_info {
	struct cpu_info *ci_self; /* at %gs:0 */
	unsigned ci_index;
	uint32_t ci_signature; /* CPUID 1, EAX */
	volatile unsigned ci_flags;
	volatile uint32_t ci_lapic_counter;
	volatile uint64_t ci_clock_interrupts;
	struct {
		uint64_t cpu_cc_freq; /* Hz */
		int64_t cpu_cc_skew;  /* cycles */
	} ci_data;
};

extern struct cpu_info cpu_info_primary;

static inline struct cpu_info *curcpu(void)
{
	struct cpu_info *ci;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(ci));
	return ci;
}

void cpu_init_first(void);
void cpu_attach(unsigned index);
void cpu_boot_secondary_processors(void);

/* ---- autoconf.c ---- */

void cpu_configure(void);

#endif
