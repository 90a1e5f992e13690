/* SPDX-License-Identifier: MIT */
/* What a caller in Python knows of a kernel's functions beforehand: sequences of addresses. */
#ifndef CLOCKSCOPE_WINDOW_HINTS_H
#define CLOCKSCOPE_WINDOW_HINTS_H

#include "convert.h"

#include "flow/window.h"

struct hints {
	uint64_t *references, *measuring, *pointees; /* owned */
	struct window_hints known;                   /* points to them */
};

/* Takes three sequences of addresses, each of which may be NULL; -1 with an exception set. */
int hints_take(struct hints *hints, PyObject *references, PyObject *measuring, PyObject *pointees);
void hints_release(struct hints *hints);

#endif
