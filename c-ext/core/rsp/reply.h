/* SPDX-License-Identifier: MIT */
/*
 * Parsers of what a stub answers. They take decoded payloads (packet_decode), check every length,
 * and keep nothing of the input.
 *
 * Source: "Debugging with GDB", appendix E.3 (stop reply packets) and E.4 (qSupported, vCont?).
 */
#ifndef CLOCKSCOPE_REPLY_H
#define CLOCKSCOPE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define REPLY_THREAD_MAX 40 /* p<16 digits>.<16 digits> and a NUL */
#define REPLY_REGISTERS_MAX 32

enum stop_kind {
	STOP_NONE,      /* not a stop reply */
	STOP_SIGNAL,    /* S, T */
	STOP_EXITED,    /* W */
	STOP_TERMINATED /* X */
};

enum stop_cause {
	STOP_CAUSE_UNSAID, /* QEMU says nothing */
	STOP_CAUSE_BREAKPOINT,
	STOP_CAUSE_WATCHPOINT,
	STOP_CAUSE_OTHER, /* fork, library, replaylog … */
};

struct stop_reply {
	enum stop_kind kind;
	enum stop_cause cause;
	uint8_t signal;                /* GDB's number (5 SIGTRAP, 2 SIGINT), or the exit status */
	char thread[REPLY_THREAD_MAX]; /* by reply_copy_thread(); empty where the stub said none */
	/* Registers that came along: the number, and the value's bytes in the target's order, cut to 8. */
	size_t registers;
	struct {
		uint32_t number;
		uint8_t size;
		uint8_t bytes[8];
	} registers_sent[REPLY_REGISTERS_MAX];
};

/* Reads a stop reply. kind is STOP_NONE for anything else, however malformed. */
void reply_parse_stop(const char *payload, size_t length, struct stop_reply *stop);

/* Whether it says that the guest stands (S, T): what answers a resume and `?`, and nothing else. */
bool reply_is_stop(const char *payload, size_t length);

/* The error number of `Exx` or `E.text`; false for any other reply. The number carries no meaning
 * beyond failure; -1 for E.text. */
bool reply_is_error(const char *payload, size_t length, int *number);

/* Copies a thread id without leading zeros and in lower case, so that equal ids are equal strings: QEMU
 * writes p01.01 where GDB writes p1.1. What is no thread id, or does not fit, becomes the empty string. */
void reply_copy_thread(const char *id, size_t length, char to[REPLY_THREAD_MAX]);

/* The number of the vCPU that a thread id stands for: stubs of whole machines number threads
 * p<process>.<vCPU + 1>. 0 for an id without a number. */
unsigned reply_thread_cpu(const char *thread);

/* One feature of a qSupported reply or one action of a vCont? reply. */
struct reply_field {
	const char *name;
	size_t name_length;
	const char *value; /* behind '=', or "+", "-", "?"; NULL where there is none */
	size_t value_length;
};

/* Reads the next `;`-separated field at *at, advances *at behind it. False at the end. */
bool reply_next_field(const char **at, const char *end, struct reply_field *field);

#endif
