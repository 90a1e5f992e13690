/* SPDX-License-Identifier: MIT */
#include "rsp/stub.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "rsp/connect.h"

/* A peer that sends this much outside of any packet before its first one is no stub. */
#define GARBAGE_MAX 4096
/* A reply may be damaged on a serial line; a stub that goes on like this is broken. */
#define RETRIES_MAX 10
/* Requests on their way at once. Their replies must fit into the sockets' buffers: a stub that cannot get
 * rid of one reads no further request. */
#define PIPELINE_MAX 32
/* Between two calls of `waiting`. */
#define WAITING_MS 100
/* Memory is mapped, or not, by this much at the least. */
#define PAGE_SIZE 4096u

static void destroy_pointer(struct stub **stub)
{
	stub_destroy(*stub);
}

struct cs_error *stub_connect(const char *address, int cancel_fd, unsigned connect_timeout_ms, unsigned timeout_ms,
			      struct stub **ret)
{
	CLEANUP(destroy_pointer) struct stub *stub = calloc(1, sizeof(*stub));

	if (!stub)
		return &cs_error_no_memory;
	stub->fd = -1;
	stub->cancel_fd = cancel_fd;
	stub->timeout_ms = timeout_ms;
	stub->address = strdup(address);
	if (!stub->address)
		return &cs_error_no_memory;
	CS_TRY(connect_stream(address, cancel_fd, connect_timeout_ms, &stub->fd));
	*ret = TAKE_PTR(stub);
	return NULL;
}

void stub_destroy(struct stub *stub)
{
	if (!stub)
		return;
	if (stub->fd >= 0)
		close(stub->fd);
	for (size_t i = 0; i < stub->feature_count; i++) {
		free(stub->features[i].name);
		free(stub->features[i].value);
	}
	free(stub->features);
	target_destroy(stub->target);
	stub_reply_clear(&stub->first_stop);
	packet_parser_clear(&stub->parser);
	free(stub->last_frame);
	free(stub->address);
	free(stub);
}

const char *stub_feature(const struct stub *stub, const char *name)
{
	for (size_t i = 0; i < stub->feature_count; i++)
		if (strcmp(stub->features[i].name, name) == 0)
			return stub->features[i].value;
	return NULL;
}

void stub_reply_clear(struct stub_reply *reply)
{
	free(reply->raw);
	free(reply->text);
	*reply = (struct stub_reply){0};
}

static struct cs_error *closed(const struct stub *stub)
{
	return cs_error_create(CS_ERROR_CLOSED,
			       "%s: the stub closed the connection; the guest is gone or was taken over",
			       stub->address);
}

/* Waits until the descriptor is ready for `events`. *ready is false at the time limit. */
static struct cs_error *await(struct stub *stub, short events, int timeout_ms, bool *ready)
{
	struct pollfd fds[] = {{.fd = stub->fd, .events = events}, {.fd = stub->cancel_fd, .events = POLLIN}};
	int left = timeout_ms;
	int n;

	for (;;) {
		int slice = left < WAITING_MS ? left : WAITING_MS;

		n = poll(fds, 2, slice);
		if (n > 0 || (n < 0 && errno != EINTR) || left <= slice)
			break;
		left -= n < 0 ? 0 : slice;
		if (stub->waiting)
			stub->waiting(stub->waiting_context);
	}
	if (n < 0 && errno != EINTR)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "%s: poll", stub->address);
	if (fds[1].revents)
		return cs_error_create(CS_ERROR_TIMEOUT, "%s: waiting for the stub was interrupted", stub->address);
	*ready = fds[0].revents != 0;
	return NULL;
}

static struct cs_error *write_all(struct stub *stub, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = send(stub->fd, bytes, length, MSG_NOSIGNAL);
		bool ready = false;

		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		} else if (errno == EAGAIN) {
			CS_TRY(await(stub, POLLOUT, (int)stub->timeout_ms, &ready));
			if (!ready)
				return cs_error_create(CS_ERROR_TIMEOUT, "%s: the stub takes no more data",
						       stub->address);
		} else if (errno != EINTR) {
			return closed(stub);
		}
	}
	return NULL;
}

struct cs_error *stub_send(struct stub *stub, const void *payload, size_t length)
{
	free(stub->last_frame);
	stub->last_frame = NULL;
	CS_TRY(packet_frame(payload, length, &stub->last_frame, &stub->last_frame_length));
	stub->packets_sent++;
	stub->acknowledged = stub->no_ack;
	return write_all(stub, stub->last_frame, stub->last_frame_length);
}

