/* SPDX-License-Identifier: MIT */
/*
 * The relay's thread: it waits for what the stub, GDB and other threads say, has each handled by its part, and does
 * what the verdict says.
 *
 * The order of the relay's files; none knows one that comes later:
 * - what other threads see and wait for: run_clock, guest_state, meeting, call_queue, headless, ticks, door, life
 * - the guest as its stub shows it, and what is planted in it: guest_registers, guest, breakpoints, watchpoints,
 * planting
 * - what a stop of the relay's own takes: change, probes, interrupt, step
 * - setting the guest going, and judging its stops: verdict, going, passing, guest_side; borrow
 * - GDB: gdb_request, gdb_dialect, gdb_side (its socket), gdb_answer, gdb_carry
 * - the thread: serving (all of these), serve; and relay, the calls into it
 */
#ifndef CLOCKSCOPE_SERVE_H
#define CLOCKSCOPE_SERVE_H

#include "relay/serving.h"

/* Until the end is announced. */
void serve(struct serving *serving);

/* In a call: hears what GDB has said so far; sets the guest going for whoever drives it without GDB; ends the
 * connection. */
struct cs_error *serve_listen(struct serving *serving);
struct cs_error *serve_resume(struct serving *serving, const char *payload);
void serve_close(struct serving *serving, enum relay_state end, const char *reason);

#endif
