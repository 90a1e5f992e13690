/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the relay: relay.c (the thread and the calls into it), life.c (who holds it, its end),
 * gdb_side.c (GDB's socket), gdb_carry.c (GDB's requests), guest_side.c (resuming, stops), probes.c, step.c (getting
 * off a probe), change.c (interventions), interrupt.c (interrupts, and leaving). All of it runs in the relay's thread
 * but for what `lock` guards.
 */
#ifndef CLOCKSCOPE_RELAY_INTERNAL_H
#define CLOCKSCOPE_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/emulate.h"
#include "base/util.h"
#include "relay/breakpoints.h"
#include "relay/gdb_dialect.h"
#include "relay/gdb_request.h"
#include "relay/relay.h"
#include "relay/watchpoints.h"
#include "rsp/resume.h"

/* How the guest was last set going. */
enum resume_kind {
	RESUME_CONTINUE,
	RESUME_STEP,    /* one thread steps; others may run */
	RESUME_REVERSE, /* with the probes lifted */
	RESUME_OTHER,   /* vRun, vAttach: answered by a stop, but not ours to repeat */
};

struct relay_call {
	relay_function *function;
	void *context;
	struct cs_error *error;
	bool while_running; /* may run while the guest does */
	bool once_ended;    /* … or when it has ended */
	bool done;
	struct relay_call *next;
};

/* A thread that stands at a probe whose hit is recorded already, its instruction not yet run. */
struct counted {
	char thread[REPLY_THREAD_MAX];
	uint64_t address;
};
#define COUNTED_MAX 64

/* A thread that stands at the entry of a function which is not to run: it will leave from `ret`. */
struct departure {
	char thread[REPLY_THREAD_MAX];
	uint64_t address;
	uint64_t ret;
	uint64_t value;
};

struct deferred {
	struct probe *probe;
	bool plant;
};

/* A probe whose owner is gone, but which the stub cannot lift. */
struct left_behind {
	struct probe probe;
	struct left_behind *next;
	uint64_t wait;  /* so many stops until lifting is tried again */
	uint64_t pause; /* … and how many it was the last time */
};

struct client {
	int fd; /* -1: none */
	bool no_ack;
	bool heard; /* it has sent a packet */
	struct gdb_dialect dialect;
	/* What was passed on and has not been answered; GDB_NOTHING: nothing. A reply that is under way outlives the
	 * debugger that asked for it: it must not be taken for the answer to another's question. */
	struct gdb_request pending;
	uint64_t asked_at;  /* ns: when that was */
	bool stop_unread;   /* it was told of a stop, and has said nothing since: for it, the guest runs */
	bool answering;     /* a request is being looked at, which GDB expects an answer to */
	uint64_t spoken_at; /* ns: when something was last written to it */
	struct packet_parser parser;
	char input[16384];
	size_t input_at;
	size_t input_end;
	char *last_frame;
	size_t last_frame_length;
	uint64_t orphaned_at; /* ns: when it lost a guest that stood for it; 0: it did not */
	size_t planted;       /* breakpoints and watchpoints that it asked for, without those that it has lifted */
	bool judging;         /* a stop, perhaps of one of those; before it tells its user it lifts them */
	bool left;            /* without taking its breakpoints along */
};

/* A request is under way whose answer is no stop. */
static inline bool client_awaits_reply(const struct client *client)
{
	return gdb_request_asks(client->pending.kind);
}

/* The guest was resumed for it. */
static inline bool client_awaits_stop(const struct client *client)
{
	return gdb_request_resumes(client->pending.kind);
}

/* A stopped thread's registers: the reply to `g`. */
struct registers {
	uint8_t *bytes;
	size_t size;
	uint64_t pc;
};

static inline void registers_clear(struct registers *registers)
{
	free(registers->bytes);
	*registers = (struct registers){0};
}

/* The registers that an emulated instruction may use; NULL where the stub has no such register. */
struct register_map {
	const struct target_register *pc;
	const struct target_register *flags;
	const struct target_register *efer;
	const struct target_register *cs;
	const struct target_register *gpr[EMULATE_REGISTERS];
};

struct relay {
	_Atomic unsigned references;
	pid_t process; /* that made it: a child by fork() has no thread, and must leave the guest alone */
	pthread_t thread;
	bool thread_running; /* guarded by stop_lock, which is held until the thread has ended */
	pthread_mutex_t stop_lock;
	pthread_mutex_t tick_lock; /* guards the list, and is held while they are called */
	struct relay_tick *ticks;
	struct stub *stub;
	char *address;
	unsigned connect_timeout_ms;
	unsigned timeout_ms;
	relay_cancelled *cancelled;
	int wake_fd;   /* eventfd: a call is queued, or the end is near */
	int cancel_fd; /* eventfd: give the current wait up */
	int listen_fd;
	char directory[64];
	int directory_lock; /* see private_dir.h */
	char socket_path[96];
	struct client client;

