/* SPDX-License-Identifier: MIT */
/* What a probe plan is; probe_plan.h has what makes one. */
#ifndef CLOCKSCOPE_PLAN_H
#define CLOCKSCOPE_PLAN_H

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

#endif