struct cs_error *stub_send_interrupt(struct stub *stub)
{
	return write_all(stub, "\003", 1);
}

bool stub_has_input(const struct stub *stub)
{
	return stub->input_at < stub->input_end;
}

static struct cs_error *no_stub(const struct stub *stub)
{
	return cs_error_create(CS_ERROR_PROTOCOL, "%s: what listens there is no gdbstub; is the port right?",
			       stub->address);
}

/* Reads more bytes from the descriptor. *got is false at the time limit. */
static struct cs_error *fill(struct stub *stub, int timeout_ms, bool *got)
{
	ssize_t n;

	CS_TRY(await(stub, POLLIN, timeout_ms, got));
	if (!*got)
		return NULL;
	n = recv(stub->fd, stub->input, sizeof(stub->input), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return stub->garbage && !stub->packets_received ? no_stub(stub) : closed(stub);
	stub->input_at = 0;
	stub->input_end = n > 0 ? (size_t)n : 0;
	return NULL;
}

static struct cs_error *take(struct stub *stub, const struct packet_item *item, struct stub_reply *reply)
{
	stub->packets_received++;
	if (!stub->no_ack) /* a stub that is gone already has still said this: the next read tells of its end */
		cs_error_destroy(write_all(stub, "+", 1));
	CS_TRY(packet_decode(item->payload, item->length, &reply->text, &reply->length));
	reply->raw = malloc(item->length + 1);
	if (!reply->raw)
		return &cs_error_no_memory;
	memcpy(reply->raw, item->payload, item->length);
	reply->raw[item->length] = '\0';
	reply->raw_length = item->length;
	return NULL;
}

/* Looks at one item. *done once it is the packet that was waited for. */
static struct cs_error *accept_item(struct stub *stub, const struct packet_item *item, unsigned *retries,
				    struct stub_reply *reply, bool *done)
{
	switch (item->kind) {
	case PACKET_DATA: *done = true; return take(stub, item, reply);
	case PACKET_CORRUPT:
		if (++*retries > RETRIES_MAX || stub->no_ack)
			return cs_error_create(CS_ERROR_PROTOCOL, "%s: the stub sent a packet with a wrong checksum",
					       stub->address);
		return write_all(stub, "-", 1);
	case PACKET_NAK:
		if (++*retries > RETRIES_MAX)
			return cs_error_create(CS_ERROR_PROTOCOL, "%s: the stub refuses every packet as damaged",
					       stub->address);
		if (!stub->no_ack && stub->last_frame)
			return write_all(stub, stub->last_frame, stub->last_frame_length);
		return NULL;
	case PACKET_GARBAGE:
	case PACKET_INTERRUPT:
		if (++stub->garbage > GARBAGE_MAX && !stub->packets_received)
			return no_stub(stub);
		return NULL;
	case PACKET_ACK: stub->acknowledged = true; return NULL;
	case PACKET_NONE:
	case PACKET_NOTIFICATION: return NULL;
	}
	return NULL;
}

static uint64_t deadline_in(unsigned ms)
{
	return util_now_ns() + (uint64_t)ms * 1000000u;
}

/* Milliseconds from now, rounded up; 0 if it is over. */
static int ms_until(uint64_t deadline)
{
	uint64_t now = util_now_ns();

	return now < deadline ? (int)((deadline - now + 999999) / 1000000u) : 0;
}

static struct cs_error *receive(struct stub *stub, int timeout_ms, struct stub_reply *reply, bool *got)
{
	uint64_t deadline = deadline_in(timeout_ms < 0 ? stub->timeout_ms : (unsigned)timeout_ms);
	unsigned retries = 0;

	for (bool looked = false;; looked = true) {
		struct packet_item item;
		size_t used;

		while (stub->input_at < stub->input_end) {
			CS_TRY(packet_feed(&stub->parser, stub->input + stub->input_at,
					   stub->input_end - stub->input_at, &used, &item));
			stub->input_at += used;
			CS_TRY(accept_item(stub, &item, &retries, reply, got));
			if (*got)
				return NULL;
		}
		/* One look past the limit, no more: a peer that never stops sending must not hold this up. */
		if (looked && !ms_until(deadline))
			return NULL;
		CS_TRY(fill(stub, ms_until(deadline), got));
		if (!*got)
			return NULL;
		*got = false;
	}
}

struct cs_error *stub_receive(struct stub *stub, int timeout_ms, struct stub_reply *reply, bool *got)
{
	struct cs_error *error;

