/* SPDX-License-Identifier: MIT */
/*
 * What is certain of an invocation's path although parts of it are not determined: which ways through the code it
 * surely went, and which it surely did not.
 */
#ifndef CLOCKSCOPE_DIFF_FACTS_H
#define CLOCKSCOPE_DIFF_FACTS_H

#include "trace/diff_code.h"

struct diff_facts {
	const struct diff_code *code; /* not owned */
	bool ended;                   /* the whole path is covered: what is not in it did not happen */
	bool *ran;                    /* by block: it surely ran */
	bool *sure;                   /* by edge: it was surely gone */
	bool *possible;               /* by edge: it may have been gone */
	bool *in_gap;                 /* by block: it may have run in a gap */
	int64_t *ordinal;             /* by block: of the first step, or gap, that has it; or -1 */
};

/* Room for the facts of one invocation after the other of a function. CODE must outlive it. */
struct cs_error *diff_facts_create(const struct diff_code *code, struct diff_facts **ret);
void diff_facts_destroy(struct diff_facts *facts);

/* Reads an invocation's steps; ENDED as in the struct. */
struct cs_error *diff_facts_read(struct diff_facts *facts, struct trace *trace, int64_t invocation, bool ended);

/* A branch in a gap at which the invocations of two sides surely parted: one surely went a way that the other surely
 * never went. The first in the order of A; its index there, or DIFF_NONE. *TAKEN: A's way. */
uint32_t diff_facts_compare(const struct diff_facts *a, const struct diff_facts *b, bool *taken);

/* Whether the invocation surely came to a branch. */
bool diff_facts_reached(const struct diff_facts *facts, uint32_t branch);

#endif
