/* SPDX-License-Identifier: MIT */
/* Between recorder.c (life, writing) and recorder_hits.c (what a stop means, which probes are in place). */
#ifndef CLOCKSCOPE_RECORDER_INTERNAL_H
#define CLOCKSCOPE_RECORDER_INTERNAL_H

#include <pthread.h>

#include "arch/arch.h"
#include "base/util.h"
#include "record/recorder.h"

#define TASK_NAME_MAX 16 /* TASK_COMM_LEN */
#define LIFTED UINT32_MAX

/* A probe of a plan. */
struct planted {
	struct probe probe; /* first: the hit gets its address */
	struct traced *traced;
	const struct plan_probe *planned;
	struct insn here; /* the instruction as it runs, once verified */
	bool verified;    /* memory holds what was analysed */
	bool in_place;    /* planted, or about to be (relay_defer) */
	uint32_t lifters; /* invocations that had it lifted */
};

/* The entry of a function that an intervention may have return at once. */
struct replaced {
	struct probe probe;
	struct traced *traced;
	bool wanted;
};

struct traced {
	struct recorder *recorder;
	int64_t id;
	const struct cfg *cfg;
	const struct windows *windows;
	const struct plan *plan;
	struct planted *sites; /* as plan->probes */
	struct replaced replaced;
	uint32_t active; /* invocations under way */
	uint32_t gates;  /* that keep its entry unwatched just now */
	struct relation *parents;
	struct relation *children;
	struct relation *window_callers; /* functions that call it within a timing window */
	struct relation *window_callees; /* functions that it so calls */
	bool returns_nothing;
	bool broken; /* its text is not what was analysed: nothing it says is used */
	struct traced *next;
};

struct relation {
	struct traced *other;
	struct relation *next;
};

/* A place that the guest comes to once, from where on, or up to where, a function can be called. */
struct gate {
	struct probe probe;
	struct traced *traced;
	bool opens;
	struct gate *next;
};

/* A probe at a return address, for as long as invocations will return there. */
struct return_site {
	struct probe probe;
	struct recorder *recorder;
	uint32_t users;
	struct return_site *next;
};

struct invocation {
	struct traced *traced;
	struct row_invocation row;
	int64_t value; /* what it returned, where the row points to it */
	char thread[REPLY_THREAD_MAX];
	char task[TASK_NAME_MAX + 1];
	struct path_event *events;
	int64_t *stops; /* by event: the seq of its stop, where it was a branch's */
	size_t count;
	size_t event_room, stop_room;
	uint32_t *hits; /* by site; LIFTED once it was */
	struct return_site *return_site;
	bool not_run; /* an intervention had the function return at once: there is no path */
	struct invocation *next;
};

struct pending_stop {
	struct row_stop row;
	struct pending_stop *next;
	uint8_t registers[]; /* the reply to `g` */
};

struct recorder {
	struct relay *relay;
	struct store *store;
	struct recorder_options options;
	const struct arch *arch;
	const struct target_register *general[EMULATE_REGISTERS_MAX], *flags, *cpu_base;
	struct relay_tick tick;
	struct relay_retired retired;
	pthread_mutex_t lock; /* guards all below */
	struct traced *traced;
	struct gate *gates;
	struct return_site *return_sites;
	struct invocation *active;
	struct invocation *finished;
	struct invocation **finished_last;
	struct pending_stop *stops;
	struct pending_stop **stops_last;
	struct recorder_statistics statistics;
	bool stopped;   /* all probes are lifted: nothing is to be planted or lifted any more */
	bool exhausted; /* out of memory, or its owner is gone: what is recorded stays, nothing more comes */
};

/* recorder_hits.c; all but the last with the lock held. */

/* Whether a probe is to be in place now. */
bool recorder_wants(const struct planted *site);
/* Moves an invocation from the active ones to the finished. */
void recorder_finish(struct recorder *recorder, struct invocation *invocation);
void invocation_destroy(struct invocation *invocation);
probe_function recorder_on_hit, recorder_on_gate, recorder_on_replaced;

#endif
