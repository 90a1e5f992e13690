/* SPDX-License-Identifier: MIT */
/* Packets that set a guest going: `c`, `s`, `C`, `S`, `vCont`. Pure. */
#ifndef CLOCKSCOPE_RESUME_H
#define CLOCKSCOPE_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "rsp/reply.h"

/* Whether the packet sets the thread going, or leaves it standing. */
bool resume_applies_to(const char *payload, const char *thread);

/* The first thread that a packet names by itself; false where it names none. */
bool resume_first_thread(const char *payload, char to[REPLY_THREAD_MAX]);

/* Whether a vCont packet steps a thread: the first that it does is copied to `thread`, which stays as it was where the
 * packet does not name it. */
bool resume_steps(const char *payload, char thread[REPLY_THREAD_MAX]);

/* The same resume without a signal or an address: those were delivered the first time. Malloc'd; NULL: no memory. */
char *resume_repeatable(const char *payload);

/* A thread that takes a signal runs its handler first, and comes to what it stands at later. */
bool resume_carries_signal(const char *payload);

/* The next `rSTART,END` of a vCont packet, from *at on (at first the payload): a step that goes on within those
 * addresses. */
bool resume_next_range(const char **at, uint64_t *start, uint64_t *end);

/* The same packet with single steps in place of those. Malloc'd; NULL: no memory. */
char *resume_without_ranges(const char *payload);

#endif
