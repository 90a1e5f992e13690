/* SPDX-License-Identifier: MIT */
#include "relay/gdb_side.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* GDB waits for at least a second before it takes a stub for dead (`set remotetimeout`). */
#define KEEP_NS 400000000u
/* For a debugger's last acknowledgement. */
#define FAREWELL_MS 500
/* GDB asks so often for a reply to be sent again, and then goes on without it (remote.c, MAX_TRIES). */
#define TRIES_MAX 3

/* --- What is under way --- */

void client_note_pending(struct client *client, const struct gdb_request *request)
{
	client->pending = (struct pending){
		.kind = gdb_request_resumes(request->kind) ? PENDING_STOP : PENDING_REPLY,
		.request = *request,
		.since = util_now_ns(),
	};
}

void client_note_answered(struct client *client)
{
	client->pending = (struct pending){0};
}

bool client_awaits_reply(const struct client *client)
{
	return client->pending.kind == PENDING_REPLY;
}

bool client_awaits_stop(const struct client *client)
{
	return client->pending.kind == PENDING_STOP;
}

bool client_has_waited(const struct client *client, uint64_t nanoseconds)
{
	return util_now_ns() - client->pending.since >= nanoseconds;
}

/* --- Coming and going --- */

void client_init(struct client *client, unsigned timeout_ms)
{
	client->fd = -1;
	client->timeout_ms = timeout_ms;
}

void client_clear(struct client *client)
{
	packet_parser_clear(&client->parser);
}

static bool has_hung_up(int fd)
{
	struct pollfd at = {.fd = fd, .events = POLLRDHUP};

	return fd >= 0 && poll(&at, 1, 0) > 0;
}

bool client_may_come(const struct client *client)
{
	return !has_hung_up(client->fd);
}

void client_begin(struct client *client, int fd)
{
	packet_parser_clear(&client->parser);
	*client = (struct client){
		.fd = fd,
		.timeout_ms = client->timeout_ms,
		.gone = client->gone,
		.gone_context = client->gone_context,
		.sent = client->sent,
		.left = client->left,
	};
}

void client_close(struct client *client)
{
	if (client->fd < 0)
		return;
	close(client->fd); /* the parser stays: it holds the packet that is being looked at */
	free(client->last_frame);
	client->last_frame = NULL;
	client->fd = -1;
	client->input_at = client->input_end = 0;
	/* What it asked for last is still on its way, and no answer to the next who asks. */
	if (client_awaits_stop(client))
		client_note_answered(client);
	client->left = true;
	client->orphaned_at = 0;
	if (client->gone)
		client->gone(client->gone_context);
}

/* --- Writing --- */

/* GDB reads all that it is sent; where it does not in time, it has hung up or hangs, and is let go: false. */
static bool write_all(struct client *client, const char *bytes, size_t length)
{
	client->spoken_at = util_now_ns();
	while (length) {
		ssize_t n = send(client->fd, bytes, length, MSG_NOSIGNAL);
		struct pollfd wait = {.fd = client->fd, .events = POLLOUT};

		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		} else if (errno != EINTR && (errno != EAGAIN || poll(&wait, 1, (int)client->timeout_ms) == 0)) {
			client_close(client);
			return false;
		}
	}
	return true;
}

void client_send(struct client *client, const char *raw, size_t length)
{
	struct cs_error *error;

	if (client->fd < 0)
		return;
	free(client->last_frame);
	client->last_frame = NULL;
	error = packet_frame(raw, length, &client->last_frame, &client->last_frame_length);
	if (error)
		client_close(client);
	else
		write_all(client, client->last_frame, client->last_frame_length);
	cs_error_destroy(error);
	++*client->sent;
}

void client_say(struct client *client, const char *text)
{
	client_send(client, text, strlen(text));
}

/* Whether GDB waits for an answer: to what is under way, or to what has not even been read. */
static bool is_owed_an_answer(const struct client *client)
{
	struct pollfd at = {.fd = client->fd, .events = POLLIN};

	if (client->fd < 0 || client_awaits_stop(client))
		return false;
	return client->answering || client_awaits_reply(client) || poll(&at, 1, 0) > 0;
}

