/* SPDX-License-Identifier: MIT */
/*
 * What a debugger sends, and what is made of a stub's words for it. The first byte says what was negotiated and which
 * kind of request is answered; the rest is a payload, read as a request and as a reply.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "relay/gdb_dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void as_request(const struct gdb_dialect *client, bool multiprocess, const char *text)
{
	FREE char *translated = NULL;
	struct gdb_request request;

	gdb_request_parse(text, &request);
	must(strlen(request.thread) < REPLY_THREAD_MAX && strlen(request.process) < REPLY_THREAD_MAX);
	must(!gdb_dialect_request(client, multiprocess, multiprocess ? "7b" : "", &request, text, &translated));
	if (translated) { /* is the same request in other words */
		enum gdb_request_kind kind = request.kind;

		gdb_request_parse(translated, &request);
		must(request.kind == kind);
	}
}

static void as_reply(const struct gdb_dialect *client, enum gdb_request_kind kind, const char *text, size_t length)
{
	FREE char *translated = NULL;

	must(gdb_request_judge(kind, text, length) <= GDB_UNSETTLED);
	must(!gdb_dialect_reply(client, kind, text, length, &translated));
	must(!translated || strlen(translated) <= length + REPLY_THREAD_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FREE char *text = NULL;
	struct gdb_dialect client;

	if (!size)
		return 0;
	text = malloc(size); /* as packet_decode() gives it: a NUL behind it that does not count */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	gdb_dialect_read(text, &client);
	client.multiprocess |= data[0] & 1;
	as_request(&client, data[0] & 2, text);
	as_reply(&client, (enum gdb_request_kind)((data[0] >> 2) % (GDB_START + 1)), text, size - 1);
	return 0;
}
