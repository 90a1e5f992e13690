/* SPDX-License-Identifier: MIT */
/*
 * The recorder of branch traces: plants a plan's probes, tells the invocations of the traced functions
 * apart, and turns each one's stops into a path in the trace.
 *
 * Invocations are told apart by the stack pointer at their entry, which the plan knows from each
 * probe: recursion, interrupts that come in between, tasks that sleep or migrate, and other vCPUs each
 * have a stack, or a place on one, of their own.
 *
 * A stop costs no database work: rows gather in memory until a tick of the relay's writes them while the guest runs.
 */
#ifndef CLOCKSCOPE_RECORDER_H
#define CLOCKSCOPE_RECORDER_H

#include "base/placement.h"
#include "record/path_rows.h"
#include "relay/relay.h"

struct recorder;

struct recorder_options {
	struct placement placement; /* of what is traced */
	/* A probe that was hit so often in one invocation is lifted until the invocation ends; 0: never. */
	uint32_t hit_limit;
	/* Returns without a probe of the plan's are caught by one at the return address. */
	bool catch_returns;
	/* Probes may stand in timing windows. If not, a function that another calls within one is not watched while
	 * that other is under way. */
	bool intrusive;
	/* The guest is a QEMU replay: each stop carries its instruction count. */
	bool replay;
	/* How the guest's kernel names the running task: the per-CPU variable that points to it, as an offset
	 * from GS, and where in the task its name lies. 0, 0: unknown. Linux: current_task (or
	 * pcpu_hot.current_task), task_struct.comm. */
	uint64_t task_pointer;
	uint64_t task_name;
	/* Writes what an address is called ("function+0x10"), or the empty string, into `text`. Called by
	 * recorder_write(), in the relay's thread as in others. NULL: nothing is named. */
	void (*name)(void *context, struct link_address address, char *text, size_t size);
	/* Called when nothing that the recorder was given is used any more. NULL: nothing is to be done then. */
	void (*release)(void *context);
	void *context;
};

/* A loop outside of all windows that goes round so often may be one that was not seen. */
#define RECORDER_OFTEN 32u

struct recorder_statistics {
	uint64_t seen;   /* stops that it was told of, those that mean nothing included */
	uint64_t stops;  /* of its probes */
	uint64_t inside; /* … those in timing windows, or in what such windows call */
	uint64_t
		repeated; /* … those elsewhere, at a place that one invocation came to more than RECORDER_OFTEN times */
	uint64_t invocations; /* written to the trace */
	uint64_t orphans;     /* stops that belonged to no invocation whose entry was seen */
	uint64_t mismatches;  /* probes whose text in memory is not what was analysed */
	uint64_t lifted;      /* times a probe was lifted for the hit limit */
};

/* It holds a reference to the relay and to the store. *ret is released by recorder_destroy(); after an error,
 * options->release has not been called. */
struct cs_error *recorder_create(struct relay *relay, struct store *store, const struct recorder_options *options,
				 struct recorder **ret);

/* Stops and releases it; while the guest runs, nothing is recorded any more, and the probes are lifted and released
 * with the relay. */
void recorder_destroy(struct recorder *recorder);

/* Adds a function, whose row in the trace is `id`. cfg, windows and plan must stay until
 * options->release() is called. */
struct cs_error *recorder_add(struct recorder *recorder, int64_t id, const struct cfg *cfg,
			      const struct windows *windows, const struct plan *plan);

/* The function `child` is only called by `parent`, both added: its entry is watched while that is under way. With
 * several parents, while any of them is. */
struct cs_error *recorder_within(struct recorder *recorder, int64_t child, int64_t parent);

/* Watches the function's entry only from (`opens`), or until, the guest first comes to `address`: until then after all
 * that opens it. */
struct cs_error *recorder_gate(struct recorder *recorder, int64_t id, struct link_address address, bool opens);

/* An intervention has the function return at once: such calls are recorded, without a path. */
struct cs_error *recorder_replaced(struct recorder *recorder, int64_t id);

/* What RAX holds when the function returns is no value of its own. */
struct cs_error *recorder_returns_nothing(struct recorder *recorder, int64_t id);

/* Plants what is to be watched from now on; the guest must stand. `refused` is called for each function whose entry
 * the stub takes no probe at. */
struct cs_error *recorder_arm(struct recorder *recorder, void (*refused)(void *context, int64_t id), void *context);

/* Lifts all probes; invocations under way are written as not returned. CS_ERROR_STATE while the guest runs. Once the
 * relay has been stopped, it writes only. A second call does nothing. */
struct cs_error *recorder_stop(struct recorder *recorder);
bool recorder_is_stopped(const struct recorder *recorder);

/* Writes what gathered. */
struct cs_error *recorder_write(struct recorder *recorder);

void recorder_get_statistics(struct recorder *recorder, struct recorder_statistics *ret);

#endif