	*reply = (struct stub_reply){0};
	*got = false;
	error = receive(stub, timeout_ms, reply, got);
	if (error)
		stub_reply_clear(reply);
	return error;
}

/* The next packet before the deadline, which holds for all that a stub says on the way to its answer. */
static struct cs_error *next_reply(struct stub *stub, uint64_t deadline, struct stub_reply *reply)
{
	bool got;

	CS_TRY(stub_receive(stub, ms_until(deadline), reply, &got));
	if (got)
		return NULL;
	return cs_error_create(CS_ERROR_TIMEOUT,
			       "%s: no answer within %u ms; is it a gdbstub, and is no other debugger attached to it?",
			       stub->address, stub->timeout_ms);
}

static bool is_output(const struct stub_reply *reply)
{
	return reply->text[0] == 'O' && strcmp(reply->text, "OK") != 0;
}

/* The reply to a request that was sent; console output before it is skipped, and so is a stop that is said
 * again: qemu-x86_64 takes an interrupt that crossed it for a refusal. */
static struct cs_error *await_reply(struct stub *stub, bool stop_asked, struct stub_reply *reply)
{
	uint64_t deadline = deadline_in(stub->timeout_ms);

	for (;;) {
		CS_TRY(next_reply(stub, deadline, reply));
		if (!is_output(reply) && (stop_asked || !reply_is_stop(reply->text, reply->length)))
			return NULL;
		stub_reply_clear(reply);
	}
}

struct cs_error *stub_request(struct stub *stub, const void *payload, size_t length, struct stub_reply *reply)
{
	*reply = (struct stub_reply){0};
	if (length > stub->packet_size)
		return cs_error_create(CS_ERROR_ARGUMENT, "a request of %zu bytes is longer than the stub takes (%zu)",
				       length, stub->packet_size);
	CS_TRY(stub_send(stub, payload, length));
	return await_reply(stub, length && *(const char *)payload == '?', reply);
}

struct cs_error *stub_command(struct stub *stub, const char *format, ...)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	FREE char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return &cs_error_no_memory;
	}
	CS_TRY(stub_request(stub, text, (size_t)length, &reply));
	if (strcmp(reply.text, "OK") == 0)
		return NULL;
	return cs_error_create(CS_ERROR_REFUSED, "%s: the stub refuses \"%.60s\" (%.60s)", stub->address, text,
			       reply.length ? reply.text : "not supported");
}

static struct cs_error *send_joined(struct stub *stub, const char *const *requests, size_t count)
{
	FREE char *all = NULL;
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += strlen(requests[i]) + 4;
	all = malloc(length + 1);
	if (!all)
		return &cs_error_no_memory;
	all[0] = '\0';
	length = 0;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(requests[i]);
		uint8_t sum = packet_checksum(requests[i], n);

		all[length] = '$';
		memcpy(all + length + 1, requests[i], n);
		all[length + 1 + n] = '#';
		packet_hex(&sum, 1, all + length + n + 2);
		length += n + 4;
	}
	stub->packets_sent += count;
	return write_all(stub, all, length);
}

struct cs_error *stub_pipeline(struct stub *stub, const char *const *requests, size_t count, struct stub_reply *replies)
{
	memset(replies, 0, count * sizeof(*replies));
	for (size_t i = 0; i < count; i++) {
		if (stub->no_ack && i % PIPELINE_MAX == 0)
			CS_TRY(send_joined(stub, requests + i, count - i < PIPELINE_MAX ? count - i : PIPELINE_MAX));
		if (!stub->no_ack)
			CS_TRY(stub_send(stub, requests[i], strlen(requests[i])));
		CS_TRY(await_reply(stub, false, &replies[i]));
	}
	return NULL;
}

/* Half of the packet: a reply carries two digits a byte. QEMU answers `m` of 0x800 bytes with a
 * PacketSize of 0x1000, and an error for more. */
static size_t chunk(const struct stub *stub, size_t length)
{
	size_t most = stub->packet_size > 64 ? (stub->packet_size - 32) / 2 : 16;

	return length < most ? length : most;
}

/* Reads up to n bytes; *n is 0 where the stub refuses. It may answer with less than was asked for. */
static struct cs_error *read_piece(struct stub *stub, uint64_t address, uint8_t *to, size_t *n)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	char request[64];
	int size = snprintf(request, sizeof(request), "m%llx,%zx", (unsigned long long)address, *n);

	CS_TRY(stub_request(stub, request, (size_t)size, &reply));
	if (reply.length > 2 * *n || !packet_unhex(reply.text, reply.length, to))
		*n = 0;
	else
		*n = reply.length / 2;
	return NULL;
}

