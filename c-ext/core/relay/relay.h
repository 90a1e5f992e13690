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

#include "arch/x86/insn.h"
#include "base/error.h"
#include "rsp/stub.h"

struct relay;

enum relay_state {
	RELAY_STOPPED, /* the guest stands; requests are possible */
	RELAY_RUNNING,
	RELAY_EXITED, /* the guest ended; the stub may still be there */
	RELAY_CLOSED, /* no connection any more */
};

struct relay_statistics {
	uint64_t packets_to_stub;
	uint64_t packets_to_gdb;
	uint64_t own_stops; /* taken by probes, never seen by GDB */
	uint64_t gdb_stops;
	uint64_t run_ns;      /* time the guest ran */
	uint64_t own_stop_ns; /* time it stood for probes */
	uint64_t stood_ns;    /* time it stood, for whatever reason, between its runs; as it stands now is not in it */
	uint64_t resumes;     /* how often it was set going, single steps and borrowed instructions included */
	uint64_t probes;
};

/* What a probe learns of a stop. Everything belongs to the relay and holds during the call. */
struct probe_hit {
	uint64_t address;
	const char *thread; /* the stub's id; empty where it has none */
	unsigned cpu;
	const uint8_t *registers; /* the reply to `g`; stub->target says where each lies */
	size_t registers_size;
	uint64_t run_ns;   /* guest run time so far, stops excluded */
	struct stub *stub; /* for further requests; the guest stands */
	bool returns;      /* an intervention: the function that begins here is not run, but returns `value` */
	uint64_t value;
};

/* What an intervention makes of a stop. */
struct probe_change {
	bool writes_flags;
	uint64_t flags;
	/* Instead of the instruction here, and the function behind it, the return instruction at `ret` is run, with
	 * `value` in RAX. */
	bool returns;
	uint64_t value;
	uint64_t ret;
};

struct probe;

/* Called in the relay's thread each time the probed instruction is about to run. What goes wrong in it
 * is the probe's own to keep: the guest goes on. */
typedef void probe_function(struct probe *probe, const struct probe_hit *hit);

/* Called before all functions of the probes there, which then see the guest as it has been changed. *ret is zeroed. */
typedef void probe_change_function(struct probe *probe, const struct probe_hit *hit, struct probe_change *ret);

/* A probe belongs to its creator, who keeps it alive from relay_add_probe() to relay_remove_probe()
 * or the relay's end. Embed it in the structure that the function needs. */
struct probe {
	uint64_t address;
	probe_function *hit;
	/* The instruction there, where it is known and its text never changes: it is then worked out instead
	 * of stepped, without a look at memory. NULL: memory is read at each hit. Belongs to the creator. */
	const struct insn *insn;
	probe_change_function *change; /* NULL: it only looks */
	/* The relay's own: */
	char type;           /* the digit behind Z; 0 while not planted */
	bool refused;        /* the stub would not plant it (relay_defer) */
	bool change_refused; /* the stub writes no registers: the guest is as it was */
};

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

/* What probes belong to, at its end. Embed it in that. */
struct relay_retired {
	void (*release)(void *context);
	void *context;
	struct relay_retired *next; /* the relay's own */
};

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
#define RELAY_MARKS 256u
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

/* Plants a probe, if it is not planted: CS_ERROR_REFUSED where the stub takes no breakpoint there. */
struct cs_error *relay_add_probe(struct relay *relay, struct probe *probe);
/* Lifts it, also once the guest has ended: the stub may start another. */
struct cs_error *relay_remove_probe(struct relay *relay, struct probe *probe);

/* Lifts all probes that EACH visits, in one go: while the guest runs none of them (CS_ERROR_STATE). NULL also where
 * there is no connection any more: then nobody meets them. EACH is called in the relay's thread. */
typedef void probe_visitor(void *argument, struct probe *probe);
struct cs_error *relay_remove_probes(struct relay *relay,
				     void (*each)(void *context, probe_visitor *visit, void *argument), void *context);

/* Called in the relay's thread about ten times a second while the guest runs, and once at the end of the connection.
 * It must not call into the relay. */
struct relay_tick {
	void (*call)(void *context);
	void *context;
	struct relay_tick *next; /* the relay's own */
};

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
