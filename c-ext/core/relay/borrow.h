/* SPDX-License-Identifier: MIT */
/*
 * Borrowing an instruction: a paused guest executes one cpuid, rdtsc or rdmsr that its own text contains, and
 * is put back as it was. So one learns what the guest is told of its clocks, without changing it.
 *
 * The guest runs into a breakpoint behind the instruction; it is not single-stepped, for under KVM a step over these
 * does not come back (measured, KVM on QEMU's SVM). Interrupts are held off meanwhile. Only where a breakpoint
 * was run into is anything borrowed, and by a breakpoint of the same type: one that is known to work, and a place where
 * no access to a device is half done.
 *
 * Only these instructions are borrowed: they change nothing but general registers. rdmsr of a register that does not
 * exist raises an exception: ask CPUID first.
 */
#ifndef CLOCKSCOPE_BORROW_H
#define CLOCKSCOPE_BORROW_H

#include "relay/relay.h"

enum borrow_instruction {
	BORROW_RDTSC, /* 0F 31 */
	BORROW_CPUID, /* 0F A2 */
	BORROW_RDMSR, /* 0F 32 */
};

struct borrow_result {
	uint32_t eax, ebx, ecx, edx;
};

/* Within relay_call(), so that the guest stands: runs the instruction at `address`, which must hold it in memory
 * now, on the thread that stopped last, with these values of EAX and ECX. CS_ERROR_REFUSED where memory holds
 * something else, a program runs and not the kernel, the guest did not run into a breakpoint, the stub has no
 * breakpoint left, or once anything has gone wrong (relay_borrow_refusal). Not possible in a replay, which may execute
 * nothing of its own: CS_ERROR_STATE. */
struct cs_error *relay_borrow(struct relay *relay, enum borrow_instruction instruction, uint64_t address, uint32_t eax,
			      uint32_t ecx, struct borrow_result *ret);

/* Why nothing is borrowed from this stub any more, with the state that the guest is in; empty where nothing has gone
 * wrong. malloc'd; NULL without memory. From any thread. */
char *relay_borrow_refusal(struct relay *relay);

/* How far the guest's TSC went on while the guest stood for `wait_ms`: reads it, waits, reads it again.
 * *elapsed_ns is the time between the two reads. Under TCG it stands still but for the borrowed
 * instructions themselves. */
struct cs_error *relay_measure_tsc(struct relay *relay, uint64_t rdtsc_address, unsigned wait_ms, uint64_t *ticks,
				   uint64_t *elapsed_ns);

#endif
