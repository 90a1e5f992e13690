/* SPDX-License-Identifier: MIT */
/*
 * One function in two traces: where did its invocations first decide differently?
 *
 * Code is the same where both functions have the same branches at the same places; then branches are paired by
 * place. Otherwise (another version of the kernel, another compiler) they are paired by the text of their source
 * line, or by the line's distance from the function's where the source was not at hand; a branch without a
 * counterpart is left out, and one whose condition a compiler turned round is read the other way round.
 *
 * Invocations are paired in order for each caller. Of a pair, each branch's outcomes are compared one by one. What a
 * trace does not determine never counts as a difference: a branch that may have run in a gap is compared no further,
 * but what is certain of a gap is (the way by which it was left). Nor do the rounds of a loop that waits for a clock:
 * of such a loop only the branch is compared by which it was left each time.
 *
 * Rows are read as they are compared: memory depends on the size of the function, not on the length of the traces.
 */
#ifndef CLOCKSCOPE_DIFF_H
#define CLOCKSCOPE_DIFF_H

#include "trace/trace.h"

/* One side of a difference: a decision of an invocation, or what a gap certainly held. */
struct diff_point {
	int64_t invocation;
	int64_t seq;     /* of the invocation's entry */
	int64_t ordinal; /* of the step */
	uint64_t address;
	bool taken;
	bool decided; /* a row of table decision; false: it was worked out of a gap */
	bool reached; /* false: the gap may have gone round the branch; it surely did not go the other side's way */
};

struct diff_result {
	bool same_code;
	uint64_t branches[2]; /* conditional branches of each side's function … */
	uint64_t paired;      /* … of which so many have a counterpart */
	uint64_t invocations[2];
	uint64_t compared;  /* pairs of invocations */
	uint64_t differing; /* of these */
	uint64_t unpaired[2];
	uint64_t cut_short; /* pairs whose order of decisions drifts too far apart to follow */
	uint64_t decisions; /* compared */
	bool diverges;      /* `at` holds the first difference in the order of the first trace */
	struct diff_point at[2];
};

/* Asked now and then; true ends the comparison with CS_ERROR_STATE. */
typedef bool diff_interrupted(void *context);

/* Compares function FUNCTIONS[0] (its id) of TRACES[0] with that of TRACES[1]; the two traces must be two objects.
 * CS_ERROR_NOT_FOUND: there is no such function. CS_ERROR_FORMAT: damage. */
struct cs_error *diff_function(struct trace *const traces[2], const int64_t functions[2], diff_interrupted *interrupted,
			       void *context, struct diff_result *ret);

#endif
