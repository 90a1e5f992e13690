/* SPDX-License-Identifier: MIT */
/*
 * The connection to a gdbstub, and requests that are answered while the guest is stopped. One thread uses a stub at a
 * time.
 *
 * What real stubs do beside the manual is in rsp/quirks.c. The rules that
 * matter here: only what was advertised is sent; an acknowledgement is finished before a resume
 * packet; nothing but 0x03 is sent while the guest runs.
 */
#ifndef CLOCKSCOPE_STUB_H
#define CLOCKSCOPE_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rsp/description.h"
#include "rsp/packet.h"
#include "rsp/reply.h"

/* A payload that arrived: raw as it was framed, and decoded. Released by reply_clear(). */
struct stub_reply {
	char *raw;
	size_t raw_length;
	char *text; /* decoded, NUL-terminated */
	size_t length;
};

void stub_reply_clear(struct stub_reply *reply);

struct stub_feature {
	char *name;
	char *value; /* "+", "-", or what stood behind '=' */
};

struct stub {
	int fd;
	int cancel_fd; /* readable once the current wait is to be given up; owned by the creator */
	char *address;
	unsigned timeout_ms; /* for each reply while stopped */
	/* Called now and then while the stub is waited for; NULL: nobody wants to know. It must not use the stub. */
	void (*waiting)(void *context);
	void *waiting_context;

	bool no_ack;
	bool multiprocess;
	size_t packet_size; /* the longest payload the stub takes */
	struct stub_feature *features;
	size_t feature_count;
	size_t feature_room;
	unsigned quirks;         /* bits by enum quirk_id: what it does beside the manual, as far as it is known */
	char vcont[8];           /* the actions of vCont?, such as "cCsSr"; empty where there is no vCont */
	const struct arch *arch; /* of the guest */
	struct target *target;
	struct stub_reply first_stop; /* the answer to `?` */

	struct packet_parser parser;
	char input[16384];
	size_t input_at;
	size_t input_end;
	char *last_frame; /* for a NAK */
	size_t last_frame_length;
	bool acknowledged; /* the packet sent last: by its reply, or before that */
	size_t garbage;    /* bytes outside any packet */

	_Atomic uint64_t packets_sent; /* other threads look at it */
	uint64_t packets_received;
};

/* Connects to HOST:PORT, [IPv6]:PORT or the path of a Unix socket, and says nothing: what the stub can do is found out
 * by handshake(). `cancel_fd` must outlive the stub. CS_ERROR_CONNECT where nothing listens. */
struct cs_error *stub_connect(const char *address, int cancel_fd, unsigned connect_timeout_ms, unsigned timeout_ms,
			      struct stub **ret);

/* Closes the connection, without a word to the stub. */
void stub_destroy(struct stub *stub);

/* The value of an advertised feature ("+", "1000", …), or NULL. It belongs to the stub. */
const char *stub_feature(const struct stub *stub, const char *name);

/* Sends one payload, already escaped, without waiting for a reply. */
struct cs_error *stub_send(struct stub *stub, const void *payload, size_t length);

/* Sends the interrupt byte. */
struct cs_error *stub_send_interrupt(struct stub *stub);

/* Waits for the next packet, acknowledges it, and decodes it. *reply is NULL-cleared on error.
 * A negative timeout_ms uses the stub's own; 0 only looks at what has arrived. *got is false at the
 * time limit. */
struct cs_error *stub_receive(struct stub *stub, int timeout_ms, struct stub_reply *reply, bool *got);

/* Whether a packet may be complete in the buffer already, without reading from the descriptor. */
bool stub_has_input(const struct stub *stub);

/* Sends a payload and waits for its reply. Console output (`O` packets) that comes before is skipped. */
struct cs_error *stub_request(struct stub *stub, const void *payload, size_t length, struct stub_reply *reply);

/* As stub_request() for a printf-formatted text; the reply is judged: OK is success, an error or an
 * empty reply is CS_ERROR_REFUSED that quotes the request. */
struct cs_error *stub_command(struct stub *stub, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sends `count` requests and collects their replies in order, all at once where the stub needs no
 * acknowledgements. The replies are the caller's to clear, on error too. */
struct cs_error *stub_pipeline(struct stub *stub, const char *const *requests, size_t count,
			       struct stub_reply *replies);

/* Guest memory at a virtual address. CS_ERROR_REFUSED names the address that cannot be read. */
struct cs_error *stub_read(struct stub *stub, uint64_t address, void *buffer, size_t length);
struct cs_error *stub_write(struct stub *stub, uint64_t address, const void *bytes, size_t length);

/* All registers of the thread that `H g` last chose. *ret is malloc'd. */
struct cs_error *stub_read_registers(struct stub *stub, uint8_t **ret, size_t *ret_length);

/* Runs a monitor command; its output, malloc'd, NUL-terminated. CS_ERROR_REFUSED where there is none. */
struct cs_error *stub_monitor(struct stub *stub, const char *command, char **ret);

#endif
