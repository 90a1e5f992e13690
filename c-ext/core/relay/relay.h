/* SPDX-License-Identifier: MIT */
/*
 * The relay: one thread that holds the one connection to a guest's stub, serves GDB on a private Unix
 * socket, and takes the stops that are its own probes', so that GDB never sees them.
 *
 * The thread blocks all signals and never calls back into the creator's threads but through the
 * functions given here. All functions below may be called from any thread; those that need the guest
 * stopped fail with CS_ERROR_STATE while it runs.
 */
#ifndef CLOCKSCOPE_RELAY_H
#define CLOCKSCOPE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/borrow.h"
#include "relay/guest_state.h"
#include "relay/life.h"
#include "relay/probe.h"
#include "relay/run_clock.h"
#include "relay/ticks.h"
#include "rsp/stub.h"

struct relay;

/* Asked about twenty times a second by whoever waits for the relay, in the waiting thread: true gives
 * the wait up. An unanswered request that is given up ends the connection, for its reply could be
 * taken for a later one's. */
typedef bool relay_cancelled(void);

/* Starts the thread, connects (see connect.h for the address), negotiates, and opens the socket for
 * GDB. Timeouts in milliseconds. */
struct cs_error *relay_create(const char *address, unsigned connect_timeout_ms, unsigned timeout_ms,
			      relay_cancelled *cancelled, struct relay **ret);

/* Another reference, to be given back by relay_destroy(): whoever uses a relay holds one. */
struct relay *relay_hold(struct relay *relay);

/* Lifts the probes, and the breakpoints of a GDB that is still there, closes all connections, ends the thread. The
 * guest stays as it is: stopped, or running (it is stopped for a moment where something must be lifted). Probes may be
 * released from then on; calls that need the thread fail with CS_ERROR_CLOSED. A second call does nothing, but returns
 * only when the first is done. Any thread may call it, whatever others wait for. */
void relay_stop(struct relay *relay);

/* Gives a reference back. The last one stops the relay if that was not done, and releases it. */
void relay_destroy(struct relay *relay);

/* Gives back the reference of who had probes, and calls RELEASE: at once where none is PLANTED any more; else, since
 * the guest still meets them, when the relay has ended. */
void relay_retire(struct relay *relay, bool planted, struct relay_retired *retired);

/* The Unix socket for `target remote`; it belongs to the relay. */
const char *relay_socket_path(const struct relay *relay);

enum relay_state relay_state(struct relay *relay);

/* Why the connection ended, one line; empty while it stands. malloc'd; NULL without memory. */
char *relay_reason(struct relay *relay);

/* CS_ERROR_CLOSED with that reason. */
struct cs_error *relay_closed(struct relay *relay);

/* What the stub told in the handshake: constant from relay_create() on. */
const struct stub *relay_stub(const struct relay *relay);

void relay_get_statistics(struct relay *relay, struct relay_statistics *ret);

/* Marks the moment at which the guest will be set going next; its number. The last RELAY_MARKS of them are kept. */
uint64_t relay_mark(struct relay *relay);

/* What the statistics were at a mark: run_ns, stood_ns, stops and resumes. False where the guest has not gone on since,
 * or where the mark is no longer kept. */
bool relay_marked(struct relay *relay, uint64_t mark, struct relay_statistics *ret);

/* Time the guest ran so far, in nanoseconds, up to now if it runs. */
uint64_t relay_run_ns(struct relay *relay);

/* Begins to count the time that the guest ran anew: it boots again. Marks that were made before mean nothing any more.
 */
void relay_restart_time(struct relay *relay);

/* Runs FUNCTION in the relay's thread while the guest stands; its error is returned. */
typedef struct cs_error *relay_function(struct stub *stub, void *context);
struct cs_error *relay_call(struct relay *relay, relay_function *function, void *context);

/* From within a relay_call(): the reply to `g` of a thread; of the one that stopped last where the name is
 * empty. *ret is malloc'd. */
struct cs_error *relay_read_registers(struct relay *relay, const char *thread, uint8_t **ret, size_t *ret_size);

