/* SPDX-License-Identifier: MIT */
/*
 * The whole conversation with a stub: everything that it will ever say is the input. It lies in the
 * socket before the handshake begins, and then the stub's side is closed, so nothing waits.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "rsp/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What fits into a socket at once. */
#define SAID_MAX 65536

static void destroy_pointer(struct stub **stub)
{
	stub_destroy(*stub);
}

static struct stub *listening_to(int fd)
{
	struct stub *stub = calloc(1, sizeof(*stub));

	if (!stub)
		abort();
	stub->fd = fd;
	stub->cancel_fd = -1;
	stub->timeout_ms = 1;
	stub->address = strdup("fuzz");
	return stub;
}

static struct cs_error *converse(struct stub *stub)
{
	static const char *const requests[] = {"g", "m1000,10", "qC"};
	struct stub_reply replies[ARRAY_SIZE(requests)];
	FREE uint8_t *registers = NULL;
	FREE char *text = NULL;
	uint8_t memory[64];
	size_t length;
	struct cs_error *error;

	CS_TRY(handshake(stub));
	cs_error_destroy(stub_read_registers(stub, &registers, &length));
	cs_error_destroy(stub_read(stub, 0x1000, memory, sizeof(memory)));
	cs_error_destroy(stub_write(stub, 0x1000, memory, sizeof(memory)));
	cs_error_destroy(stub_monitor(stub, "info status", &text));
	cs_error_destroy(stub_command(stub, "Z1,%x,1", 0x1000));
	error = stub_pipeline(stub, requests, ARRAY_SIZE(requests), replies);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		stub_reply_clear(&replies[i]);
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(destroy_pointer) struct stub *stub = NULL;
	CLOSE int said = -1;
	int ends[2];

	if (size > SAID_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
		return 0;
	said = ends[1];
	stub = listening_to(ends[0]);
	if (size && send(said, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		return 0;
	shutdown(said, SHUT_WR);
	cs_error_destroy(converse(stub));
	return 0;
}
