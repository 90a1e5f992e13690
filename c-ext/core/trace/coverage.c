/* SPDX-License-Identifier: MIT */
#include "trace/coverage.h"

#include <string.h>

static bool is(const struct row_expectation *expectation, const char *status)
{
	return strcmp(expectation->status, status) == 0;
}

/* Of what could be watched, and was not seen. */
static const char *state_of_watched(const struct row_expectation *expectation, const struct coverage_span *span)
{
	if (span->log)
		return "not in the log";
	if (expectation->unfinished > 0)
		return "did not return";
	if (expectation->reached > 0)
		return "condition never met";
	if (span->late)
		return "begun late";
	if (!span->complete)
		return "ended early";
	if (expectation->reached != RECORD_UNKNOWN)
		return "did not happen";
	return expectation->from_ns == RECORD_UNKNOWN ? "not known" : "not seen";
}

const char *coverage_state(const struct coverage *coverage, const struct coverage_span *span)
{
	const struct row_expectation *expectation = &coverage->expectation;

	if (coverage->happened)
		return "happened";
	if (is(expectation, "missing"))
		return "not in this kernel";
	if (is(expectation, "refused"))
		return "refused";
	if (is(expectation, "untold"))
		return "not told";
	if (is(expectation, "inlined") && expectation->reached != 0)
		return "inlined"; /* it ran, or may have: what came of it is not told */
	return state_of_watched(expectation, span);
}
