/* SPDX-License-Identifier: MIT */
/*
 * The protocol as one debugger has negotiated it, which may be less than what the relay has with the stub: thread ids
 * with or without a process, reasons for a stop. GDB fails assertions over what it has not asked for.
 *
 * Source: "Debugging with GDB", appendix E.2 (thread-id syntax), E.3 (stop replies), E.4 (qSupported).
 */
#ifndef CLOCKSCOPE_GDB_DIALECT_H
#define CLOCKSCOPE_GDB_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "relay/gdb_request.h"

struct gdb_dialect {
	bool multiprocess; /* p1.1 for a thread, else 1 */
	bool swbreak;
	bool hwbreak;
	bool no_resumed; /* N: the threads that were resumed are gone, and others stand */
};

/* Reads what a debugger says of itself: the payload of qSupported. */
void gdb_dialect_read(const char *payload, struct gdb_dialect *ret);

/* A request in the stub's words. `process` is the guest's, in hex digits, for a stub that wants one named. *ret is
 * malloc'd; NULL where the payload can go as it is. */
struct cs_error *gdb_dialect_request(const struct gdb_dialect *client, bool stub_multiprocess, const char *process,
				     const struct gdb_request *request, const char *payload, char **ret);

/* The stub's answer to a request of that kind, in the debugger's words. `text` is decoded, and so is
 * *ret, which is malloc'd; NULL where the reply can go as it came. */
struct cs_error *gdb_dialect_reply(const struct gdb_dialect *client, enum gdb_request_kind kind, const char *text,
				   size_t length, char **ret);

/* Whether an object that qXfer reads may be offered: some name threads in a text that is read piece by piece. */
bool gdb_dialect_carries(const struct gdb_dialect *client, bool stub_multiprocess, const char *feature);

#endif
