/* SPDX-License-Identifier: MIT */
/*
 * The loops of a traced function in which it waits for a clock. How often such a loop goes round depends on when it
 * looked, and so does all that it decides on the way: between two boots only how it was left can be compared.
 */
#ifndef CLOCKSCOPE_DIFF_WAITING_H
#define CLOCKSCOPE_DIFF_WAITING_H

#include "trace/diff_code.h"

/* Fills `code->waiting`: of each block the number of the loop that it waits in, or DIFF_NONE. Only innermost loops
 * within timing windows that poll are such loops. The code was read and checked. */
struct cs_error *diff_waiting_read(struct trace *trace, struct diff_code *code);

/* Whether, so decided, the way leads out of the loop that a branch waits in. */
bool diff_waiting_leaves(const struct diff_code *code, uint32_t branch, bool taken);

#endif
