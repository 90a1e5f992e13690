/* SPDX-License-Identifier: MIT */
/* What the relay says to GDB itself, and how it says what the stub has said. */
#ifndef CLOCKSCOPE_GDB_ANSWER_H
#define CLOCKSCOPE_GDB_ANSWER_H

#include "relay/gdb_side.h"
#include "relay/guest.h"

/* Answers a request that is not the stub's to answer; else *done is false. */
struct cs_error *answer_here(struct client *client, struct guest *guest, const struct gdb_request *request,
			     const char *payload, bool *done);

/* Why the guest stands. */
struct cs_error *answer_stop(struct client *client, struct guest *guest);

/* A stop, or another answer of the stub's, in the words that this debugger has negotiated. */
struct cs_error *answer_in_dialect(struct client *client, enum gdb_request_kind kind, const struct stub_reply *words);

#endif
