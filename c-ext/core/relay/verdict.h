/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a stop, or of a request: said by those who judge it, done by the relay's thread (serve.c). So nobody
 * who handles a stop need know who is to be told of it.
 */
#ifndef CLOCKSCOPE_VERDICT_H
#define CLOCKSCOPE_VERDICT_H

#include <stdbool.h>

#include "base/error.h"
#include "relay/guest_state.h"
#include "rsp/stub.h"

enum verdict_kind {
	VERDICT_NOTHING, /* the guest goes on, or the request is answered: nobody is told anything more */
	VERDICT_TOLD,    /* whoever set the guest going is told `words` */
	VERDICT_ENDED,   /* the connection to the guest is closed, for `reason` */
};

struct verdict {
	enum verdict_kind kind;
	struct stub_reply words;
	bool interrupt_crossed; /* the words are the relay's own, and the stub may yet report an interrupt */
	enum relay_state end;
	const char *reason;
};

void verdict_clear(struct verdict *verdict);

/* The stub's own words, and the relay's. */
struct cs_error *verdict_tell(struct verdict *verdict, const struct stub_reply *reply);
struct cs_error *verdict_tell_stop(struct verdict *verdict, unsigned signal, const char *thread);

/* Words that say a signal say none: nobody sent the guest one. */
struct cs_error *verdict_without_signal(struct verdict *verdict);

void verdict_end(struct verdict *verdict, enum relay_state end, const char *reason);

#endif