void client_keep_waiting(struct client *client)
{
	if (!is_owed_an_answer(client) || util_now_ns() - client->spoken_at < KEEP_NS)
		return;
	client->spoken_at = util_now_ns();
	/* No waiting here, and no judging: where GDB reads no more, its answer will find out. */
	(void)!send(client->fd, "+", 1, MSG_NOSIGNAL);
}

static bool lets_go(const struct client *client)
{
	enum gdb_request_kind asked = client->pending.request.kind;

	return asked == GDB_DETACH || asked == GDB_KILL || asked == GDB_KILL_UNANSWERED;
}

void client_lose_guest(struct client *client, bool gone)
{
	if (client->fd < 0 || client_awaits_stop(client) || lets_go(client)) {
		client_close(client);
		return;
	}
	client->orphaned_at = util_now_ns();
	if (client_awaits_reply(client) && (client->judging || !gone))
		client_say(client, "E01");
	if (!client->judging)
		client_close(client);
}

void client_look_at_clock(struct client *client)
{
	if (client->orphaned_at && util_now_ns() - client->orphaned_at > (uint64_t)client->timeout_ms * 1000000u)
		client_close(client);
	client_keep_waiting(client);
}

void client_say_farewell(struct client *client)
{
	struct pollfd at = {.fd = client->fd, .events = POLLIN};

	client_say(client, "OK");
	if (client->fd >= 0 && !client->no_ack)
		poll(&at, 1, FAREWELL_MS);
}

/* --- Reading --- */

void client_read(struct client *client)
{
	size_t room;
	ssize_t n;

	memmove(client->input, client->input + client->input_at, client->input_end - client->input_at);
	client->input_end -= client->input_at;
	client->input_at = 0;
	room = sizeof(client->input) - client->input_end;
	if (!room)
		return;
	n = recv(client->fd, client->input + client->input_end, room, 0);
	if (n > 0)
		client->input_end += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		client_close(client);
}

bool client_gave_up(struct client *client)
{
	unsigned tries = 0;

	if (client->fd < 0)
		return false;
	client_read(client);
	for (; client->input_at < client->input_end; client->input_at++) {
		char byte = client->input[client->input_at];

		if (byte != '+' && byte != '-')
			break;
		tries += byte == '-';
	}
	return tries >= TRIES_MAX || (tries && client->input_at < client->input_end);
}

/* Acknowledges what has come. Whether it is for those who carry requests out. */
static bool take_item(struct client *client, const struct packet_item *item)
{
	switch (item->kind) {
	case PACKET_DATA:
		/* `k` is a debugger's last word: it need not wait for what becomes of it. */
		return client->no_ack || write_all(client, "+", 1) || strcmp(item->payload, "k") == 0;
	case PACKET_CORRUPT:
		if (!client->no_ack)
			write_all(client, "-", 1);
		return false;
	case PACKET_NAK:
		if (!client->no_ack && client->last_frame)
			write_all(client, client->last_frame, client->last_frame_length);
		return false;
	case PACKET_INTERRUPT: return true;
	case PACKET_NONE:
	case PACKET_ACK:
	case PACKET_NOTIFICATION:
	case PACKET_GARBAGE: return false;
	}
	return false;
}

/* What a debugger says while the guest runs on its way to a stand keeps until then. */
static bool must_wait(const struct client *client, bool guest_runs)
{
	const char *next = client->input + client->input_at;

	return guest_runs && client->parser.state == PACKET_STATE_IDLE && *next == '$' &&
	       (client->input_end - client->input_at < 2 || next[1] != 'F');
}

bool client_next(struct client *client, bool guest_runs, struct packet_item *ret)
{
	while (client->fd >= 0 && !client_awaits_reply(client) && client->input_at < client->input_end &&
	       !must_wait(client, guest_runs)) {
		struct cs_error *error;
		size_t used;

		error = packet_feed(&client->parser, client->input + client->input_at,
				    client->input_end - client->input_at, &used, ret);
		if (error) { /* a debugger that sends such a thing is let go; the guest stays */
			cs_error_destroy(error);
			client_close(client);
			return false;
		}
		client->input_at += used;
		if (take_item(client, ret))
			return true;
	}
	return false;
}
