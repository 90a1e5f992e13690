/* SPDX-License-Identifier: MIT */
#include "relay/gdb_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "rsp/quirks.h"

/* What GDB is offered of the stub's features: those that pass through the relay unharmed. Not among
 * them: non-stop mode, fork and exec events, conditions and commands evaluated by the stub (a
 * breakpoint that both want is kept by the relay), tracepoints. qXfer objects pass, all of them. */
static const char *const passed_features[] = {
	"multiprocess",
	"swbreak",
	"hwbreak",
	"no-resumed",
	"vContSupported",
	"ReverseStep",
	"ReverseContinue",
	"QPassSignals",
	"QProgramSignals",
	"QStartupWithShell",
	"QEnvironmentHexEncoded",
	"QEnvironmentReset",
	"QEnvironmentUnset",
	"QSetWorkingDir",
	"QCatchSyscalls",
	"QDisableRandomization",
	"augmented-libraries-svr4-read",
};

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static size_t add_feature(char *text, size_t size, size_t n, const struct stub_feature *feature)
{
	bool flag = feature->value[0] && strchr("+-?", feature->value[0]) && !feature->value[1];
	int added = snprintf(text + n, size - n, ";%s%s%s", feature->name, flag || !feature->value[0] ? "" : "=",
			     feature->value);

	return added > 0 && (size_t)added < size - n ? n + (size_t)added : n;
}

/* All must be able to: the stub, the relay, and for what changes its words GDB. */
static void answer_features(struct client *client, struct guest *guest, const char *payload)
{
	const struct stub *stub = guest->stub;
	struct gdb_dialect *dialect = &client->dialect;
	char text[4096];
	size_t n = (size_t)snprintf(text, sizeof(text), "PacketSize=%zx;QStartNoAckMode+", stub->packet_size);

	gdb_dialect_read(payload, dialect);
	dialect->multiprocess &= stub->multiprocess;
	for (size_t i = 0; i < stub->feature_count; i++) {
		const char *name = stub->features[i].name;
		bool pass = starts(name, "qXfer:");

		for (size_t j = 0; j < ARRAY_SIZE(passed_features); j++)
			pass |= strcmp(name, passed_features[j]) == 0;
		if (pass && gdb_dialect_carries(dialect, stub->multiprocess, name))
			n = add_feature(text, sizeof(text), n, &stub->features[i]);
	}
	text[n] = '\0';
	client_say(client, text);
}

static void answer_vcont(struct client *client, struct guest *guest)
{
	char text[32] = "";
	size_t n = 0;

	if (guest->stub->vcont[0])
		n = (size_t)snprintf(text, sizeof(text), "vCont");
	for (const char *action = guest->stub->vcont; *action; action++) {
		text[n++] = ';';
		text[n++] = *action;
	}
	text[n] = '\0';
	client_say(client, text);
}

struct cs_error *answer_in_dialect(struct client *client, enum gdb_request_kind kind, const struct stub_reply *words)
{
	FREE char *said = NULL;
	FREE char *escaped = NULL;
	size_t length = words->raw_length;

	CS_TRY(gdb_dialect_reply(&client->dialect, kind, words->text, words->length, &said));
	if (said)
		CS_TRY(packet_escape(said, strlen(said), &escaped, &length));
	client_send(client, escaped ? escaped : words->raw, length);
	return NULL;
}

/* Why the guest stands. Asking the stub again would make QEMU drop all breakpoints, the relay's own
 * among them. */
struct cs_error *answer_stop(struct client *client, struct guest *guest)
{
	const struct stop_reply *stop = &guest->stop;
	char text[REPLY_THREAD_MAX + 16];
	struct stub_reply words = {.raw = text, .text = text};

	if (stop->kind == STOP_EXITED || stop->kind == STOP_TERMINATED)
		snprintf(text, sizeof(text), "%c%02x", stop->kind == STOP_EXITED ? 'W' : 'X', stop->signal);
	else if (stop->thread[0])
		snprintf(text, sizeof(text), "T%02xthread:%s;", stop->signal, stop->thread);
	else
		snprintf(text, sizeof(text), "S%02x", stop->signal);
	words.raw_length = words.length = strlen(text);
	/* A debugger takes the thread that it is told of for chosen, whichever the one before it had chosen. */
	if (stop->thread[0])
		copy_thread(guest->general.by_gdb, stop->thread);
	return answer_in_dialect(client, GDB_RESUME, &words);
}

/* QEMU aborts where it is asked for this without having offered it. */
static bool can_reverse(const struct guest *guest)
{
	return quirks_have(guest->stub, QUIRK_GOES_BACKWARDS);
}

struct cs_error *answer_here(struct client *client, struct guest *guest, const struct gdb_request *request,
			     const char *payload, bool *done)
{
	*done = true;
	switch (request->kind) {
	case GDB_FEATURES: answer_features(client, guest, payload); return NULL;
	case GDB_NO_ACK:
		client_say(client, "OK");
		client->no_ack = true;
		return NULL;
	case GDB_VCONT_ACTIONS: answer_vcont(client, guest); return NULL;
	case GDB_WHY_STOPPED: return answer_stop(client, guest);
	case GDB_NOT_OFFERED: client_say(client, ""); return NULL;
	case GDB_REVERSE:
		*done = !can_reverse(guest);
		if (*done)
			client_say(client, "");
		return NULL;
	case GDB_NOTHING:
	case GDB_QUESTION:
	case GDB_MONITOR:
	case GDB_CURRENT_THREAD:
	case GDB_THREADS:
	case GDB_CHOOSE_THREAD:
	case GDB_BREAKPOINT:
	case GDB_WATCHPOINT:
	case GDB_DETACH:
	case GDB_KILL:
	case GDB_KILL_UNANSWERED:
	case GDB_RESTART:
	case GDB_FILE_ANSWER:
	case GDB_RESUME:
	case GDB_START: *done = false; return NULL;
	}
	return NULL;
}
