/* SPDX-License-Identifier: MIT */
/* GDB's side of the relay: which of its packets are passed on, which are answered here. */
#include "relay/relay_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* What GDB is offered of the stub's features: those that pass through the relay unharmed. Not among
 * them: non-stop mode, fork and exec events, conditions and commands evaluated by the stub (a
 * breakpoint that both want is kept by the relay), tracepoints. qXfer objects pass, all of them. */
static const char *const passed_features[] = {
	"multiprocess",
	"swbreak",
	"hwbreak",
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

static bool has_hung_up(int fd)
{
	struct pollfd at = {.fd = fd, .events = POLLRDHUP};

	return fd >= 0 && poll(&at, 1, 0) > 0;
}

struct cs_error *client_accept(struct relay *relay)
{
	int fd;

	if (has_hung_up(relay->client.fd))
		return NULL; /* the next one is let in when the last words of this one are read */
	fd = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return NULL; /* gone again before it was accepted */
	if (relay->client.fd >= 0 || relay->stub->fd < 0) {
		close(fd); /* one debugger at a time, as every stub has it; and none without a stub */
		return NULL;
	}
	relay->client = (struct client){.fd = fd, .left = relay->client.left};
	/* A debugger that connects expects the guest to stand. */
	return relay_state(relay) == RELAY_RUNNING ? guest_interrupt(relay) : NULL;
}

void client_close(struct relay *relay)
{
	struct client *client = &relay->client;

	if (client->fd < 0)
		return;
	close(client->fd);
	packet_parser_clear(&client->parser);
	free(client->last_frame);
	client->last_frame = NULL;
	client->fd = -1;
	client->input_at = client->input_end = 0;
	/* What it asked for last is still on its way, and no answer to the next who asks. */
	client->awaiting_stop = false;
	client->left = true;
	client->orphaned_at = 0;
	if (relay_state(relay) != RELAY_RUNNING)
		relay->interrupt_wanted = false;
}

struct cs_error *client_bury(struct relay *relay)
{
	struct breakpoints *table = &relay->breakpoints;

	relay->client.left = false;
	for (size_t i = table->count; i-- > 0;) {
		struct breakpoint at = table->items[i];

		if (breakpoints_remove(table, at.address, at.type, BREAKPOINT_OF_GDB))
			CS_TRY(guest_take_out(relay, at.type, at.address));
	}
	return NULL;
}

/* GDB reads all that it is sent; where it does not in time, it has hung up or hangs, and is let go: false. */
static bool write_all(struct relay *relay, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = send(relay->client.fd, bytes, length, MSG_NOSIGNAL);
		struct pollfd wait = {.fd = relay->client.fd, .events = POLLOUT};

		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		} else if (errno != EINTR && (errno != EAGAIN || poll(&wait, 1, (int)relay->timeout_ms) == 0)) {
			client_close(relay);
			return false;
		}
	}
	return true;
}

void client_send(struct relay *relay, const char *raw, size_t length)
{
	struct client *client = &relay->client;
	struct cs_error *error;

	if (client->fd < 0)
		return;
	free(client->last_frame);
	client->last_frame = NULL;
	error = packet_frame(raw, length, &client->last_frame, &client->last_frame_length);
	if (error)
		client_close(relay);
	else
		write_all(relay, client->last_frame, client->last_frame_length);
	cs_error_destroy(error);
	pthread_mutex_lock(&relay->lock);
	relay->statistics.packets_to_gdb++;
	pthread_mutex_unlock(&relay->lock);
}

static void answer(struct relay *relay, const char *text)
{
	client_send(relay, text, strlen(text));
}

void client_lose_guest(struct relay *relay)
{
	struct client *client = &relay->client;

	if (client->fd < 0 || client->awaiting_stop || client->detaching || client->killing) {
		client_close(relay);
		return;
	}
	client->orphaned_at = util_now_ns();
	if (client->awaiting_reply)
		answer(relay, "E01");
}

struct cs_error *client_read(struct relay *relay)
{
	struct client *client = &relay->client;
	size_t room;
	ssize_t n;

