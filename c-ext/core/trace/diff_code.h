/* SPDX-License-Identifier: MIT */
/* The branches of a function as a trace holds them, and which of them are the same in another trace's. */
#ifndef CLOCKSCOPE_DIFF_CODE_H
#define CLOCKSCOPE_DIFF_CODE_H

#include "base/arena.h"
#include "trace/trace.h"

#define DIFF_NONE UINT32_MAX

struct diff_branch {
	uint64_t address;
	uint32_t block;
	int64_t line;
	const char *condition;
	const char *key; /* what it is called in any version of the function */
	uint32_t pair;   /* index of the same branch in the other function, or DIFF_NONE */
	bool inverted;   /* the other is taken where this one is not */
};

struct diff_edge {
	uint32_t source;
	uint32_t target;
	bool taken; /* the way of a conditional branch that is taken */
};

struct diff_code {
	struct arena arena; /* owns all below */
	int64_t function;
	uint64_t entry;
	struct diff_branch *branches; /* by address */
	size_t count;
	struct diff_edge *edges; /* by source */
	size_t edge_count;
	size_t *first_edge; /* by block, and one more: where its edges begin */
	uint32_t block_count;
	uint32_t *branch_of; /* by block: the branch that ends it, or DIFF_NONE */
	uint32_t *waiting;   /* by block: the loop that it waits in (diff_waiting.h) */
};

/* Reads function FUNCTION (its id). CODE may hold anything; release it by diff_code_release() whatever is returned. */
struct cs_error *diff_code_read(struct trace *trace, int64_t function, struct diff_code *code);
void diff_code_release(struct diff_code *code);

/* Fills `pair` and `inverted` on both sides; *SAME: the code is. */
struct cs_error *diff_code_pair(struct diff_code *a, struct diff_code *b, bool *same);

/* The index of the branch at an address, or DIFF_NONE. */
uint32_t diff_code_find(const struct diff_code *code, uint64_t address);

#endif
