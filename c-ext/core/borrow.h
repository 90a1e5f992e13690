/* SPDX-License-Identifier: MIT */
/*
 * Borrowing an instruction: a paused guest executes one cpuid, rdtsc or rdmsr that its own text contains, and
 * is put back as it was. So one learns what the guest is told of its clocks, without changing it.
 *
 * Only these instructions are borrowed: they change nothing but general registers. rdmsr of a register
 * that does not exist raises an exception, which is noticed by where the guest then stands; it is put back
 * all the same.
 */
#ifndef CLOCKSCOPE_BORROW_H
#define CLOCKSCOPE_BORROW_H

#include "relay.h"

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
 * something else, a program runs and not the kernel, the stub writes no registers, or the instruction faulted. Not
 * possible in a replay, which may execute nothing of its own: CS_ERROR_STATE. */
struct cs_error *relay_borrow(struct relay *relay, enum borrow_instruction instruction, uint64_t address, uint32_t eax,
			      uint32_t ecx, struct borrow_result *ret);

/* How far the guest's TSC went on while the guest stood for `wait_ms`: reads it, waits, reads it again.
 * *elapsed_ns is the time between the two reads. Under TCG it stands still but for the borrowed
 * instructions themselves. */
struct cs_error *relay_measure_tsc(struct relay *relay, uint64_t rdtsc_address, unsigned wait_ms, uint64_t *ticks,
				   uint64_t *elapsed_ns);

#endif