	memmove(client->input, client->input + client->input_at, client->input_end - client->input_at);
	client->input_end -= client->input_at;
	client->input_at = 0;
	room = sizeof(client->input) - client->input_end;
	if (!room)
		return NULL;
	n = recv(client->fd, client->input + client->input_end, room, 0);
	if (n > 0)
		client->input_end += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		client_close(relay); /* the guest stays as it is; GDB may come back */
	return NULL;
}

/* --- Packets answered here --- */

static size_t add_feature(char *text, size_t size, size_t n, const struct stub_feature *feature)
{
	bool flag = feature->value[0] && strchr("+-?", feature->value[0]) && !feature->value[1];
	int added = snprintf(text + n, size - n, ";%s%s%s", feature->name, flag || !feature->value[0] ? "" : "=",
			     feature->value);

	return added > 0 && (size_t)added < size - n ? n + (size_t)added : n;
}

/* Both must be able to: the stub, and the relay. */
static void answer_features(struct relay *relay)
{
	const struct stub *stub = relay->stub;
	char text[4096];
	size_t n = (size_t)snprintf(text, sizeof(text), "PacketSize=%zx;QStartNoAckMode+", stub->packet_size);

	for (size_t i = 0; i < stub->feature_count; i++) {
		bool pass = starts(stub->features[i].name, "qXfer:");

		for (size_t j = 0; j < ARRAY_SIZE(passed_features); j++)
			pass |= strcmp(stub->features[i].name, passed_features[j]) == 0;
		if (pass)
			n = add_feature(text, sizeof(text), n, &stub->features[i]);
	}
	text[n] = '\0';
	answer(relay, text);
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
	answer(relay, text);
}

/* Why the guest stands. Asking the stub again would make QEMU drop all breakpoints, the relay's own
 * among them. */
static void answer_stop(struct relay *relay)
{
	const struct stop_reply *stop = &relay->stop;
	char text[REPLY_THREAD_MAX + 16];

	if (stop->kind == STOP_EXITED || stop->kind == STOP_TERMINATED)
		snprintf(text, sizeof(text), "%c%02x", stop->kind == STOP_EXITED ? 'W' : 'X', stop->signal);
	else if (stop->thread[0])
		snprintf(text, sizeof(text), "T%02xthread:%s;", stop->signal, stop->thread);
	else
		snprintf(text, sizeof(text), "S%02x", stop->signal);
	answer(relay, text);
}

static bool answered_here(struct relay *relay, const char *payload)
{
	if (starts(payload, "qSupported")) {
		answer_features(relay);
	} else if (strcmp(payload, "QStartNoAckMode") == 0) {
		answer(relay, "OK");
		relay->client.no_ack = true;
	} else if (strcmp(payload, "vCont?") == 0) {
		answer_vcont(relay);
	} else if (strcmp(payload, "?") == 0) {
		answer_stop(relay);
	} else if (starts(payload, "QNonStop") || strcmp(payload, "vMustReplyEmpty") == 0) {
		answer(relay, "");
	} else {
		return false;
	}
	return true;
}

/* --- Breakpoints --- */

/* Z0 and Z1 at an address that the relay holds already need not go to the stub. */
static struct cs_error *breakpoint_packet(struct relay *relay, const char *payload, bool *done)
{
	struct client *client = &relay->client;
	const char *at = payload + 3;
	bool insert = payload[0] == 'Z';
	char type = payload[1];
	uint64_t address;
	bool first;

	*done = false;
	relay->watchpoints_used |= insert && type >= '2' && type <= '4';
	if ((type != '0' && type != '1') || payload[2] != ',' || !packet_hex_number(&at, &address))
		return NULL;
	if (!breakpoints_has(&relay->breakpoints, address, type, BREAKPOINT_OF_RELAY) || relay->all_lifted) {
		client->breakpoint.active = true;
		client->breakpoint.insert = insert;
		client->breakpoint.type = type;
		client->breakpoint.address = address;
		return NULL;
	}
	if (insert)
		CS_TRY(breakpoints_add(&relay->breakpoints, address, type, BREAKPOINT_OF_GDB, &first));
	else
		guest_note_lifted(relay, type, address);
	if (!insert)
		breakpoints_remove(&relay->breakpoints, address, type, BREAKPOINT_OF_GDB);
	answer(relay, "OK");
	*done = true;
	return NULL;
}

