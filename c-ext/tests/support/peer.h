/* SPDX-License-Identifier: MIT */
/*
 * A small stub for tests: a thread that listens on a Unix socket and answers from a table. It plays a machine of
 * one processor that walks through a list of addresses, with GDB's own register layout. The big scripted
 * stub with every quirk is plugin/tests/scripted_stub.py; this one is for what needs C: waits and threads.
 */
#ifndef CLOCKSCOPE_TESTS_PEER_H
#define CLOCKSCOPE_TESTS_PEER_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"
#include "rsp/description.h"
#include "rsp/packet.h"

#define PEER_BREAKPOINTS 16
#define PEER_G_SIZE 164 /* target_create_assumed() */
#define PEER_PC_AT 128

/* What comes before everything else: the reply to requests that begin so. NULL as reply: no reply at all. */
struct peer_answer {
	const char *request;
	const char *reply;
};

struct peer {
	const struct peer_answer *answers; /* a NULL request ends them */
	const uint64_t *walk;              /* addresses of the instructions, in order; 0 ends them */
	bool floods;                       /* once the guest has been set going, '+' comes without end */
	bool runs_on;                      /* at the end of the walk the guest runs until 0x03, instead of exiting */

	/* The peer's own: */
	char directory[40];
	char path[64];
	int listen_fd;
	int end_fd[2];
	pthread_t thread;
	int client;
	size_t at; /* in the walk */
	bool running;
	uint64_t breakpoints[PEER_BREAKPOINTS];
	pthread_mutex_t lock; /* guards the log */
	char log[65536];      /* the requests, each with a space behind it; ^C for an interrupt */
};

static inline void peer_send(struct peer *peer, const char *payload)
{
	FREE char *frame = NULL;
	size_t length;

	if (!packet_frame(payload, strlen(payload), &frame, &length))
		(void)!send(peer->client, frame, length, MSG_NOSIGNAL);
}

static inline void peer_note(struct peer *peer, const char *text)
{
	size_t n;

	pthread_mutex_lock(&peer->lock);
	n = strlen(peer->log);
	snprintf(peer->log + n, sizeof(peer->log) - n, "%s ", text);
	pthread_mutex_unlock(&peer->lock);
}

/* Whether a request of that very text has arrived. */
static inline bool peer_has_seen(struct peer *peer, const char *text)
{
	char wanted[128];
	bool seen;

	snprintf(wanted, sizeof(wanted), "%s ", text);
	pthread_mutex_lock(&peer->lock);
	seen = strstr(peer->log, wanted) != NULL;
	pthread_mutex_unlock(&peer->lock);
	return seen;
}

/* Waits up to two seconds for it. */
static inline bool peer_sees(struct peer *peer, const char *text)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	for (int i = 0; i < 1000 && !peer_has_seen(peer, text); i++)
		nanosleep(&pause, NULL);
	return peer_has_seen(peer, text);
}

static inline bool peer_breaks(const struct peer *peer, uint64_t address)
{
	for (size_t i = 0; i < PEER_BREAKPOINTS; i++)
		if (peer->breakpoints[i] == address)
			return true;
	return false;
}

/* Z and z: nothing of one breakpoint is kept but its address. */
static inline void peer_breakpoint(struct peer *peer, const char *request)
{
	const char *at = request + 3;
	uint64_t from = 0;
	uint64_t address;

	packet_hex_number(&at, &address);
	if (request[0] == 'z')
		from = address;
	for (size_t i = 0; i < PEER_BREAKPOINTS; i++)
		if (peer->breakpoints[i] == from) {
			peer->breakpoints[i] = request[0] == 'Z' ? address : 0;
			break;
		}
	peer_send(peer, "OK");
}

static inline void peer_registers(struct peer *peer)
{
	uint8_t g[PEER_G_SIZE] = {0};
	char hex[2 * PEER_G_SIZE + 1];

	memcpy(g + PEER_PC_AT, &peer->walk[peer->at], sizeof(uint64_t));
	packet_hex(g, sizeof(g), hex);
	peer_send(peer, hex);
}

