/* SPDX-License-Identifier: MIT */
/* The stop that somebody waits for who drives the guest without GDB. */
#ifndef CLOCKSCOPE_HEADLESS_H
#define CLOCKSCOPE_HEADLESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/meeting.h"

/* Guarded by the meeting. */
struct headless {
	struct meeting *meeting;
	char *stop;   /* not fetched yet */
	bool awaited; /* the guest was set going for it, and has not stopped */
};

void headless_clear(struct headless *headless);

/* The guest is about to be set going for it, or was not after all. An older stop is forgotten. */
void headless_expect(struct headless *headless, bool awaited);

/* A stop has come. */
struct cs_error *headless_tell(struct headless *headless, const char *text);

/* None will come any more. */
void headless_end(struct headless *headless);

/* Any thread: waits for the stop until the deadline (ns). malloc'd; NULL where there is none. */
char *headless_wait(struct headless *headless, uint64_t deadline);

#endif
