/* SPDX-License-Identifier: MIT */
#include "relay/gdb_dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/packet.h"

/* A text in the making, and whether it differs from what it was made of. */
struct draft {
	FILE *file;
	char *text;
	size_t length;
	bool changed;
};

static struct cs_error *begin(struct draft *draft)
{
	*draft = (struct draft){0};
	draft->file = open_memstream(&draft->text, &draft->length);
	return draft->file ? NULL : &cs_error_no_memory;
}

static struct cs_error *finish(struct draft *draft, char **ret)
{
	bool failed = fclose(draft->file) != 0;

	if (failed || !draft->changed) {
		free(draft->text);
		draft->text = NULL;
	}
	*ret = draft->text;
	return failed ? &cs_error_no_memory : NULL;
}

static void put(struct draft *draft, const char *text, size_t length)
{
	fwrite(text, 1, length, draft->file);
}

/* In gdbserver's words to a debugger that does not know of N. */
#define NOBODY "E.No unwaited-for children left."

/* --- What was negotiated --- */

static bool field_is(const struct reply_field *field, const char *name)
{
	return strlen(name) == field->name_length && memcmp(field->name, name, field->name_length) == 0 &&
	       field->value && field->value[0] == '+';
}

void gdb_dialect_read(const char *payload, struct gdb_dialect *ret)
{
	const char *at = strchr(payload, ':');
	const char *end = payload + strlen(payload);
	struct reply_field field;

	*ret = (struct gdb_dialect){0};
	at = at ? at + 1 : end;
	while (reply_next_field(&at, end, &field)) {
		ret->multiprocess |= field_is(&field, "multiprocess");
		ret->swbreak |= field_is(&field, "swbreak");
		ret->hwbreak |= field_is(&field, "hwbreak");
		ret->no_resumed |= field_is(&field, "no-resumed");
	}
}

bool gdb_dialect_carries(const struct gdb_dialect *client, bool stub_multiprocess, const char *feature)
{
	if (strcmp(feature, "multiprocess") == 0)
		return client->multiprocess;
	if (strcmp(feature, "swbreak") == 0)
		return client->swbreak;
	if (strcmp(feature, "hwbreak") == 0)
		return client->hwbreak;
	if (strcmp(feature, "no-resumed") == 0)
		return client->no_resumed;
	/* GDB then asks with qfThreadInfo, whose reply comes in whole ids. */
	return client->multiprocess || !stub_multiprocess || strcmp(feature, "qXfer:threads:read") != 0;
}

/* --- Requests, to the stub --- */

struct naming {
	bool multiprocess;
	const char *process;
};

/* 0 is any thread and -1 all of them, with processes and without. */
static bool is_particular(const char *id, size_t length)
{
	return length && packet_hex_digit(id[0]) >= 0 && !(length == 1 && id[0] == '0');
}

static void put_for_stub(struct draft *draft, const char *id, size_t length, const struct naming *stub)
{
	const char *dot = memchr(id, '.', length);

	if (!stub->multiprocess && length && id[0] == 'p') {
		draft->changed = true;
		if (dot)
			put(draft, dot + 1, length - (size_t)(dot + 1 - id));
		else
			put(draft, "-1", 2); /* a whole process */
		return;
	}
	if (stub->multiprocess && stub->process[0] && is_particular(id, length)) {
		draft->changed = true;
		fprintf(draft->file, "p%s.", stub->process);
	}
	put(draft, id, length);
}

/* Where a request has its one thread id: behind the prefix, and up to `end`, or to the end of the packet. */
static const struct {
	const char *prefix;
	char end;
} named_threads[] = {
	{"Hg", '\0'}, {"Hc", '\0'}, {"T", '\0'}, {"qThreadExtraInfo,", '\0'}, {"qGetTLSAddr:", ','},
};

static bool put_named(struct draft *draft, const char *payload, const struct naming *stub)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_threads); i++) {
		size_t prefix = strlen(named_threads[i].prefix);
		const char *end;

		if (strncmp(payload, named_threads[i].prefix, prefix) != 0)
			continue;
		end = payload + prefix + strcspn(payload + prefix, (char[]){named_threads[i].end, '\0'});
		put(draft, payload, prefix);
		put_for_stub(draft, payload + prefix, (size_t)(end - payload) - prefix, stub);
		put(draft, end, strlen(end));
		return true;
	}
	return false;
}

/* vCont;action[:thread];… */
static void put_actions(struct draft *draft, const char *payload, const struct naming *stub)
{
	const char *at = strchr(payload, ';');

	put(draft, payload, (size_t)(at - payload));
	while (at && *at) {
		size_t length = 1 + strcspn(at + 1, ";");
		const char *colon = memchr(at, ':', length);
		size_t head = colon ? (size_t)(colon + 1 - at) : length;

		put(draft, at, head);
		put_for_stub(draft, at + head, length - head, stub);
		at += length;
	}
}

