/* SPDX-License-Identifier: MIT */
/* Packets that set a guest going: `c`, `s`, `C`, `S`, `vCont`. Pure. */
#ifndef CLOCKSCOPE_RESUME_H
#define CLOCKSCOPE_RESUME_H

#include <stdbool.h>

#include "rsp/reply.h"

/* Whether the packet sets the thread going, or leaves it standing. */
bool resume_applies_to(const char *payload, const char *thread);

/* The first thread that a packet names by itself; false where it names none. */
bool resume_first_thread(const char *payload, char to[REPLY_THREAD_MAX]);

/* The same resume without a signal or an address: those were delivered the first time. Malloc'd; NULL: no memory. */
char *resume_repeatable(const char *payload);

/* A thread that takes a signal runs its handler first, and comes to what it stands at later. */
bool resume_carries_signal(const char *payload);

#endif
