/* SPDX-License-Identifier: MIT */
/* What a function's control-flow graph consists of, and what it is built from. cfg.h has what makes one, and asks it.
 */
#ifndef CLOCKSCOPE_GRAPH_H
#define CLOCKSCOPE_GRAPH_H

#include "arch/insn.h"
#include "elf/sites.h"

#define CFG_NONE UINT32_MAX
#define CFG_MAX_INSNS 1000000u
#define CFG_ENTRY 0u /* index of the entry block */

/* A piece of code the function may consist of; bytes are borrowed while the CFG is being built. */
struct cfg_code {
	uint64_t address;
	const uint8_t *bytes;
	size_t size;
};

/* What the graph is built from. Everything is borrowed. */
struct cfg_input {
	uint64_t entry;
	const struct cfg_code *code; /* the function's own parts: hot, cold, out-of-line alternatives */
	size_t code_count;
	const struct sites *sites;           /* may be NULL */
	const struct cfg_code *replacements; /* text of alternatives; NULL: assumed not to jump */
	uint64_t return_thunk;               /* what returns jump to; 0: none */
	uint64_t indirect_thunks[2];         /* [start, end) of those that jump through a register; 0, 0: none */
	/* Reads constant data, for jump tables; NULL: tables are not resolved. */
	bool (*read)(void *context, uint64_t address, void *buffer, size_t size);
	/* Whether a function never returns; NULL: all do. */
	struct cs_error *(*never_returns)(void *context, uint64_t function, bool *ret);
	void *context;
};

enum cfg_insn_flag {
	CFG_PATCHED = 1, /* the kernel may rewrite it */
	CFG_FIXUP = 2,   /* an exception may continue elsewhere */
};

struct cfg_insn {
	struct insn insn;
	unsigned flags;
	enum site_kind site; /* valid with CFG_PATCHED or CFG_FIXUP */
};

enum cfg_edge_kind {
	CFG_FALLTHROUGH, /* not taken, or simply the next block */
	CFG_TAKEN,       /* of a conditional jump */
	CFG_JUMP,        /* direct jump */
	CFG_TABLE,       /* indirect jump through a table */
	CFG_ALTERNATE,   /* patched text or an exception's fixup goes here */
};

struct cfg_edge {
	uint32_t from;
	uint32_t to;
	enum cfg_edge_kind kind;
};

/* How control may leave the function at a block's end. Several may hold at patched text. */
enum cfg_exit {
	CFG_RETURNS = 1,       /* ret, or a jump to the return thunk */
	CFG_TAIL_CALLS = 2,    /* a jump to another function, direct or indirect */
	CFG_NEVER_RETURNS = 4, /* noreturn call, BUG, hlt at the end */
	CFG_UNKNOWN = 8,       /* indirect jump whose table was not found, or bytes that are no instruction */
};

struct cfg_block {
	uint64_t start, end;
	uint32_t insn, insn_count; /* range in cfg->insns */
	uint32_t next, next_count; /* range in cfg->edges: successors, in order of `enum cfg_edge_kind` */
	uint32_t prev, prev_count; /* range in cfg->backward: indices of edges that come in */
	uint32_t dominator;        /* immediate dominator; CFG_NONE for the entry */
	uint32_t loop;             /* innermost loop, or CFG_NONE */
	uint32_t depth;            /* of loops around it */
	unsigned exits;            /* bits of enum cfg_exit; 0: control stays in the function */
	bool cold;                 /* lies outside the part that holds the entry */
};

/* A natural loop, or an irreducible one (`head` is then just one of its entries). */
struct cfg_loop {
	uint32_t head;
	uint32_t parent;      /* enclosing loop or CFG_NONE */
	uint32_t depth;       /* 1: outermost */
	uint32_t block_count; /* blocks in it, those of inner loops included */
	bool irreducible;
	/* Set by bounds_find(); 0 and CFG_NONE where no counter bounds the loop. */
	uint32_t rounds;  /* the head runs at most so often each time the loop is entered */
	uint32_t counter; /* the block whose branch ends it then, and only then */
};

struct cfg {
	uint64_t entry;
	struct cfg_insn *insns;   /* grouped by block, ascending addresses within each */
	struct cfg_block *blocks; /* in reverse post-order; blocks[0] is the entry */
	struct cfg_edge *edges;   /* grouped by `from` */
	uint32_t *backward;       /* indices into edges, grouped by `to` */
	struct cfg_loop *loops;   /* outer before inner */
	uint32_t *by_address;     /* block indices in order of address */
	uint32_t insn_count, block_count, edge_count, loop_count;
	bool complete; /* false: some block has CFG_UNKNOWN */
};

#endif
