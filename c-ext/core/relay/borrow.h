/* SPDX-License-Identifier: MIT */
/*
 * Borrowing an instruction: a paused guest executes one of those that tell of the processor and its clocks (on x86
 * cpuid, rdtsc, rdmsr), which its own text contains, and is put back as it was. So one learns what the guest is told of
 * its clocks, without changing it.
 *
 * The guest runs into a breakpoint behind the instruction; it is not single-stepped, for under KVM a step over these
 * does not come back (measured, KVM on QEMU's SVM). Interrupts are held off meanwhile. Only where a breakpoint
 * was run into is anything borrowed, and by a breakpoint of the same type: one that is known to work, and a place where
 * no access to a device is half done.
 *
 * Only the architecture's loans are borrowed: they change nothing but general registers. Reading a register that does
 * not exist raises an exception: ask the processor first whether it does.
 */
#ifndef CLOCKSCOPE_BORROW_H
#define CLOCKSCOPE_BORROW_H

#include <pthread.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/error.h"

struct guest;
struct interrupts;
struct planting;
struct probes;

struct borrower {
	struct guest *guest;
	struct planting *planting;
	struct probes *probes;
	struct interrupts *interrupts;
	pthread_mutex_t lock;
	char *never; /* why nothing is borrowed from this stub any more; NULL: nothing has failed. Guarded by lock. */
};

void borrow_init(struct borrower *borrower);
void borrow_clear(struct borrower *borrower);

/* Runs the instruction of that name at `address`, which must hold it in memory now, on the thread that stopped last,
 * with these values in the registers that it is given: see relay_borrow(). The relay's thread. */
struct cs_error *borrow_instruction(struct borrower *borrower, const char *name, uint64_t address,
				    const uint32_t given[ARCH_LOAN_GIVEN], uint32_t ret[ARCH_LOAN_RESULTS]);

/* malloc'd; empty where nothing has gone wrong, NULL without memory. Any thread. */
char *borrow_refusal(struct borrower *borrower);

/* See relay_measure_clock(). */
struct cs_error *borrow_measure_clock(struct borrower *borrower, uint64_t address, unsigned wait_ms, uint64_t *ticks,
				      uint64_t *elapsed_ns);

#endif