static struct cs_error *note_breakpoint(struct relay *relay, bool accepted)
{
	struct client *client = &relay->client;
	bool first;

	if (!client->breakpoint.active)
		return NULL;
	client->breakpoint.active = false;
	if (!accepted)
		return NULL;
	if (client->breakpoint.insert)
		return breakpoints_add(&relay->breakpoints, client->breakpoint.address, client->breakpoint.type,
				       BREAKPOINT_OF_GDB, &first);
	guest_note_lifted(relay, client->breakpoint.type, client->breakpoint.address);
	breakpoints_remove(&relay->breakpoints, client->breakpoint.address, client->breakpoint.type, BREAKPOINT_OF_GDB);
	return NULL;
}

/* --- Packets passed on --- */

static void note_thread_choice(struct relay *relay, const char *payload)
{
	char *pending = NULL;

	if (payload[1] == 'g')
		pending = relay->client.general_pending;
	else if (payload[1] == 'c')
		pending = relay->client.resume_pending;
	if (pending)
		reply_copy_thread(payload + 2, strlen(payload + 2), pending);
}

static void apply_thread_choice(struct relay *relay, bool accepted)
{
	struct client *client = &relay->client;

	if (accepted && client->general_pending[0]) {
		snprintf(relay->client_general, REPLY_THREAD_MAX, "%s", client->general_pending);
		snprintf(relay->stub_general, REPLY_THREAD_MAX, "%s", client->general_pending);
	}
	if (accepted && client->resume_pending[0]) {
		snprintf(relay->client_resume, REPLY_THREAD_MAX, "%s", client->resume_pending);
		snprintf(relay->stub_resume, REPLY_THREAD_MAX, "%s", client->resume_pending);
	}
	client->general_pending[0] = client->resume_pending[0] = '\0';
}

static struct cs_error *pass_on(struct relay *relay, const char *payload, size_t length)
{
	if (payload[0] == 'H')
		note_thread_choice(relay, payload);
	else
		CS_TRY(guest_restore_general(relay));
	relay->client.awaiting_reply = true;
	relay->client.asked_at = util_now_ns();
	return stub_send(relay->stub, payload, length);
}

/* GDB lets go of the guest: what was planted in it must not stop it when nobody listens. */
static struct cs_error *let_go(struct relay *relay, const char *payload, size_t length)
{
	CS_TRY(guest_lift_all(relay));
	relay->client.detaching = payload[0] == 'D';
	relay->client.killing = payload[0] == 'k' || starts(payload, "vKill");
	if (payload[0] == 'k') /* has no reply */
		return stub_send(relay->stub, payload, length);
	return pass_on(relay, payload, length);
}

static bool is_resume(const char *payload, enum resume_kind *kind)
{
	*kind = RESUME_CONTINUE;
	if (payload[0] && strchr("cCsS", payload[0]))
		return true;
	if (starts(payload, "vCont;"))
		return true;
	*kind = RESUME_REVERSE;
	if (strcmp(payload, "bc") == 0 || strcmp(payload, "bs") == 0)
		return true;
	*kind = RESUME_OTHER;
	return starts(payload, "vRun") || starts(payload, "vAttach");
}

/* QEMU aborts where it is asked for this without having offered it. */
static bool can_reverse(const struct relay *relay)
{
	return stub_feature(relay->stub, "ReverseStep") || stub_feature(relay->stub, "ReverseContinue");
}

/* The guest is lost. What is planted is planted in nothing; all else fails, and a resume shows GDB the end. */
static void handle_orphan(struct relay *relay, const char *payload)
{
	enum resume_kind kind;

	if (is_resume(payload, &kind) || payload[0] == 'D' || payload[0] == 'k' || starts(payload, "vKill"))
		client_close(relay);
	else
		answer(relay, payload[0] == 'z' || payload[0] == 'Z' ? "OK" : "E01");
}

static struct cs_error *handle(struct relay *relay, const char *payload, size_t length)
{
	enum resume_kind kind;
	bool done = false;