	/* Guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum relay_state state;
	bool started; /* the handshake has ended, well or not */
	bool ending;
	struct cs_error *start_error;
	char *reason;
	struct relay_call *calls;
	char *headless_stop;   /* the stop that relay_wait() will fetch */
	bool headless_awaited; /* relay_resume() has set the guest going, and it has not stopped */
	struct relay_statistics statistics;
	uint64_t resumed_at; /* host's monotonic ns; 0 while stopped */
	uint64_t stopped_at; /* the same; 0 before it first ran */
	struct relay_statistics marks[RELAY_MARKS];
	uint64_t marks_made, marks_passed;
	uint64_t idle_limit_ns; /* 0: none */
	uint64_t idle_from_ns;  /* the run time from which it counts */
	bool idle_reached;
	bool replay;
	char *borrow_never;            /* why nothing is borrowed from this stub any more; NULL: nothing has failed */
	bool ended;                    /* the thread is no more: no probe is hit again */
	struct relay_retired *retired; /* what waits for that */

	/* The guest's side, the thread's own. */
	struct breakpoints breakpoints;
	struct watchpoints watchpoints; /* GDB's: while there are any, what touches memory must really run */
	/* Whether the stop that was passed on is one of a guest that ran into a breakpoint; and which were lifted
	 * since: GDB takes its own out before it says that the guest stands. */
	bool stopped_at_breakpoint;
	struct breakpoints lifted_since;
	struct probe **probes;      /* sorted by address */
	_Atomic size_t probe_count; /* other threads look at it */
	size_t probe_capacity;
	char *resume; /* the payload that set the guest going, to be repeated after an own stop */
	enum resume_kind resume_kind;
	char step_thread[REPLY_THREAD_MAX];
	uint64_t step_from;
	struct registers step_registers; /* as GDB's step off a probe found them; empty where there is none under way */
	struct stop_reply stop;          /* the last one that was passed on */
	char guest_process[REPLY_THREAD_MAX]; /* the guest's, as the stub's thread ids name it; empty where they do not
					       */
	bool interrupt_wanted;                /* by somebody who has not been told of a stop since */
	bool interrupt_sent;                  /* to the stub, since the guest was resumed */
	bool own_interrupt_owed; /* the relay's own interrupt (step_await()) crossed a stop, and the stub may yet report
				    it */
	bool interrupt_owed;     /* the stub may yet report one that another stop has answered, or crossed */
	bool idle_interrupt;
	/* Whether a step gets off a breakpoint that stays planted, for each type of breakpoint. */
	enum { IN_PLACE_UNKNOWN, IN_PLACE_WORKS, IN_PLACE_FAILS } step_in_place[2];
	struct register_map map;
	struct insn_decoder *decoder;
	bool step_only;       /* the stub refuses to write a register */
	bool step_unfinished; /* the last step was one round of a repeated string instruction, which goes on */
	bool lifted;          /* a probe is lifted while GDB steps off it */
	uint64_t lifted_address;
	struct left_behind *left_behind;
	struct deferred *deferred; /* changes that probes asked for during a stop */
	size_t deferred_count;
	size_t deferred_capacity;
	bool all_lifted; /* while the guest runs backwards */
	struct counted counted[COUNTED_MAX];
	size_t counted_count;
	struct departure departures[COUNTED_MAX];
	size_t departure_count;
	/* Which thread `H g` and `H c` chose: what GDB believes, and what the stub was told last. */
	char client_general[REPLY_THREAD_MAX];
	char stub_general[REPLY_THREAD_MAX];
	char client_resume[REPLY_THREAD_MAX];
	char stub_resume[REPLY_THREAD_MAX];
};

