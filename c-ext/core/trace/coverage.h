/* SPDX-License-Identifier: MIT */
/*
 * What became of each thing that a profile looks for. That it was not seen means something only where it was watched,
 * all the time, and could be seen at all: this says which of these it is, in one word for all readers.
 */
#ifndef CLOCKSCOPE_COVERAGE_H
#define CLOCKSCOPE_COVERAGE_H

#include <stdbool.h>

#include "trace/rows.h"

/* What a trace says of the whole recording. */
struct coverage_span {
	bool complete; /* its end is the boot's end */
	bool late;     /* the guest was up when it began */
	bool log;      /* it was read from a kernel's log */
};

struct coverage {
	struct row_expectation expectation;
	bool happened; /* there are events of the rule */
	/* "happened"; "did not happen"; "condition never met"; "did not return"; "inlined"; "begun late"; "ended
	 * early"; "not in this kernel"; "refused"; "not told" (by such a log); "not in the log"; "not seen" (by a watch
	 * that does not see all: breakpoints on what stores to a variable by its name); "not known" (an older trace
	 * does not tell which of these). */
	const char *state;
};

/* The state of one, from its expectation and whether it happened. A constant. */
const char *coverage_state(const struct coverage *coverage, const struct coverage_span *span);

#endif