	if (relay->client.orphaned_at) {
		handle_orphan(relay, payload);
		return NULL;
	}
	if (answered_here(relay, payload))
		return NULL;
	if (payload[0] == 'Z' || payload[0] == 'z') {
		CS_TRY(breakpoint_packet(relay, payload, &done));
		return done ? NULL : pass_on(relay, payload, length);
	}
	if (payload[0] == 'D' || payload[0] == 'k' || starts(payload, "vKill"))
		return let_go(relay, payload, length);
	if (is_resume(payload, &kind)) {
		if (kind == RESUME_REVERSE && !can_reverse(relay)) {
			answer(relay, "");
			return NULL;
		}
		relay->client.awaiting_stop = true;
		relay->client.has_resumed = true;
		return guest_resume(relay, payload, length, kind);
	}
	return pass_on(relay, payload, length);
}

struct cs_error *client_reply(struct relay *relay, const struct stub_reply *reply)
{
	struct client *client = &relay->client;
	bool accepted = strcmp(reply->text, "OK") == 0;
	int number;

	if (reply->text[0] == 'O' && !accepted) { /* a monitor command's output; the end is still to come */
		client_send(relay, reply->raw, reply->raw_length);
		return NULL;
	}
	client->awaiting_reply = false;
	CS_TRY(note_breakpoint(relay, accepted));
	apply_thread_choice(relay, accepted);
	client_send(relay, reply->raw, reply->raw_length);
	if ((client->detaching || client->killing) && !reply_is_error(reply->text, reply->length, &number))
		relay_close(relay, client->detaching ? RELAY_CLOSED : RELAY_EXITED, NULL,
			    client->detaching ? "GDB detached; the guest runs on" : "GDB killed the guest");
	return NULL;
}

/* One item while the guest runs: only an interrupt means something, or GDB's answer to file I/O. */
static struct cs_error *while_running(struct relay *relay, const struct packet_item *item)
{
	if (item->kind == PACKET_INTERRUPT)
		return guest_interrupt(relay);
	if (item->kind == PACKET_DATA && item->payload[0] == 'F')
		return stub_send(relay->stub, item->payload, item->length);
	return NULL;
}

/* A packet must be answered, and what the stub refuses on the way to it is an answer. */
static struct cs_error *handle_packet(struct relay *relay, const struct packet_item *item)
{
	struct cs_error *error = handle(relay, item->payload, item->length);

	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	relay->client.awaiting_stop = false;
	answer(relay, "E01");
	return NULL;
}

static struct cs_error *handle_item(struct relay *relay, const struct packet_item *item)
{
	struct client *client = &relay->client;

	if (item->kind == PACKET_DATA && !client->no_ack && !write_all(relay, "+", 1))
		return NULL;
	if (item->kind == PACKET_CORRUPT && !client->no_ack)
		write_all(relay, "-", 1);
	if (item->kind == PACKET_NAK && !client->no_ack && client->last_frame)
		write_all(relay, client->last_frame, client->last_frame_length);
	if (relay_state(relay) == RELAY_RUNNING)
		return while_running(relay, item);
	if (item->kind == PACKET_INTERRUPT && client->has_resumed)
		return guest_interrupt(relay);
	return item->kind == PACKET_DATA ? handle_packet(relay, item) : NULL;
}

/* What a debugger says while the guest runs on its way to a stand keeps until then. */
static bool must_wait(struct relay *relay)
{
	const struct client *client = &relay->client;
	const char *next = client->input + client->input_at;

	return relay_state(relay) == RELAY_RUNNING && client->parser.state == PACKET_STATE_IDLE && *next == '$' &&
	       (client->input_end - client->input_at < 2 || next[1] != 'F');
}

struct cs_error *client_process(struct relay *relay)
{
	struct client *client = &relay->client;

	while (client->fd >= 0 && !client->awaiting_reply && client->input_at < client->input_end &&
	       !must_wait(relay)) {
		struct packet_item item;
		struct cs_error *error;
		size_t used;

		error = packet_feed(&client->parser, client->input + client->input_at,
				    client->input_end - client->input_at, &used, &item);
		if (error) { /* a debugger that sends such a thing is let go; the guest stays */
			cs_error_destroy(error);
			client_close(relay);
			return NULL;
		}
		client->input_at += used;
		CS_TRY(handle_item(relay, &item));
	}
	return NULL;
}
