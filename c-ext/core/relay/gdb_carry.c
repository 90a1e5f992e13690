/* SPDX-License-Identifier: MIT */
/* What becomes of GDB's requests: answered here, passed on, or carried out; and what a stub's reply makes of them. */
#include "relay/relay_internal.h"
#include "rsp/quirks.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

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

/* For a debugger's last acknowledgement. */
#define FAREWELL_MS 500
/* GDB asks so often for a reply to be sent again, and then goes on without it (remote.c, MAX_TRIES). */
#define TRIES_MAX 3

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* --- Packets answered here --- */

static size_t add_feature(char *text, size_t size, size_t n, const struct stub_feature *feature)
{
	bool flag = feature->value[0] && strchr("+-?", feature->value[0]) && !feature->value[1];
	int added = snprintf(text + n, size - n, ";%s%s%s", feature->name, flag || !feature->value[0] ? "" : "=",
			     feature->value);

	return added > 0 && (size_t)added < size - n ? n + (size_t)added : n;
}

/* All must be able to: the stub, the relay, and for what changes its words GDB. */
static void answer_features(struct relay *relay, const char *payload)
{
	const struct stub *stub = relay->stub;
	struct gdb_dialect *dialect = &relay->client.dialect;
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
	client_say(relay, text);
}

static void answer_vcont(struct relay *relay)
{
	char text[32] = "";
	size_t n = 0;

	if (relay->stub->vcont[0])
		n = (size_t)snprintf(text, sizeof(text), "vCont");
	for (const char *action = relay->stub->vcont; *action; action++) {
		text[n++] = ';';
		text[n++] = *action;
	}
	text[n] = '\0';
	client_say(relay, text);
}

/* A stop, or another answer of the stub's, in the words that this debugger has negotiated. */
static struct cs_error *send_in_dialect(struct relay *relay, enum gdb_request_kind kind, const char *raw,
					size_t raw_length, const char *text, size_t length)
{
	FREE char *said = NULL;
	FREE char *escaped = NULL;

	CS_TRY(gdb_dialect_reply(&relay->client.dialect, kind, text, length, &said));
	if (said)
		CS_TRY(packet_escape(said, strlen(said), &escaped, &raw_length));
	client_send(relay, escaped ? escaped : raw, raw_length);
	return NULL;
}

/* Why the guest stands. Asking the stub again would make QEMU drop all breakpoints, the relay's own
 * among them. */
static struct cs_error *answer_stop(struct relay *relay)
{
	const struct stop_reply *stop = &relay->stop;
	char text[REPLY_THREAD_MAX + 16];
	size_t n;

	if (stop->kind == STOP_EXITED || stop->kind == STOP_TERMINATED)
		snprintf(text, sizeof(text), "%c%02x", stop->kind == STOP_EXITED ? 'W' : 'X', stop->signal);
	else if (stop->thread[0])
		snprintf(text, sizeof(text), "T%02xthread:%s;", stop->signal, stop->thread);
	else
		snprintf(text, sizeof(text), "S%02x", stop->signal);
	n = strlen(text);
	/* A debugger takes the thread that it is told of for chosen, whichever the one before it had chosen. */
	if (stop->thread[0])
		copy_thread(relay->client_general, stop->thread);
	return send_in_dialect(relay, GDB_RESUME, text, n, text, n);
}

/* QEMU aborts where it is asked for this without having offered it. */
static bool can_reverse(const struct relay *relay)
{
	return quirks_have(relay->stub, QUIRK_GOES_BACKWARDS);
}

