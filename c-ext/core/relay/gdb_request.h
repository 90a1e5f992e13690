/* SPDX-License-Identifier: MIT */
/*
 * What a debugger asks for: a packet's payload parsed to a typed request, and the reply to it judged by the request's
 * kind. Nothing here knows of connections.
 *
 * Source: "Debugging with GDB", appendix E.2 (packets), E.4 (general queries); GDB's remote.c for what it makes of
 * replies.
 */
#ifndef CLOCKSCOPE_GDB_REQUEST_H
#define CLOCKSCOPE_GDB_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rsp/reply.h"

enum gdb_request_kind {
	GDB_NOTHING, /* no request is under way */
	/* Answered by the relay. */
	GDB_FEATURES,      /* qSupported */
	GDB_NO_ACK,        /* QStartNoAckMode */
	GDB_VCONT_ACTIONS, /* vCont? */
	GDB_WHY_STOPPED,   /* ? */
	GDB_NOT_OFFERED,   /* what the relay does not carry: an empty reply */
	/* Answered by the stub. */
	GDB_QUESTION,       /* all that has no kind of its own */
	GDB_MONITOR,        /* qRcmd: output comes first, and the end when the command has done its work */
	GDB_CURRENT_THREAD, /* qC */
	GDB_THREADS,        /* qfThreadInfo, qsThreadInfo */
	GDB_CHOOSE_THREAD,  /* H */
	GDB_BREAKPOINT,     /* Z0, Z1, z0, z1 */
	GDB_WATCHPOINT,     /* Z2 to Z4, z2 to z4 */
	GDB_DETACH,         /* D */
	GDB_KILL,           /* vKill */
	/* Not answered, or by some stubs. */
	GDB_KILL_UNANSWERED, /* k */
	GDB_RESTART,         /* R */
	GDB_FILE_ANSWER,     /* F: to what the guest asked of GDB's files */
	/* Answered by a stop. */
	GDB_RESUME,  /* vCont, c, C, s, S */
	GDB_REVERSE, /* bc, bs */
	GDB_START,   /* vRun, vAttach */
};

struct gdb_request {
	enum gdb_request_kind kind;
	/* Breakpoints and watchpoints: Z or z, the digit behind it, the address, and the kind, of watchpoints a length.
	 */
	bool insert;
	char type;
	uint64_t address;
	uint64_t length;
	/* H: what the thread is chosen for, and its id, empty where it is none (reply_copy_thread()). */
	char purpose;
	char thread[REPLY_THREAD_MAX];
	/* D and vKill: the process, in hex digits without leading zeros; empty where none is named. */
	char process[REPLY_THREAD_MAX];
};

/* Never fails: what is malformed is a GDB_QUESTION, and the stub's to refuse. */
void gdb_request_parse(const char *payload, struct gdb_request *ret);

/* Whether its answer is a stop: GDB waits for that without end. */
bool gdb_request_resumes(enum gdb_request_kind kind);

/* Whether its answer, if one comes, is the stub's, and no stop. */
bool gdb_request_asks(enum gdb_request_kind kind);

/* What a reply makes of the debugger's hold on the guest. */
enum gdb_outcome {
	GDB_HOLDS,     /* nothing has changed: an answer, a refusal, or a request that the stub does not know */
	GDB_DETACHED,  /* the stub has let go of the guest */
	GDB_KILLED,    /* the guest is no more, for GDB has asked for it */
	GDB_ENDED,     /* the guest has ended by itself meanwhile: that answers no question */
	GDB_UNSETTLED, /* GDB is gone, and the stub has not done what it asked for last */
};

enum gdb_outcome gdb_request_judge(enum gdb_request_kind kind, const char *reply, size_t length);

#endif
