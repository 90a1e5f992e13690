/* SPDX-License-Identifier: MIT */
#include "relay/headless.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void headless_clear(struct headless *headless)
{
	free(headless->stop);
	headless->stop = NULL;
}

void headless_expect(struct headless *headless, bool awaited)
{
	meeting_begin(headless->meeting);
	headless_clear(headless);
	headless->awaited = awaited;
	meeting_end(headless->meeting);
}

struct cs_error *headless_tell(struct headless *headless, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return &cs_error_no_memory;
	meeting_begin(headless->meeting);
	headless_clear(headless);
	headless->stop = copy;
	headless->awaited = false;
	meeting_end_telling(headless->meeting);
	return NULL;
}

void headless_end(struct headless *headless)
{
	meeting_begin(headless->meeting);
	headless->awaited = false;
	meeting_end_telling(headless->meeting);
}

char *headless_wait(struct headless *headless, uint64_t deadline)
{
	char *stop;

	meeting_begin(headless->meeting);
	while (headless->awaited && util_now_ns() < deadline && !meeting_is_cancelled(headless->meeting))
		meeting_wait(headless->meeting, deadline);
	stop = TAKE_PTR(headless->stop);
	meeting_end(headless->meeting);
	return stop;
}