/* Until the client leaves or the test ends. */
static inline void peer_flood(struct peer *peer)
{
	struct pollfd fds[] = {{.fd = peer->client, .events = POLLOUT}, {.fd = peer->end_fd[0], .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents && send(peer->client, "+", 1, MSG_NOSIGNAL) > 0)
		;
}

/* As QEMU: a guest that stands at a breakpoint is stopped by it without progress, unless it is stepped. */
static inline void peer_run(struct peer *peer, bool step)
{
	if (step && peer->walk[peer->at])
		peer->at++;
	while (!step && peer->walk[peer->at] && !peer_breaks(peer, peer->walk[peer->at]))
		peer->at++;
	if (peer->floods)
		peer_flood(peer);
	peer->running = !peer->walk[peer->at] && peer->runs_on;
	if (!peer->running)
		peer_send(peer, peer->walk[peer->at] ? "T05thread:1;" : "W00");
}

static inline void peer_answer(struct peer *peer, const char *request)
{
	for (const struct peer_answer *answer = peer->answers; answer && answer->request; answer++)
		if (strncmp(request, answer->request, strlen(answer->request)) == 0) {
			if (answer->reply)
				peer_send(peer, answer->reply);
			return;
		}
	if (strncmp(request, "qSupported", 10) == 0)
		peer_send(peer, "PacketSize=1000");
	else if (strcmp(request, "?") == 0)
		peer_send(peer, "T05thread:1;");
	else if (strcmp(request, "vCont?") == 0)
		peer_send(peer, "vCont;c;C;s;S");
	else if (request[0] == 'H' || request[0] == 'D')
		peer_send(peer, "OK");
	else if (request[0] == 'Z' || request[0] == 'z')
		peer_breakpoint(peer, request);
	else if (strcmp(request, "g") == 0)
		peer_registers(peer);
	else if (strncmp(request, "vCont;", 6) == 0)
		peer_run(peer, request[6] == 's');
	else
		peer_send(peer, "");
}

static inline void peer_item(struct peer *peer, const struct packet_item *item)
{
	if (item->kind == PACKET_DATA) {
		(void)!send(peer->client, "+", 1, MSG_NOSIGNAL);
		peer_note(peer, item->payload);
		peer_answer(peer, item->payload);
	} else if (item->kind == PACKET_INTERRUPT) {
		peer_note(peer, "^C");
		if (peer->running)
			peer_send(peer, "T02thread:1;");
		peer->running = false;
	}
}

/* Serves one client until it leaves, or the test ends. */
static inline void peer_serve(struct peer *peer)
{
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	struct pollfd fds[] = {{.fd = peer->client, .events = POLLIN}, {.fd = peer->end_fd[0], .events = POLLIN}};
	char bytes[4096];
	ssize_t n;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents && (n = recv(peer->client, bytes, sizeof(bytes), 0)) > 0)
		for (size_t at = 0, used; at < (size_t)n; at += used) {
			struct packet_item item;

			if (packet_feed(&parser, bytes + at, (size_t)n - at, &used, &item))
				return;
			peer_item(peer, &item);
		}
}

static inline void *peer_main(void *context)
{
	struct peer *peer = context;
	struct pollfd fds[] = {{.fd = peer->listen_fd, .events = POLLIN}, {.fd = peer->end_fd[0], .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		peer->client = accept(peer->listen_fd, NULL, NULL);
		peer_serve(peer);
		close(peer->client);
	}
	return NULL;
}

/* Ends the connection to the client, as a killed emulator does. */
static inline void peer_hang_up(struct peer *peer)
{
	shutdown(peer->client, SHUT_RDWR);
}

static inline void peer_start(struct peer *peer)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	strcpy(peer->directory, "/tmp/clockscope-XXXXXX");
	if (!mkdtemp(peer->directory) || pipe(peer->end_fd))
		abort();
	snprintf(peer->path, sizeof(peer->path), "%s/stub", peer->directory);
	memcpy(at.sun_path, peer->path, strlen(peer->path) + 1);
	peer->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pthread_mutex_init(&peer->lock, NULL);
	if (bind(peer->listen_fd, (struct sockaddr *)&at, sizeof(at)) || listen(peer->listen_fd, 8) ||
	    pthread_create(&peer->thread, NULL, peer_main, peer))
		abort();
}

static inline void peer_stop(struct peer *peer)
{
	close(peer->end_fd[1]);
	pthread_join(peer->thread, NULL);
	close(peer->end_fd[0]);
	close(peer->listen_fd);
	unlink(peer->path);
	rmdir(peer->directory);
	pthread_mutex_destroy(&peer->lock);
}

#endif