struct cs_error *stub_read(struct stub *stub, uint64_t address, void *buffer, size_t length)
{
	uint8_t *to = buffer;

	while (length) {
		size_t page = PAGE_SIZE - address % PAGE_SIZE;
		size_t asked = chunk(stub, length);
		size_t n = asked;

		CS_TRY(read_piece(stub, address, to, &n));
		if (!n && asked > page) { /* what lies before the next page may be there */
			n = page;
			CS_TRY(read_piece(stub, address, to, &n));
		}
		if (!n)
			return cs_error_create(CS_ERROR_REFUSED,
					       "the guest's memory at 0x%llx cannot be read; is it mapped already?",
					       (unsigned long long)address);
		to += n;
		address += n;
		length -= n;
	}
	return NULL;
}

struct cs_error *stub_write(struct stub *stub, uint64_t address, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	while (length) {
		size_t n = chunk(stub, length < 512 ? length : 512);
		char hex[1025];

		packet_hex(from, n, hex);
		CS_TRY(stub_command(stub, "M%llx,%zx:%s", (unsigned long long)address, n, hex));
		from += n;
		address += n;
		length -= n;
	}
	return NULL;
}

struct cs_error *stub_read_registers(struct stub *stub, uint8_t **ret, size_t *ret_length)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	FREE uint8_t *bytes = NULL;

	CS_TRY(stub_request(stub, "g", 1, &reply));
	bytes = malloc(reply.length / 2 + 1);
	if (!bytes)
		return &cs_error_no_memory;
	/* Digits of registers that cannot be read are 'x'; what matters here always can. */
	for (size_t i = 0; i < reply.length; i++)
		if (reply.text[i] == 'x')
			reply.text[i] = '0';
	if (reply.length < 2 || !packet_unhex(reply.text, reply.length, bytes))
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub does not tell the registers", stub->address);
	*ret = TAKE_PTR(bytes);
	*ret_length = reply.length / 2;
	return NULL;
}

static struct cs_error *append_hex(char **text, size_t *length, const char *hex, size_t digits)
{
	char *grown;

	if (*length + digits / 2 > PACKET_MAX)
		return cs_error_create(CS_ERROR_PROTOCOL, "a monitor command printed more than %zu bytes", PACKET_MAX);
	grown = realloc(*text, *length + digits / 2 + 1);
	if (!grown)
		return &cs_error_no_memory;
	*text = grown;
	if (packet_unhex(hex, digits, (uint8_t *)grown + *length))
		*length += digits / 2;
	grown[*length] = '\0';
	return NULL;
}

/* Output comes as `O<hex>` packets before OK, or as the hex reply itself. */
static struct cs_error *monitor_output(struct stub *stub, const char *command, char **text)
{
	uint64_t deadline = deadline_in(stub->timeout_ms);
	size_t length = 0;
	int number;

	for (;;) {
		CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

		CS_TRY(next_reply(stub, deadline, &reply));
		if (strcmp(reply.text, "OK") == 0)
			return append_hex(text, &length, "", 0);
		if (!reply.length || reply_is_error(reply.text, reply.length, &number))
			return cs_error_create(CS_ERROR_REFUSED, "%s: the stub refuses \"monitor %s\"", stub->address,
					       command);
		if (reply.text[0] != 'O')
			return append_hex(text, &length, reply.text, reply.length);
		CS_TRY(append_hex(text, &length, reply.text + 1, reply.length - 1));
	}
}

struct cs_error *stub_monitor(struct stub *stub, const char *command, char **ret)
{
	size_t length = strlen(command);
	FREE char *request = malloc(6 + 2 * length + 1);
	FREE char *text = NULL;

	if (!request)
		return &cs_error_no_memory;
	if (6 + 2 * length > stub->packet_size)
		return cs_error_create(CS_ERROR_ARGUMENT,
				       "a monitor command of %zu bytes is longer than the stub takes", length);
	memcpy(request, "qRcmd,", 6);
	packet_hex(command, length, request + 6);
	CS_TRY(stub_send(stub, request, 6 + 2 * length));
	CS_TRY(monitor_output(stub, command, &text));
	*ret = TAKE_PTR(text);
	return NULL;
}
