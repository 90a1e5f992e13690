/* SPDX-License-Identifier: MIT */
#include "relay/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void verdict_clear(struct verdict *verdict)
{
	stub_reply_clear(&verdict->words);
	*verdict = (struct verdict){0};
}

static char *copy(const char *bytes, size_t length)
{
	char *to = malloc(length + 1);

	if (!to)
		return NULL;
	memcpy(to, bytes, length);
	to[length] = '\0';
	return to;
}

struct cs_error *verdict_tell(struct verdict *verdict, const struct stub_reply *reply)
{
	CLEANUP(stub_reply_clear)
	struct stub_reply words = {
		.raw = copy(reply->raw, reply->raw_length),
		.raw_length = reply->raw_length,
		.text = copy(reply->text, reply->length),
		.length = reply->length,
	};

	if (!words.raw || !words.text)
		return &cs_error_no_memory;
	verdict_clear(verdict);
	verdict->kind = VERDICT_TOLD;
	verdict->words = words;
	words = (struct stub_reply){0};
	return NULL;
}

struct cs_error *verdict_tell_stop(struct verdict *verdict, unsigned signal, const char *thread)
{
	char text[REPLY_THREAD_MAX + 16];
	struct stub_reply reply = {.raw = text, .text = text};
	int n = snprintf(text, sizeof(text), thread[0] ? "T%02xthread:%s;" : "S%02x", signal, thread);

	reply.raw_length = reply.length = (size_t)n;
	return verdict_tell(verdict, &reply);
}

struct cs_error *verdict_without_signal(struct verdict *verdict)
{
	struct stub_reply words = verdict->words;
	char *text = copy(words.text, words.length);
	struct cs_error *error;

	if (!text)
		return &cs_error_no_memory;
	text[1] = text[2] = '0'; /* of "T02…" */
	words = (struct stub_reply){.raw = text, .raw_length = words.length, .text = text, .length = words.length};
	error = verdict_tell(verdict, &words);
	free(text);
	return error;
}

void verdict_end(struct verdict *verdict, enum relay_state end, const char *reason)
{
	verdict_clear(verdict);
	*verdict = (struct verdict){.kind = VERDICT_ENDED, .end = end, .reason = reason};
}
