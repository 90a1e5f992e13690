/* SPDX-License-Identifier: MIT */
/* What a caller in Python knows of a kernel's functions beforehand: sequences of addresses. */
#ifndef CLOCKSCOPE_WINDOW_HINTS_H
#define CLOCKSCOPE_WINDOW_HINTS_H

#include "convert.h"

#include "flow/window.h"

struct hints {
	uint64_t *references, *measuring, *pointees, *noreturn; /* owned */
	struct window_hints known;                              /* points to them */
};

/* The sequences of addresses as they are given; each may be NULL. */
struct given_hints {
	PyObject *references, *measuring, *pointees, *noreturn;
};

/* Takes them; -1 with an exception set. */
int hints_take(struct hints *hints, const struct given_hints *given);
void hints_release(struct hints *hints);

#endif