/* Within relay_call(), so that the guest stands: runs the instruction of that name (one of the architecture's loans) at
 * `address`, which must hold it in memory now, on the thread that stopped last, with these values in the registers that
 * it is given. CS_ERROR_ARGUMENT: no such instruction is borrowed. CS_ERROR_REFUSED where memory holds something else,
 * a program runs and not the kernel, the guest did not run into a breakpoint, the stub has no breakpoint left, or once
 * anything has gone wrong (relay_borrow_refusal). Not possible in a replay, which may execute nothing of its own:
 * CS_ERROR_STATE. */
struct cs_error *relay_borrow(struct relay *relay, const char *name, uint64_t address,
			      const uint32_t given[ARCH_LOAN_GIVEN], uint32_t ret[ARCH_LOAN_RESULTS]);

/* Why nothing is borrowed from this stub any more, with the state that the guest is in; empty where nothing has gone
 * wrong. malloc'd; NULL without memory. From any thread. */
char *relay_borrow_refusal(struct relay *relay);

/* How far the processor's clock went on while the guest stood for `wait_ms`: reads it, waits, reads it again.
 * *elapsed_ns is the time between the two reads. Under TCG it stands still but for the borrowed
 * instructions themselves. */
struct cs_error *relay_measure_clock(struct relay *relay, uint64_t address, unsigned wait_ms, uint64_t *ticks,
				     uint64_t *elapsed_ns);

/* Plants a probe, if it is not planted: CS_ERROR_REFUSED where the stub takes no breakpoint there. */
struct cs_error *relay_add_probe(struct relay *relay, struct probe *probe);
/* Lifts it, also once the guest has ended: the stub may start another. */
struct cs_error *relay_remove_probe(struct relay *relay, struct probe *probe);

/* Lifts all probes that EACH visits, in one go: while the guest runs none of them (CS_ERROR_STATE). NULL also where
 * there is no connection any more: then nobody meets them. EACH is called in the relay's thread. */
typedef void probe_visitor(void *argument, struct probe *probe);
struct cs_error *relay_remove_probes(struct relay *relay,
				     void (*each)(void *context, probe_visitor *visit, void *argument), void *context);

/* A tick belongs to its creator, who keeps it until relay_remove_tick() has returned: it is not in use then. */
void relay_add_tick(struct relay *relay, struct relay_tick *tick);
void relay_remove_tick(struct relay *relay, struct relay_tick *tick);

/* From within a probe's function, which must change no breakpoints itself: the probe is planted, or lifted,
 * before the guest goes on. A probe that cannot be planted is told so by `refused`. */
struct cs_error *relay_defer(struct relay *relay, struct probe *probe, bool plant);

/* In a QEMU replay a probe must be stepped over, for writing the PC would change the instruction
 * count; elsewhere it may be emulated. A replay is recognised when the relay is made (replay_recognise()). */
void relay_set_replay(struct relay *relay, bool replay);
bool relay_is_replay(struct relay *relay);

/* Interrupts the guest once it has run for so long from now on, whatever stops there are; 0 for never. GDB is told of a
 * stop without a signal. */
void relay_set_idle_limit(struct relay *relay, uint64_t nanoseconds);
bool relay_idle_reached(struct relay *relay);

/* Without GDB: lets the guest run. `payload` is a resume packet, NULL for a plain continue. */
struct cs_error *relay_resume(struct relay *relay, const char *payload);

/* Without GDB: waits up to timeout_ms for the stop after relay_resume(); *stop is malloc'd, NULL at the
 * time limit. CS_ERROR_CLOSED where the connection ended. */
struct cs_error *relay_wait(struct relay *relay, unsigned timeout_ms, char **stop);

/* Stops a running guest (0x03). */
struct cs_error *relay_interrupt(struct relay *relay);

/* Waits until all that GDB has said so far is carried out and answered: once GDB is gone, it is known then what became
 * of the guest: the state tells. */
void relay_settle(struct relay *relay);

/* Lifts the probes, and lets go of the guest with `D`, so that it runs on. */
struct cs_error *relay_detach(struct relay *relay);

#endif
