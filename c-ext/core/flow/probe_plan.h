/* SPDX-License-Identifier: MIT */
/*
 * The probe plan: where to stop so that the sequence of stops tells the path, at the least expected cost.
 *
 * Each block has at most one candidate: its conditional jump (one stop tells both ways), else an
 * instruction in it (one stop tells that the block ran). A set of probes determines the path exactly when
 * between two consecutive stops no two different walks are possible that meet no probe: then there is
 * neither a cycle nor a "diamond" without a witness (Ball and Larus, "Optimally Profiling and Tracing Programs",
 * TOPLAS 16(4), 1994, section 4). Where windows, patched text or a budget forbid probes, what remains
 * ambiguous is exactly what no allowed probe could tell; see `determined`.
 */
#ifndef CLOCKSCOPE_PROBE_PLAN_H
#define CLOCKSCOPE_PROBE_PLAN_H

#include "arch/emulate.h"
#include "flow/cfg.h"
#include "flow/window.h"

/* What a hit means. A probe may have several roles: an entry whose first instruction is a branch, … */
enum plan_role {
	PLAN_ENTRY = 1,  /* an invocation begins (unless `reenters`, see below) */
	PLAN_BRANCH = 2, /* flags decide: event {address, taken} */
	PLAN_BLOCK = 4,  /* the block runs: event {address} */
	PLAN_RETURN = 8, /* stands on the return: the invocation ends; RAX is the value */
	PLAN_TAIL = 16,  /* stands on a tail call: the function is left, its callee goes on in its place */
};

struct plan_probe {
	uint64_t address;
	unsigned roles;
	uint32_t block;
	struct insn insn;       /* as analysed: compare with memory before emulating it */
	enum emulate_need need; /* EMULATE_IMPOSSIBLE: must be stepped */
	int32_t stack_offset;   /* RSP here + this = RSP at the function's entry; PLAN_UNKNOWN_STACK */
	double frequency;       /* expected hits per invocation */
	bool in_window;
	bool patched; /* stands on text that the kernel rewrites (only where options allow) */
};

#define PLAN_UNKNOWN_STACK INT32_MIN

struct plan_options {
	bool intrusive;            /* windows may be probed */
	bool allow_patched;        /* probes change no memory (TCG): patched text may carry them */
	bool probe_returns;        /* stops at returns and tail calls; else the recorder catches the return address */
	uint32_t budget;           /* most probes, the entry included; 0: no limit */
	const double *frequencies; /* by block: hits per invocation; NULL: estimated from loops */
};

struct plan {
	struct plan_probe *probes; /* sorted by address; the entry probe among them unless `entry` is PLAN_NO_ENTRY */
	uint32_t count;
	uint32_t entry;         /* index of the entry probe, or PLAN_NO_ENTRY: the function cannot be traced */
	bool entry_reenters;    /* it lies in a loop: a hit with the same stack pointer is no new invocation */
	bool returns_witnessed; /* every return and tail call carries a probe */
	bool determined;        /* the stops tell the path of every finished invocation */
	uint8_t *gaps;          /* by block: bits of enum plan_gap, where it cannot always be told whether it ran */
	/* Expected stops per invocation that tell branches; entry, and returns where they are probed, come on top. */
	double cost;
	double naive_cost; /* with a stop at each conditional jump */
	uint32_t naive_count;
	uint32_t left_out; /* probes dropped for the budget */
};

#define PLAN_NO_ENTRY UINT32_MAX

enum plan_gap {
	PLAN_GAP_WINDOW = 1,
	PLAN_GAP_PATCHED = 2,
	PLAN_GAP_BUDGET = 4, /* what the budget left out would have told it */
};

struct cs_error *plan_create(const struct cfg *cfg, const struct windows *windows, const struct plan_options *options,
			     struct plan **ret);
void plan_destroy(struct plan *plan);

/* By block, whether some probe of the plan shows that it runs (the entry alone left out). `ret` has room for
 * cfg->block_count. */
void plan_witnessed(const struct plan *plan, const struct cfg *cfg, bool *ret);

/* The probe at an address, or NULL. */
const struct plan_probe *plan_probe_at(const struct plan *plan, uint64_t address);

/* Estimated executions of each block per invocation: branches even, loops ten times, cold parts
 * seldom. `ret` has room for cfg->block_count. */
struct cs_error *plan_estimate(const struct cfg *cfg, double *ret);

#endif
