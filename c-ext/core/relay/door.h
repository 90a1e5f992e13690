/* SPDX-License-Identifier: MIT */
/* The socket that GDB connects to, in a directory that only this user can enter. */
#ifndef CLOCKSCOPE_DOOR_H
#define CLOCKSCOPE_DOOR_H

#include "base/error.h"

struct door {
	int listen_fd;
	int directory_lock; /* see private_dir.h */
	char directory[64]; /* empty: there is none */
	char socket_path[96];
};

void door_init(struct door *door);
struct cs_error *door_open(struct door *door);
/* The next debugger that waits; -1 where none does any more. */
int door_accept(const struct door *door);
/* For GDB there is nothing to connect to any more. A second call does nothing. */
void door_close(struct door *door);
/* Of a child by fork(): the socket is its parent's. */
void door_forget(struct door *door);

#endif
