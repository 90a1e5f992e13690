/* SPDX-License-Identifier: MIT */
/* GDB's side of the relay: the socket, what comes and goes on it, and how long what is asked there may take. What
 * becomes of a request is in gdb_carry.c. */
#include "relay/relay_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* GDB waits for at least a second before it takes a stub for dead (`set remotetimeout`). */
#define KEEP_NS 400000000u
/* After `k`, and after `R`: a stub that has not answered by then has no answer. */
#define KILL_NS 2000000000u
#define RESTART_NS 300000000u

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
	packet_parser_clear(&relay->client.parser);
	relay->client = (struct client){.fd = fd, .left = relay->client.left};
	/* A debugger that connects expects the guest to stand. */
	return relay_state(relay) == RELAY_RUNNING ? guest_interrupt(relay) : NULL;
}

void client_close(struct relay *relay)
{
	struct client *client = &relay->client;

	if (client->fd < 0)
		return;
	close(client->fd); /* the parser stays: it holds the packet that is being looked at */
	free(client->last_frame);
	client->last_frame = NULL;
	client->fd = -1;
	client->input_at = client->input_end = 0;
	/* What it asked for last is still on its way, and no answer to the next who asks. */
	if (client_awaits_stop(client))
		client->pending.kind = GDB_NOTHING;
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
		struct cs_error *error = NULL;

		if (breakpoints_remove(table, at.address, at.type, BREAKPOINT_OF_GDB))
			error = guest_take_out(relay, at.type, at.address);
		if (error && error->code != CS_ERROR_REFUSED) /* one that cannot be lifted keeps no other */
			return error;
		cs_error_destroy(error);
	}
	return watchpoints_lift(&relay->watchpoints, relay->stub);
}

/* GDB reads all that it is sent; where it does not in time, it has hung up or hangs, and is let go: false. */
static bool write_all(struct relay *relay, const char *bytes, size_t length)
{
	relay->client.spoken_at = util_now_ns();
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

void client_say(struct relay *relay, const char *text)
{
	client_send(relay, text, strlen(text));
}

/* Whether GDB waits for an answer: to what is under way, or to what has not even been read. */
static bool is_owed_an_answer(const struct client *client)
{
	struct pollfd at = {.fd = client->fd, .events = POLLIN};

	if (client->fd < 0 || client_awaits_stop(client))
		return false;
	return client->answering || client_awaits_reply(client) || poll(&at, 1, 0) > 0;
}

void client_keep_waiting(struct relay *relay)
{
	struct client *client = &relay->client;

	if (!is_owed_an_answer(client) || util_now_ns() - client->spoken_at < KEEP_NS)
		return;
	client->spoken_at = util_now_ns();
	/* No waiting here, and no judging: where GDB reads no more, its answer will find out. */
	(void)!send(client->fd, "+", 1, MSG_NOSIGNAL);
}

static bool lets_go(const struct client *client)
{
	return client->pending.kind == GDB_DETACH || client->pending.kind == GDB_KILL ||
	       client->pending.kind == GDB_KILL_UNANSWERED;
}

void client_lose_guest(struct relay *relay, bool gone)
{
	struct client *client = &relay->client;

	if (client->fd < 0 || client_awaits_stop(client) || lets_go(client)) {
		client_close(relay);
		return;
	}
	client->orphaned_at = util_now_ns();
	if (client_awaits_reply(client) && (client->judging || !gone))
		client_say(relay, "E01");
	if (!client->judging)
		client_close(relay);
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

struct cs_error *client_look_at_clock(struct relay *relay)
{
	struct client *client = &relay->client;
	uint64_t waited = util_now_ns() - client->asked_at;

	if (client->orphaned_at && util_now_ns() - client->orphaned_at > (uint64_t)relay->timeout_ms * 1000000u)
		client_close(relay);
	client_keep_waiting(relay);
	if (client->pending.kind == GDB_RESTART && waited > RESTART_NS) {
		client->pending.kind = GDB_NOTHING;
		return client_process(relay);
	}
	if (client->pending.kind == GDB_KILL_UNANSWERED && waited > KILL_NS)
		client_end_unsettled(
			relay, "GDB asked for the guest's end (k), of which the stub says nothing: it may run on");
	if (client_awaits_reply(client) && client->pending.kind != GDB_MONITOR &&
	    waited > (uint64_t)relay->timeout_ms * 1000000u)
		return cs_error_create(CS_ERROR_TIMEOUT, "%s: the stub does not answer GDB's last request",
				       relay->address);
	return NULL;
}

/* --- Reading --- */

/* Ctrl-C. One that comes while the guest stands is kept for the next resume: GDB sends it before its next packet where
 * it was pressed between two of GDB's steps. */
static struct cs_error *interrupt(struct relay *relay)
{
	/* Before any packet it is part of how GDB connects (`set remote interrupt-on-connect`): the guest is brought to
	 * a stand anyway. */
	return relay->client.heard ? guest_interrupt(relay) : NULL;
}

/* While the guest runs only GDB's answer to file I/O means something. */
static struct cs_error *take_packet(struct relay *relay, const struct packet_item *item)
{
	relay->client.heard = true;
	if (relay_state(relay) != RELAY_RUNNING)
		return client_carry_out(relay, item);
	return item->payload[0] == 'F' ? stub_send(relay->stub, item->payload, item->length) : NULL;
}

static struct cs_error *handle_item(struct relay *relay, const struct packet_item *item)
{
	struct client *client = &relay->client;

	switch (item->kind) {
	case PACKET_DATA:
		/* `k` is a debugger's last word: it need not wait for what becomes of it. */
		if (!client->no_ack && !write_all(relay, "+", 1) && strcmp(item->payload, "k") != 0)
			return NULL;
		return take_packet(relay, item);
	case PACKET_CORRUPT:
		if (!client->no_ack)
			write_all(relay, "-", 1);
		return NULL;
	case PACKET_NAK:
		if (!client->no_ack && client->last_frame)
			write_all(relay, client->last_frame, client->last_frame_length);
		return NULL;
	case PACKET_INTERRUPT: return interrupt(relay);
	case PACKET_NONE:
	case PACKET_ACK:
	case PACKET_NOTIFICATION:
	case PACKET_GARBAGE: return NULL;
	}
	return NULL;
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

	while (client->fd >= 0 && !client_awaits_reply(client) && client->input_at < client->input_end &&
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