static struct cs_error *answered_here(struct relay *relay, const struct gdb_request *request, const char *payload,
				      bool *done)
{
	*done = true;
	switch (request->kind) {
	case GDB_FEATURES: answer_features(relay, payload); return NULL;
	case GDB_NO_ACK:
		client_say(relay, "OK");
		relay->client.no_ack = true;
		return NULL;
	case GDB_VCONT_ACTIONS: answer_vcont(relay); return NULL;
	case GDB_WHY_STOPPED: return answer_stop(relay);
	case GDB_NOT_OFFERED: client_say(relay, ""); return NULL;
	case GDB_REVERSE:
		*done = !can_reverse(relay);
		if (*done)
			client_say(relay, "");
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

/* --- Breakpoints --- */

/* Z0 and Z1 at an address that the relay holds already need not go to the stub. */
static struct cs_error *shared_breakpoint(struct relay *relay, const struct gdb_request *request, bool *done)
{
	struct breakpoints *table = &relay->breakpoints;
	bool first;

	*done = request->kind == GDB_BREAKPOINT && !relay->all_lifted &&
		breakpoints_has(table, request->address, request->type, BREAKPOINT_OF_RELAY);
	if (!*done)
		return NULL;
	if (request->insert)
		CS_TRY(breakpoints_add(table, request->address, request->type, BREAKPOINT_OF_GDB, &first));
	else
		guest_note_lifted(relay, request->type, request->address);
	if (!request->insert)
		breakpoints_remove(table, request->address, request->type, BREAKPOINT_OF_GDB);
	client_say(relay, "OK");
	return NULL;
}

static struct cs_error *note_breakpoint(struct relay *relay, const struct gdb_request *request)
{
	struct breakpoints *table = &relay->breakpoints;
	bool first;

	if (request->insert)
		return breakpoints_add(table, request->address, request->type, BREAKPOINT_OF_GDB, &first);
	guest_note_lifted(relay, request->type, request->address);
	breakpoints_remove(table, request->address, request->type, BREAKPOINT_OF_GDB);
	return NULL;
}

static struct cs_error *note_watchpoint(struct relay *relay, const struct gdb_request *request)
{
	const struct watchpoint of_gdb = {request->type, request->address, request->length};

	if (request->insert)
		return watchpoints_add(&relay->watchpoints, &of_gdb);
	watchpoints_remove(&relay->watchpoints, &of_gdb);
	return NULL;
}

static void note_thread_choice(struct relay *relay, const struct gdb_request *request)
{
	if (!request->thread[0])
		return;
	if (request->purpose == 'g') {
		copy_thread(relay->client_general, request->thread);
		copy_thread(relay->stub_general, request->thread);
	} else if (request->purpose == 'c') {
		copy_thread(relay->client_resume, request->thread);
		copy_thread(relay->stub_resume, request->thread);
	}
}

/* What the stub has agreed to. */
static struct cs_error *note_accepted(struct relay *relay, const struct gdb_request *request)
{
	if (request->kind == GDB_BREAKPOINT)
		return note_breakpoint(relay, request);
	if (request->kind == GDB_WATCHPOINT)
		return note_watchpoint(relay, request);
	if (request->kind == GDB_CHOOSE_THREAD)
		note_thread_choice(relay, request);
	return NULL;
}

/* --- Packets passed on --- */

static struct cs_error *pass_on(struct relay *relay, const struct gdb_request *request, const char *payload,
				size_t length)
{
	if (request->kind != GDB_CHOOSE_THREAD)
		CS_TRY(guest_restore_general(relay));
	relay->client.pending = *request;
	relay->client.asked_at = util_now_ns();
	return stub_send(relay->stub, payload, length);
}

/* Whether the request is about the process that is the guest: others, of the machines that have several, may come and
 * go. */
static bool is_the_guest(const struct relay *relay, const struct gdb_request *request)
{
	return !request->process[0] || !relay->guest_process[0] || same_thread(request->process, relay->guest_process);
}

/* GDB lets go of the guest: what was planted in it must not stop it when nobody listens. */
static struct cs_error *let_go(struct relay *relay, const struct gdb_request *request, const char *payload,
			       size_t length)
{
	struct gdb_request question = {.kind = GDB_QUESTION};

	if (!is_the_guest(relay, request))
		return pass_on(relay, &question, payload, length);
	CS_TRY(guest_lift_all(relay));
	return pass_on(relay, request, payload, length);
}

/* The guest begins anew, without what was planted in it: GDB plants its own again, and the relay at the next resume. */
static struct cs_error *restart(struct relay *relay, const struct gdb_request *request, const char *payload,
				size_t length)
{
	CS_TRY(guest_lift_all(relay));
	CS_TRY(client_bury(relay));
	relay->stub_general[0] = relay->client_general[0] = '\0';
	relay->stub_resume[0] = relay->client_resume[0] = '\0';
	return pass_on(relay, request, payload, length);
}

static enum resume_kind resume_kind_of(const struct gdb_request *request)
{
	if (request->kind == GDB_REVERSE)
		return RESUME_REVERSE;
	return request->kind == GDB_START ? RESUME_OTHER : RESUME_CONTINUE;
}

static struct cs_error *resume(struct relay *relay, const struct gdb_request *request, const char *payload,
			       size_t length)
{
	if (relay_state(relay) == RELAY_EXITED && request->kind != GDB_START)
		return answer_stop(relay);
	relay->client.pending = *request;
	return guest_resume(relay, payload, length, resume_kind_of(request));
}

/* The guest is lost. What is planted is planted in nothing; all else fails, and a resume shows GDB the end. */
static struct cs_error *handle_orphan(struct relay *relay, const struct gdb_request *request)
{
	bool resumes = gdb_request_resumes(request->kind);

	if (resumes && (relay->stop.kind == STOP_EXITED || relay->stop.kind == STOP_TERMINATED))
		return answer_stop(relay);
	if (resumes || request->kind == GDB_DETACH || request->kind == GDB_KILL || request->kind == GDB_KILL_UNANSWERED)
		client_close(relay);
	else
		client_say(relay, request->kind == GDB_BREAKPOINT || request->kind == GDB_WATCHPOINT ? "OK" : "E01");
	return NULL;
}

static struct cs_error *carry_out(struct relay *relay, const struct gdb_request *request, const char *payload,
				  size_t length)
{
	switch (request->kind) {
	case GDB_DETACH:
	case GDB_KILL:
	case GDB_KILL_UNANSWERED: return let_go(relay, request, payload, length);
	case GDB_RESTART: return restart(relay, request, payload, length);
	case GDB_RESUME:
	case GDB_REVERSE:
	case GDB_START: return resume(relay, request, payload, length);
	case GDB_FILE_ANSWER: return NULL; /* to a request that the guest, which stands, no longer waits for */
	case GDB_NOTHING:
	case GDB_FEATURES:
	case GDB_NO_ACK:
	case GDB_VCONT_ACTIONS:
	case GDB_WHY_STOPPED:
	case GDB_NOT_OFFERED:
	case GDB_QUESTION:
	case GDB_MONITOR:
	case GDB_CURRENT_THREAD:
	case GDB_THREADS:
	case GDB_CHOOSE_THREAD:
	case GDB_BREAKPOINT:
	case GDB_WATCHPOINT: return pass_on(relay, request, payload, length);
	}
	return NULL;
}

/* Whether GDB is looking at a stop, of which it may tell nobody, is seen from what it lifts afterwards. */
static void note_judging(struct client *client, const struct gdb_request *request)
{
	if (request->kind != GDB_BREAKPOINT && request->kind != GDB_WATCHPOINT)
		return;
	if (request->insert) {
		client->planted++;
	} else {
		client->planted -= client->planted > 0;
		client->judging = false;
	}
}

static struct cs_error *handle(struct relay *relay, const char *payload, size_t length)
{
	FREE char *translated = NULL;
	struct gdb_request request;
	bool done;

	gdb_request_parse(payload, &request);
	note_judging(&relay->client, &request);
	relay->client.answering = !gdb_request_resumes(request.kind);
	if (relay->client.orphaned_at)
		return handle_orphan(relay, &request);
	CS_TRY(answered_here(relay, &request, payload, &done));
	if (!done)
		CS_TRY(shared_breakpoint(relay, &request, &done));
	if (done)
		return NULL;
	CS_TRY(gdb_dialect_request(&relay->client.dialect, relay->stub->multiprocess, relay->guest_process, &request,
				   payload, &translated));
	if (!translated)
		return carry_out(relay, &request, payload, length);
	gdb_request_parse(translated, &request);
	return carry_out(relay, &request, translated, strlen(translated));
}

/* A packet must be answered, and what the stub refuses on the way to it is an answer. */
struct cs_error *client_carry_out(struct relay *relay, const struct packet_item *item)
{
	struct cs_error *error;

	relay->client.answering = false;
	relay->client.stop_unread = false;
	error = handle(relay, item->payload, item->length);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	relay->client.pending.kind = GDB_NOTHING;
	client_say(relay, "E01");
	return NULL;
}

/* --- Replies --- */

/* Whether GDB has stopped waiting for a reply: it asked for it again and again, or went on to another request. What it
 * said on the way is taken from the input. In step or not, it would take a late reply for the next one's. */
static bool gave_up(struct relay *relay)
{
	struct client *client = &relay->client;
	unsigned tries = 0;

	if (client->fd < 0)
		return false;
	cs_error_destroy(client_read(relay));
	for (; client->input_at < client->input_end; client->input_at++) {
		char byte = client->input[client->input_at];

		if (byte != '+' && byte != '-')
			break;
		tries += byte == '-';
	}
	return tries >= TRIES_MAX || (tries && client->input_at < client->input_end);
}

/* The last word to a debugger that acknowledges: it writes once more, and takes a closed connection for a failure. */
static void say_farewell(struct relay *relay)
{
	struct client *client = &relay->client;
	struct pollfd at = {.fd = client->fd, .events = POLLIN};

	client_say(relay, "OK");
	if (client->fd >= 0 && !client->no_ack)
		poll(&at, 1, FAREWELL_MS);
}

void client_end_unsettled(struct relay *relay, const char *reason)
{
	relay->client.pending.kind = GDB_NOTHING;
	relay_close(relay, RELAY_CLOSED, NULL, reason);
}

/* The guest has ended while it stood: no answer to a question, and GDB learns it when it resumes. */
static struct cs_error *end_meanwhile(struct relay *relay, const struct stub_reply *reply)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	guest_note_stop(relay, &stop);
	relay_set_state(relay, RELAY_EXITED);
	client_say(relay, "E01");
	return NULL;
}

struct cs_error *client_reply(struct relay *relay, const struct stub_reply *reply)
{
	struct gdb_request request = relay->client.pending;
	bool late;

	if (request.kind == GDB_RESTART) { /* some stubs answer what needs no answer (VirtualBox) */
		relay->client.pending.kind = GDB_NOTHING;
		return NULL;
	}
	if (reply->text[0] == 'O' && strcmp(reply->text, "OK") != 0) { /* output; the end is still to come */
		client_send(relay, reply->raw, reply->raw_length);
		return NULL;
	}
	late = request.kind != GDB_MONITOR && gave_up(relay);
	relay->client.pending.kind = GDB_NOTHING;
	if (strcmp(reply->text, "OK") == 0)
		CS_TRY(note_accepted(relay, &request));
	switch (gdb_request_judge(request.kind, reply->text, reply->length)) {
	case GDB_HOLDS:
		return late ? NULL
			    : send_in_dialect(relay, request.kind, reply->raw, reply->raw_length, reply->text,
					      reply->length);
	case GDB_ENDED: return end_meanwhile(relay, reply);
	case GDB_DETACHED:
		say_farewell(relay);
		relay_close(relay, RELAY_CLOSED, NULL, "GDB detached; the guest runs on");
		return NULL;
	case GDB_KILLED:
		if (request.kind == GDB_KILL)
			say_farewell(relay);
		relay_close(relay, RELAY_EXITED, NULL, "GDB killed the guest");
		return NULL;
	case GDB_UNSETTLED:
		client_end_unsettled(relay,
				     "the stub knows no way to end the guest (k): it was let go, and may run on");
		return NULL;
	}
	return NULL;
}

struct cs_error *client_stop(struct relay *relay, const char *raw, size_t raw_length, const char *text)
{
	enum gdb_request_kind kind = relay->client.pending.kind;

	relay->client.pending.kind = GDB_NOTHING;
	relay->client.stop_unread = true;
	relay->client.judging = relay->client.planted > 0;
	return send_in_dialect(relay, kind, raw, raw_length, text, strlen(text));
}
