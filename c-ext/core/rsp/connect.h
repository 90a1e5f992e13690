/* SPDX-License-Identifier: MIT */
/* Making a connected socket from what a user writes behind `target remote`. */
#ifndef CLOCKSCOPE_CONNECT_H
#define CLOCKSCOPE_CONNECT_H

#include "base/error.h"

/* Connects to HOST:PORT, [IPv6]:PORT, :PORT (this host) or the path of a Unix socket, within
 * timeout_ms in all, or until cancel_fd is readable; the time that a name server takes comes on top. *ret_fd is a
 * non-blocking descriptor, the caller's. CS_ERROR_ARGUMENT for an address of no such form, CS_ERROR_CONNECT,
 * CS_ERROR_TIMEOUT. */
struct cs_error *connect_stream(const char *address, int cancel_fd, unsigned timeout_ms, int *ret_fd);

#endif
