/* SPDX-License-Identifier: MIT */
/*
 * The parsers of replies. The first byte chooses one, the rest is the stub's payload; for a target
 * description, NUL bytes separate the texts of target.xml and of what it includes, in order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/description.h"
#include "rsp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct annexes {
	const char *at;
	const char *end;
};

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void stops(const char *text, size_t length)
{
	struct stop_reply stop;
	int number;

	reply_parse_stop(text, length, &stop);
	must(stop.registers <= REPLY_REGISTERS_MAX && strlen(stop.thread) < REPLY_THREAD_MAX);
	for (size_t i = 0; i < stop.registers; i++)
		must(stop.registers_sent[i].size <= sizeof(stop.registers_sent[i].bytes));
	must(reply_thread_cpu(stop.thread) < 4096);
	must(!reply_is_error(text, length, &number) || text[0] == 'E');
}

static void fields(const char *text, size_t length)
{
	const char *at = text;
	const char *end = text + length;
	struct reply_field field;

	while (reply_next_field(&at, end, &field)) {
		must(field.name >= text && field.name + field.name_length <= end);
		must(!field.value || (field.value >= text && field.value + field.value_length <= end));
	}
}

static struct cs_error *fetch(void *context, const char *annex, char **ret, size_t *ret_length)
{
	struct annexes *annexes = context;
	size_t length = strnlen(annexes->at, (size_t)(annexes->end - annexes->at));

	(void)annex;
	if (annexes->at == annexes->end)
		return cs_error_create(CS_ERROR_REFUSED, "no such annex");
	*ret = strndup(annexes->at, length);
	if (!*ret)
		return &cs_error_no_memory;
	*ret_length = length;
	annexes->at += length;
	annexes->at += annexes->at < annexes->end;
	return NULL;
}

static void description(const char *text, size_t length)
{
	static const uint8_t g[700];
	struct annexes annexes = {text, text + length};
	struct target *target = NULL;
	struct cs_error *error = target_create(fetch, &annexes, &target);

	cs_error_destroy(error);
	if (error)
		return;
	for (size_t i = 0; i < target->count; i++) {
		must(target->registers[i].offset + (target->registers[i].bits + 7) / 8 <= target->g_size);
		must(target_value(&target->registers[i], g, sizeof(g)) == 0);
		must(target_find(target, target->registers[i].name) != NULL);
	}
	target_destroy(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FREE char *text = NULL;

	if (!size)
		return 0;
	text = malloc(size); /* as packet_decode() gives it: a NUL behind it that does not count */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3) {
	case 0: stops(text, size - 1); break;
	case 1: fields(text, size - 1); break;
	default: description(text, size - 1); break;
	}
	return 0;
}
