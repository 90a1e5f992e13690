/* SPDX-License-Identifier: MIT */
/*
 * The machine under a model kernel: how it was started, its interrupts, its processors, and the way out.
 * A flavour (netbsd/, freebsd/) provides the functions of the last section.
 */
#ifndef MODEL_MACHINE_H
#define MODEL_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS 8

/*
 * For functions that poll, or are called in long loops: they lie in pages of their own. QEMU's TCG runs one instruction
 * at a time in every page that holds a breakpoint, and breakpoints belong into the functions around these.
 */
#define POLLING __attribute__((noinline, section(".text.polling")))

/* ---- the command line ---- */

/* Whether WORD stands on the command line, alone or as WORD=…; *value then points behind the "=" (or is ""). */
bool option_value(const char *word, const char **value);
bool option(const char *word);
/* The number of WORD=number, or otherwise. */
uint64_t option_number(const char *word, uint64_t otherwise);
/* Whether a list "a,b,c" has the item. */
bool list_has(const char *list, const char *item);

/* ---- strings ---- */

bool string_equal(const char *a, const char *b);

/* ---- the hypervisor ---- */

/*
 * What CPUID's leaf 0x40000010 says, in kHz (VMware defined it, KVM offers it); zeros where there is none. TCG has
 * none: "vm_tsc_khz=N vm_bus_khz=N" stand in for it.
 */
struct hypervisor_frequencies {
	uint32_t tsc_khz, bus_khz;
};
struct hypervisor_frequencies hypervisor_frequencies(void);

/* ---- interrupts ---- */

/* As boot.S pushes it, lowest address first. */
struct interrupt_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void interrupt_handler(struct interrupt_frame *frame);

#define VECTOR_PIT 0x20
#define VECTOR_LAPIC_TIMER 0x40
#define VECTOR_WAKE 0x41
#define VECTOR_SPURIOUS 0xff

void interrupt_set(unsigned vector, interrupt_handler *handler);
/* Let the PIT's interrupt through the 8259, or mask it. */
void interrupt_unmask_pit(bool unmask);

/* ---- the local APIC ---- */

uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);

/* ---- processors ---- */

/* How many the firmware lists, and the local APIC's id of each. The boot processor is 0. */
unsigned machine_cpu_count(void);
uint8_t machine_cpu_apic_id(unsigned cpu);
/* INIT, SIPI, SIPI; delay_us is the flavour's own delay. The processor comes up in kernel_main_secondary. */
void machine_start_cpu(unsigned cpu, void (*delay_us)(unsigned));

/*
 * For a processor that has nothing to do: sleeps until *flag has one of the bits. Whoever sets them then calls
 * machine_wake_others. (A waiting loop would compete with the calibrations for the host's processors.)
 */
void machine_sleep_until(volatile unsigned *flag, unsigned bits);
void machine_wake_others(void);

/* ---- threads, for the workloads ---- */

void context_switch(uint64_t *save, uint64_t load);
/* A stack on which context_switch starts function(argument); it must never return. */
uint64_t thread_prepare(void *stack, size_t size, void (*function)(void *), void *argument);

/* ---- the way out ---- */

/* ACPI soft-off; where there is none, a triple fault (QEMU then wants -no-reboot). */
_Noreturn void machine_exit(void);
_Noreturn void panic(const char *why);

/* ---- what a flavour provides ---- */

extern const char kernel_banner[];
void kernel_main(void);
_Noreturn void kernel_main_secondary(unsigned cpu);

#endif
