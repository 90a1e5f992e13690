/* SPDX-License-Identifier: MIT */
/* The interrupt table, the 8259s and the local APIC's registers. Source: Intel SDM volume 3, 6.10 and 10.4. */
#include "console.h"
#include "cpu.h"
#include "machine.h"

#define PIC1 0x20
#define PIC2 0xa0
#define END_OF_INTERRUPT 0x20

#define APIC_BASE_ENABLE (1u << 11)
#define APIC_BASE_ADDRESS 0xffffff000ull
#define LAPIC_EOI 0xb0
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_LINT0 0x350
#define LAPIC_ENABLE 0x100
#define LAPIC_MASKED (1u << 16)
#define LAPIC_EXTINT (7u << 8)

#define GATE_PRESENT_INTERRUPT 0x8e00
#define KERNEL_CODE 8

struct gate {
	uint16_t offset_low, selector;
	uint16_t flags;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

extern const char interrupt_stubs[][16];
void interrupt_dispatch(struct interrupt_frame *frame);
void interrupts_init(void);
void interrupts_init_cpu(void);

static struct gate gates[256];
static interrupt_handler *handlers[256];

POLLING uint32_t lapic_read(unsigned reg)
{
	return *physical_register((rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS) + reg);
}

void lapic_write(unsigned reg, uint32_t value)
{
	*physical_register((rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS) + reg) = value;
}

void interrupt_set(unsigned vector, interrupt_handler *handler)
{
	handlers[vector] = handler;
}

void interrupt_dispatch(struct interrupt_frame *frame)
{
	if (!handlers[frame->vector]) {
		printf("vector %u, error %lx at %lx\n", (unsigned)frame->vector, frame->error, frame->rip);
		panic("unexpected interrupt or exception");
	}
	/* Acknowledged first: a handler may enable interrupts and be entered again. */
	if (frame->vector >= VECTOR_PIT && frame->vector < VECTOR_PIT + 16)
		outb(PIC1, END_OF_INTERRUPT);
	else if (frame->vector != VECTOR_SPURIOUS)
		lapic_write(LAPIC_EOI, 0);
	handlers[frame->vector](frame);
}

static void spurious(struct interrupt_frame *frame)
{
	(void)frame;
}

/* Intel 8259A data sheet: four initialization words, then the mask. */
static void pic_init(void)
{
	static const uint8_t words[][2] = {{VECTOR_PIT, VECTOR_PIT + 8}, {4, 2}, {1, 1}};

	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	for (unsigned i = 0; i < 3; i++) {
		outb(PIC1 + 1, words[i][0]);
		outb(PIC2 + 1, words[i][1]);
	}
	outb(PIC1 + 1, 0xff);
	outb(PIC2 + 1, 0xff);
}

void interrupt_unmask_pit(bool unmask)
{
	outb(PIC1 + 1, unmask ? 0xfe : 0xff);
}

static void gate_set(struct gate *gate, uint64_t target)
{
	gate->offset_low = (uint16_t)target;
	gate->selector = KERNEL_CODE;
	gate->flags = GATE_PRESENT_INTERRUPT;
	gate->offset_middle = (uint16_t)(target >> 16);
	gate->offset_high = (uint32_t)(target >> 32);
}

/* Each processor: its table of gates, and its local APIC enabled; the 8259 goes to the boot processor only. */
void interrupts_init_cpu(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {sizeof(gates) - 1, (uint64_t)gates};

	__asm__ volatile("lidt %0" : : "m"(table));
	if (!(cpuid(1).edx & CPUID_1_EDX_APIC))
		return;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_LINT0, LAPIC_EXTINT | (lapic_read(0x20) >> 24 ? LAPIC_MASKED : 0));
}

void interrupts_init(void)
{
	for (unsigned i = 0; i < 256; i++)
		gate_set(&gates[i], (uint64_t)interrupt_stubs[i]);
	pic_init();
	interrupt_set(VECTOR_SPURIOUS, spurious);
	interrupts_init_cpu();
}