static inline bool same_thread(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline void copy_thread(char to[REPLY_THREAD_MAX], const char *from)
{
	snprintf(to, REPLY_THREAD_MAX, "%s", from);
}

/* relay.c */
void relay_set_state(struct relay *relay, enum relay_state state);
/* Ends the connection; the error becomes the reason (NULL: it ended as it should). */
void relay_close(struct relay *relay, enum relay_state state, struct cs_error *error, const char *reason);
/* Passes a stop on to whoever waits for it: GDB, or relay_wait(). The payload is raw. */
struct cs_error *relay_deliver_stop(struct relay *relay, const char *raw, size_t raw_length, const char *text);

/* life.c */
/* Whether this process is another's child by fork(): locks may be held for ever here. */
bool relay_is_elsewhere(const struct relay *relay);
void relay_run_ticks(struct relay *relay);

/* gdb_side.c */
struct cs_error *client_accept(struct relay *relay);
void client_close(struct relay *relay);
/* GDB's guest is lost, and its stub `gone`, or out of step. GDB's connection ends with it, unless GDB may be looking at
 * a stop of its breakpoints: then it is kept up until GDB resumes the guest, or for as long as a request may take.
 * GDB 13.1 aborts where a connection ends just then. */
void client_lose_guest(struct relay *relay, bool gone);
/* Drops the breakpoints of a debugger that has left without a word; the guest must stand. */
struct cs_error *client_bury(struct relay *relay);
void client_say(struct relay *relay, const char *text);
/* Reads what GDB sent. */
struct cs_error *client_read(struct relay *relay);
/* Handles what has been read, as far as the state allows. */
struct cs_error *client_process(struct relay *relay);
void client_send(struct relay *relay, const char *raw, size_t length);
/* While GDB waits for an answer: a byte now and then, that GDB skips. Its patience begins anew with each (remote.c,
 * getpkt), and GDB never takes a late answer for the next one. Called by whatever waits for the stub. */
void client_keep_waiting(struct relay *relay);
/* Ends what is under way where the stub says no more: `k` has no reply, and no question waits without end. */
struct cs_error *client_look_at_clock(struct relay *relay);

/* gdb_carry.c */
/* One packet of GDB's, which the guest stands for. */
struct cs_error *client_carry_out(struct relay *relay, const struct packet_item *item);
/* GDB is gone, and what it asked for last was not done, as far as the stub tells: the guest is let go. */
void client_end_unsettled(struct relay *relay, const char *reason);
/* The stub's answer to a request of GDB's. */
struct cs_error *client_reply(struct relay *relay, const struct stub_reply *reply);
/* The stop that GDB has resumed the guest for. */
struct cs_error *client_stop(struct relay *relay, const char *raw, size_t raw_length, const char *text);

/* step.c */
void step_map_registers(struct relay *relay);
struct cs_error *step_select_general(struct relay *relay, const char *thread);
/* Without vCont: the thread that `c` and `s` apply to. */
struct cs_error *step_select_resumed(struct relay *relay, const char *thread);
/* … and back to GDB's choice, or to all of them where it made none, once the relay has chosen one. */
struct cs_error *step_restore_resumed(struct relay *relay);
struct cs_error *step_read_registers(struct relay *relay, const char *thread, struct registers *ret);
/* Whether the registers are those of a 64-bit x86, as far as writing them needs it. */
bool step_known_registers(const struct register_map *map, const struct registers *registers);
/* Before long mode the same bytes are other instructions. A stub that does not tell EFER (Firecracker,
 * gdbserver) has a guest or a program that begins in it. */
bool step_in_long_mode(const struct register_map *map, const struct registers *registers);
/* Whether a step off a probe, from `before` to `after`, has executed something. Where the PC is the same, most have
 * not; step_unfinished says whether it was one round of a repeated string instruction. */
struct cs_error *step_has_executed(struct relay *relay, const struct probe *probe, const struct registers *before,
				   const struct registers *after, bool *ret);
/* Sends a resume packet whose stop step_await() fetches. */
struct cs_error *step_run(struct relay *relay, const char *payload);
/* The stop after step_run(). Once the limit is over the guest is interrupted (*given_up), and its next stop is
 * taken, whatever it is. CS_ERROR_TIMEOUT where there is none. */
struct cs_error *step_await(struct relay *relay, unsigned limit_ms, struct stub_reply *reply, bool *given_up);
/* Whether that interrupt crossed the stop: gdbserver then keeps it for the next resume, QEMU forgets it. */
void step_note_crossing(struct relay *relay, const struct stop_reply *stop, bool given_up);
void step_begin_run(struct relay *relay);
void step_end_run(struct relay *relay);
/* Whether the stop is an interrupt that GDB was told of already: one that crossed a probe's stop, and
 * that the stub remembered (gdbserver). It is settled then. */
bool step_settles_interrupt(struct relay *relay, const struct stop_reply *stop);
/* Runs the one instruction under the probe at the thread's PC: works out what it does, or steps it, in
 * place or with the breakpoint taken out meanwhile. Updates *registers. *foreign: a stop of another
 * kind came instead; it is in *reply. */
struct cs_error *step_off(struct relay *relay, const char *thread, const struct probe *probe,
			  struct registers *registers, struct stub_reply *reply, bool *foreign);

/* Writes one register of a thread, on the wire and in the copy. */
struct cs_error *step_write_register(struct relay *relay, const char *thread, const struct target_register *reg,
				     uint64_t value, struct registers *registers);

/* change.c */
/* Asks the probe, which has a change function, and changes the guest as it says; *hit tells the others of it. */
struct cs_error *change_apply(struct relay *relay, struct probe *probe, struct probe_hit *hit,
			      struct registers *registers);
/* Before the thread goes on from a probe: *done where it was sent to a return instruction instead. */
struct cs_error *change_depart(struct relay *relay, const char *thread, struct registers *registers, bool *done);

/* interrupt.c */
/* Wants the guest to stand: told at the next stop of the relay's own, or by the stub, which is sent an interrupt. While
 * the guest stands for GDB, it is kept for the next resume, as gdbserver does. */
struct cs_error *guest_interrupt(struct relay *relay);
/* Sends the stub an interrupt that is wanted, once it may be sent. */
struct cs_error *interrupt_pursue(struct relay *relay);
bool interrupt_waits(struct relay *relay);
/* Before a stop is told: what becomes of an interrupt that is wanted. */
struct cs_error *interrupt_settle(struct relay *relay, const struct stop_reply *stop);
/* Lifts all probes of a guest that will be left alone; a running one is stopped for it and goes on. */
struct cs_error *guest_leave(struct relay *relay);

/* probes.c */
/* The first probe that is not below the address. */
size_t probes_position(const struct relay *relay, uint64_t address);
bool probes_at(const struct relay *relay, uint64_t address);
/* One of the probes at an address that has some: they share the breakpoint, and the instruction. */
const struct probe *probes_found(const struct relay *relay, uint64_t address);
/* Tells each probe at the PC of its hit, unless that was done at an earlier stop of the thread here. */
struct cs_error *probes_record(struct relay *relay, const char *thread, struct registers *registers);
/* The thread's hit at the address is recorded, its instruction not yet run. */
void probes_set_counted(struct relay *relay, const char *thread, uint64_t address);
/* Whether that was so. Forgets what is known of the thread. */
bool probes_take_counted(struct relay *relay, const char *thread, uint64_t address);
/* Does what the probes asked for, in order (relay_defer). */
struct cs_error *probes_apply_deferred(struct relay *relay);
/* Puts back what was lifted for a step of GDB's, or while the guest ran backwards. */
struct cs_error *probes_replant(struct relay *relay);

/* guest_side.c */
/* Notes a stop, and which process the guest is. */
void guest_note_stop(struct relay *relay, const struct stop_reply *stop);
/* Which process the guest is, where the stub names processes and its first stop did not. */
struct cs_error *guest_ask_process(struct relay *relay);
struct cs_error *guest_insert(struct relay *relay, char type, uint64_t address);
struct cs_error *guest_take_out(struct relay *relay, char type, uint64_t address);
/* Sets the guest going with a resume packet, after stepping it off a probe where it stands on one. A Ctrl-C of GDB's
 * that came while the guest stood stops it there and then. *resumed is false where that already brought a stop, which
 * has been delivered. */
struct cs_error *guest_resume(struct relay *relay, const char *payload, size_t length, enum resume_kind kind);
/* A packet that came while the guest ran. */
struct cs_error *guest_packet(struct relay *relay, const struct stub_reply *reply);
/* The type of the breakpoint at which the guest stands, or stood when it stopped; 0: none. */
char guest_breakpoint_here(const struct relay *relay, uint64_t address);
/* Notes that one is about to be lifted, for guest_breakpoint_here(). */
void guest_note_lifted(struct relay *relay, char type, uint64_t address);
/* A breakpoint that the stub does not lift becomes one whose stops are ignored. */
struct cs_error *guest_leave_breakpoint(struct relay *relay, char type, uint64_t address);
struct cs_error *guest_plant(struct relay *relay, struct probe *probe);
struct cs_error *guest_unplant(struct relay *relay, struct probe *probe);
/* Takes all probes' breakpoints out of the stub, or puts them back; the table stays. */
struct cs_error *guest_lift_all(struct relay *relay);
/* Tells the stub the thread that GDB believes chosen, where a request of the relay's changed it. */
struct cs_error *guest_restore_general(struct relay *relay);

#endif
