/* SPDX-License-Identifier: MIT */
/*
 * Work to trace, chosen by the command line: "workload=loop,switch" or "workload=all". Each prints one line with its
 * result, which does not depend on the machine. See the table at the end of workload.c.
 */
#ifndef MODEL_WORKLOAD_H
#define MODEL_WORKLOAD_H

/* On the boot processor, when the clock ticks. */
void workload_run(void);
/* From each clock interrupt of the boot processor. */
void workload_tick(void);
/* On every other processor, for ever: does what the boot processor asks of it. */
_Noreturn void workload_serve(unsigned cpu);

#endif
