/* SPDX-License-Identifier: MIT */
/*
 * GDB's side of the relay: the connection of one debugger, and what it waits for. What becomes of its requests is in
 * gdb_carry.c.
 */
#ifndef CLOCKSCOPE_GDB_SIDE_H
#define CLOCKSCOPE_GDB_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/gdb_dialect.h"
#include "relay/gdb_request.h"
#include "rsp/packet.h"

enum pending_kind {
	PENDING_NOTHING,
	PENDING_REPLY, /* a request was passed on, whose answer is no stop */
	PENDING_STOP,  /* the guest was resumed */
};

/* What was passed on and has not been answered. A reply that is under way outlives the debugger that asked for it: it
 * must not be taken for the answer to another's question. */
struct pending {
	enum pending_kind kind;
	struct gdb_request request;
	uint64_t since; /* ns */
};

struct client {
	int fd; /* -1: none */
	unsigned timeout_ms;
	/* Handed in: called when a debugger is gone. */
	void (*gone)(void *context);
	void *gone_context;
	_Atomic uint64_t *sent; /* packets to all debuggers: counted where other threads may look */
	bool no_ack;
	bool heard; /* it has sent a packet */
	struct gdb_dialect dialect;
	struct pending pending;
	bool stop_unread;   /* it was told of a stop, and has said nothing since: for it, the guest runs */
	bool answering;     /* a request is being looked at, which GDB expects an answer to */
	uint64_t spoken_at; /* ns: when something was last written to it */
	struct packet_parser parser;
	char input[16384];
	size_t input_at;
	size_t input_end;
	char *last_frame;
	size_t last_frame_length;
	uint64_t orphaned_at; /* ns: when it lost a guest that stood for it; 0: it did not */
	size_t planted;       /* breakpoints and watchpoints that it asked for, without those that it has lifted */
	bool judging;         /* a stop, perhaps of one of those; before it tells its user it lifts them */
	bool left;            /* without taking its breakpoints along */
};

void client_init(struct client *client, unsigned timeout_ms);
void client_clear(struct client *client);

/* A debugger has come: one at a time, as every stub has it. False where it is let in later, when the last words of the
 * one before are read. */
bool client_may_come(const struct client *client);
/* Takes the descriptor over. */
void client_begin(struct client *client, int fd);
/* The guest stays as it is; GDB may come back. */
void client_close(struct client *client);

/* GDB's guest is lost, and its stub `gone`, or out of step. GDB's connection ends with it, unless GDB may be looking at
 * a stop of its breakpoints: then it is kept up until GDB resumes the guest, or for as long as a request may take.
 * GDB 13.1 aborts where a connection ends just then. */
void client_lose_guest(struct client *client, bool gone);

/* Reads what GDB sent. */
void client_read(struct client *client);
/* The next of what has been read, acknowledged; false where there is none, or where it keeps until the guest stands:
 * of what a debugger says while the guest runs only Ctrl-C and file I/O count. */
bool client_next(struct client *client, bool guest_runs, struct packet_item *ret);
/* Whether GDB has stopped waiting for a reply: it asked for it again and again, or went on to another request. What it
 * said on the way is taken from the input. In step or not, it would take a late reply for the next one's. */
bool client_gave_up(struct client *client);

void client_send(struct client *client, const char *raw, size_t length);
void client_say(struct client *client, const char *text);
/* The last word to a debugger that acknowledges: it writes once more, and takes a closed connection for a failure. */
void client_say_farewell(struct client *client);

/* While GDB waits for an answer: a byte now and then, that GDB skips. Its patience begins anew with each (remote.c,
 * getpkt), and GDB never takes a late answer for the next one. Called by whatever waits for the stub. */
void client_keep_waiting(struct client *client);
/* The same, and lets go of one whose guest is lost. */
void client_look_at_clock(struct client *client);

/* What waits for an answer. */
void client_note_pending(struct client *client, const struct gdb_request *request);
void client_note_answered(struct client *client);
bool client_awaits_reply(const struct client *client);
bool client_awaits_stop(const struct client *client);
bool client_has_waited(const struct client *client, uint64_t nanoseconds);

#endif