struct cs_error *gdb_dialect_request(const struct gdb_dialect *client, bool stub_multiprocess, const char *process,
				     const struct gdb_request *request, const char *payload, char **ret)
{
	struct naming stub = {.multiprocess = stub_multiprocess, .process = process};
	bool names_process = request->kind == GDB_DETACH || request->kind == GDB_KILL;
	struct draft draft;

	CS_TRY(begin(&draft));
	if (names_process && stub_multiprocess && !client->multiprocess && process[0]) {
		/* GDB names none, or one that it has made up. */
		draft.changed = true;
		fprintf(draft.file, "%s;%s", request->kind == GDB_DETACH ? "D" : "vKill", process);
	} else if (strncmp(payload, "vCont;", 6) == 0) {
		put_actions(&draft, payload, &stub);
	} else if (names_process) {
		put(&draft, payload, strlen(payload));
	} else {
		put_named(&draft, payload, &stub);
	}
	return finish(&draft, ret);
}

/* --- Replies, to the debugger --- */

static void put_for_client(struct draft *draft, const char *id, size_t length, const struct gdb_dialect *client)
{
	const char *dot = memchr(id, '.', length);

	if (!client->multiprocess && length && id[0] == 'p' && dot) {
		draft->changed = true;
		length -= (size_t)(dot + 1 - id);
		id = dot + 1;
	}
	put(draft, id, length);
}

/* Ids with commas between. */
static void put_list(struct draft *draft, const char *at, const char *end, const struct gdb_dialect *client)
{
	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop_at = comma ? comma : end;

		put_for_client(draft, at, (size_t)(stop_at - at), client);
		if (comma)
			put(draft, comma, 1);
		at = comma ? comma + 1 : end;
	}
}

static bool name_is(const char *at, const char *colon, const char *name)
{
	return (size_t)(colon - at) == strlen(name) && memcmp(at, name, strlen(name)) == 0;
}

/* One `name:value;` of a T packet. */
static void put_pair(struct draft *draft, const char *at, const char *end, const struct gdb_dialect *client)
{
	static const char *const with_threads[] = {"thread", "threads", "fork", "vfork"};
	const char *colon = memchr(at, ':', (size_t)(end - at));

	if (colon && ((name_is(at, colon, "swbreak") && !client->swbreak) ||
		      (name_is(at, colon, "hwbreak") && !client->hwbreak))) {
		draft->changed = true; /* "Unexpected swbreak stop reason" */
		return;
	}
	for (size_t i = 0; colon && i < ARRAY_SIZE(with_threads); i++)
		if (name_is(at, colon, with_threads[i])) {
			const char *stop_at = end[-1] == ';' ? end - 1 : end;

			put(draft, at, (size_t)(colon + 1 - at));
			put_list(draft, colon + 1, stop_at, client);
			put(draft, stop_at, (size_t)(end - stop_at));
			return;
		}
	put(draft, at, (size_t)(end - at));
}

static void put_pairs(struct draft *draft, const char *at, const char *end, const struct gdb_dialect *client)
{
	while (at < end) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		const char *next = semicolon ? semicolon + 1 : end;

		put_pair(draft, at, next, client);
		at = next;
	}
}

/* W, X: `;process:PID` fails an assertion of a GDB that knows of no processes. w: the thread behind the semicolon. */
static void put_end(struct draft *draft, const char *text, size_t length, const struct gdb_dialect *client)
{
	const char *semicolon = memchr(text, ';', length);
	size_t head = semicolon ? (size_t)(semicolon - text) : length;

	put(draft, text, head);
	if (!semicolon)
		return;
	if (text[0] == 'w') {
		put(draft, semicolon, 1);
		put_for_client(draft, semicolon + 1, length - head - 1, client);
	} else if (client->multiprocess) {
		put(draft, semicolon, length - head);
	} else {
		draft->changed = true;
	}
}

static void put_stop(struct draft *draft, const char *text, size_t length, const struct gdb_dialect *client)
{
	struct stop_reply stop;

	reply_parse_stop(text, length, &stop);
	if (text[0] == 'T' && stop.kind == STOP_SIGNAL) {
		put(draft, text, 3);
		put_pairs(draft, text + 3, text + length, client);
	} else if (text[0] == 'w' || stop.kind == STOP_EXITED || stop.kind == STOP_TERMINATED) {
		put_end(draft, text, length, client);
	} else if (length == 1 && text[0] == 'N' && !client->no_resumed) {
		draft->changed = true;
		put(draft, NOBODY, strlen(NOBODY));
	}
}

struct cs_error *gdb_dialect_reply(const struct gdb_dialect *client, enum gdb_request_kind kind, const char *text,
				   size_t length, char **ret)
{
	struct draft draft;

	*ret = NULL;
	if (!gdb_request_resumes(kind) && kind != GDB_CURRENT_THREAD && kind != GDB_THREADS)
		return NULL;
	CS_TRY(begin(&draft));
	if (gdb_request_resumes(kind)) {
		put_stop(&draft, text, length, client);
	} else if (kind == GDB_CURRENT_THREAD && length > 2 && memcmp(text, "QC", 2) == 0) {
		put(&draft, text, 2);
		put_for_client(&draft, text + 2, length - 2, client);
	} else if (kind == GDB_THREADS && length && text[0] == 'm') {
		put(&draft, text, 1);
		put_list(&draft, text + 1, text + length, client);
	}
	return finish(&draft, ret);
}
