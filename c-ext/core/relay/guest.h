/* SPDX-License-Identifier: MIT */
/*
 * The guest as its stub shows it: which thread is chosen, its registers, breakpoints by the packet, and letting it run
 * for a moment. What all that is for is known above.
 */
#ifndef CLOCKSCOPE_GUEST_H
#define CLOCKSCOPE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/insn.h"
#include "base/error.h"
#include "relay/guest_registers.h"
#include "relay/guest_state.h"
#include "relay/run_clock.h"
#include "rsp/reply.h"
#include "rsp/stub.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5

/* Which thread `H g` or `H c` chose: what GDB believes, and what the stub was told last. */
struct thread_choice {
	char by_gdb[REPLY_THREAD_MAX];
	char at_stub[REPLY_THREAD_MAX];
};

struct guest {
	struct stub *stub;
	struct guest_state *state;
	struct run_clock *clock;
	/* Handed in: what the guest prints while it runs for a moment. */
	void (*printed)(void *context, const char *raw, size_t length);
	void *printed_context;
	struct stop_reply stop;         /* the last one that was passed on */
	char process[REPLY_THREAD_MAX]; /* as the stub's thread ids name it; empty where they do not */
	struct thread_choice general;
	struct thread_choice resumed;
	struct register_map map;
	struct insn_decoder *decoder;
	_Atomic bool replay; /* nothing may be executed in it but what was recorded */
};

bool same_thread(const char *a, const char *b);
void copy_thread(char to[REPLY_THREAD_MAX], const char *from);

/* After the handshake: what the guest stands for, and its registers. */
struct cs_error *guest_begin(struct guest *guest);

/* Notes a stop, and which process the guest is. */
void guest_note_stop(struct guest *guest, const struct stop_reply *stop);

/* It has begun anew: no thread is chosen any more. */
void guest_forget_threads(struct guest *guest);

struct cs_error *guest_select_general(struct guest *guest, const char *thread);
/* … back to the one that GDB believes chosen, where a request of the relay's changed it. */
struct cs_error *guest_restore_general(struct guest *guest);
/* Without vCont: the thread that `c` and `s` apply to. */
struct cs_error *guest_select_resumed(struct guest *guest, const char *thread);
/* … and back to GDB's choice, or to all of them where it made none, once the relay has chosen one. */
struct cs_error *guest_restore_resumed(struct guest *guest);

struct cs_error *guest_read_registers(struct guest *guest, const char *thread, struct registers *ret);
/* Writes one register, on the wire and in the copy: of the thread that is chosen, and of one. */
struct cs_error *guest_write_chosen(struct guest *guest, const struct target_register *reg, uint64_t value,
				    struct registers *registers);
struct cs_error *guest_write_register(struct guest *guest, const char *thread, const struct target_register *reg,
				      uint64_t value, struct registers *registers);

/* Z and z. */
struct cs_error *guest_insert(struct guest *guest, char type, uint64_t address);
struct cs_error *guest_take_out(struct guest *guest, char type, uint64_t address);

/* Sets it going for GDB, or whoever drives it. */
struct cs_error *guest_go(struct guest *guest, const char *payload, size_t length);

/* Sends a resume packet whose stop guest_await() fetches. */
struct cs_error *guest_run(struct guest *guest, const char *payload);
/* The stop after guest_run(). Once the limit is over the guest is interrupted (*given_up), and its next stop is
 * taken, whatever it is. CS_ERROR_TIMEOUT where there is none. */
struct cs_error *guest_await(struct guest *guest, unsigned limit_ms, struct stub_reply *reply, bool *given_up);

#endif
