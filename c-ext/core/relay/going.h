/* SPDX-License-Identifier: MIT */
/* How the guest was last set going, so that it can be set going again after a stop of the relay's own. */
#ifndef CLOCKSCOPE_GOING_H
#define CLOCKSCOPE_GOING_H

#include "relay/guest.h"

enum resume_kind {
	RESUME_CONTINUE,
	RESUME_STEP,    /* one thread steps; others may run */
	RESUME_REVERSE, /* with the probes lifted */
	RESUME_OTHER,   /* vRun, vAttach: answered by a stop, but not ours to repeat */
};

struct going {
	struct guest *guest;
	char *payload; /* what is repeated; NULL before the guest was first set going */
	enum resume_kind kind;
	char thread[REPLY_THREAD_MAX]; /* the one that steps, or that the resume is about first of all */
	uint64_t step_from;
	struct registers step_registers; /* as GDB's step off a probe found them; empty where there is none under way */
};

void going_clear(struct going *going);

/* Notes what GDB, or whoever drives the guest, has asked for. */
struct cs_error *going_note(struct going *going, const char *payload, enum resume_kind kind);

/* The same once more. */
struct cs_error *going_again(struct going *going);

/* By a plain continue where it was only to step. */
struct cs_error *going_on_alone(const struct going *going);

#endif
