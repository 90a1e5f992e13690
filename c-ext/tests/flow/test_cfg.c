/* SPDX-License-Identifier: MIT */
/* Graphs from literal bytes: edges, exits, loops, jump tables, and text that the kernel patches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "flow/cfg.h"
#include "flow/loops.h"
#include "support/decoder.h"

static struct cfg *build(const struct cfg_input *input)
{
	struct cfg *cfg;

	assert_null(cfg_create(decoder, input, &cfg));
	return cfg;
}

static struct cfg *build_bytes(const uint8_t *bytes, size_t size)
{
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1};

	return build(&input);
}

/* The kind of the edge between two blocks, given by their addresses; -1: there is none. */
static int edge(const struct cfg *cfg, uint64_t from, uint64_t to)
{
	uint32_t source = cfg_block_at(cfg, from);

	assert_int_not_equal(source, CFG_NONE);
	assert_int_equal(cfg->blocks[source].start, from);
	for (uint32_t i = 0; i < cfg->blocks[source].next_count; i++) {
		const struct cfg_edge *it = &cfg->edges[cfg->blocks[source].next + i];

		assert_int_equal(it->from, source);
		if (cfg->blocks[it->to].start == to)
			return (int)it->kind;
	}
	return -1;
}

static unsigned exits(const struct cfg *cfg, uint64_t address)
{
	return cfg->blocks[cfg_block_at(cfg, address)].exits;
}

static void a_diamond(void **state)
{
	static const uint8_t bytes[] = {
		0x85, 0xc0, /* 1000 test %eax,%eax */
		0x74, 0x04, /* 1002 je 1008 */
		0x89, 0xc3, /* 1004 mov %eax,%ebx */
		0xeb, 0x02, /* 1006 jmp 100a */
		0x31, 0xdb, /* 1008 xor %ebx,%ebx */
		0xc3,       /* 100a ret */
	};
	struct cfg *cfg = build_bytes(bytes, sizeof(bytes));
	uint32_t taken, not_taken;

	(void)state;
	assert_int_equal(cfg->block_count, 4);
	assert_int_equal(cfg->edge_count, 4);
	assert_int_equal(edge(cfg, 0x1000, 0x1004), CFG_FALLTHROUGH);
	assert_int_equal(edge(cfg, 0x1000, 0x1008), CFG_TAKEN);
	assert_int_equal(edge(cfg, 0x1004, 0x100a), CFG_JUMP);
	assert_int_equal(edge(cfg, 0x1008, 0x100a), CFG_FALLTHROUGH);
	assert_int_equal(exits(cfg, 0x100a), CFG_RETURNS);
	assert_int_equal(exits(cfg, 0x1000), 0);
	assert_true(cfg_decides(cfg, CFG_ENTRY, &taken, &not_taken));
	assert_int_equal(cfg->blocks[taken].start, 0x1008);
	assert_int_equal(cfg->blocks[not_taken].start, 0x1004);
	assert_true(cfg_dominates(cfg, CFG_ENTRY, cfg_block_at(cfg, 0x100a)));
	assert_false(cfg_dominates(cfg, cfg_block_at(cfg, 0x1004), cfg_block_at(cfg, 0x100a)));
	assert_int_equal(cfg_insn_at(cfg, 0x1002), 1);
	assert_int_equal(cfg_insn_at(cfg, 0x1003), CFG_NONE);
	assert_int_equal(cfg_block_at(cfg, 0x100b), CFG_NONE);
	assert_int_equal(cfg->loop_count, 0);
	assert_true(cfg->complete);
	cfg_destroy(cfg);
	cfg_destroy(NULL);
}

static void nested_loops(void **state)
{
	static const uint8_t bytes[] = {
		0x90,       /* 1000 nop */
		0x90,       /* 1001 nop: outer head */
		0x90,       /* 1002 nop: inner head */
		0x75, 0xfd, /* 1003 jne 1002 */
		0x74, 0xfa, /* 1005 je 1001 */
		0xc3,       /* 1007 ret */
	};
	struct cfg *cfg = build_bytes(bytes, sizeof(bytes));
	uint32_t outer = cfg_block_at(cfg, 0x1001), inner = cfg_block_at(cfg, 0x1002);

	(void)state;
	assert_int_equal(cfg->loop_count, 2);
	assert_int_equal(cfg->loops[0].head, outer);
	assert_int_equal(cfg->loops[0].depth, 1);
	assert_int_equal(cfg->loops[0].block_count, 3);
	assert_int_equal(cfg->loops[1].head, inner);
	assert_int_equal(cfg->loops[1].parent, 0);
	assert_int_equal(cfg->blocks[inner].depth, 2);
	assert_int_equal(cfg->blocks[CFG_ENTRY].depth, 0);
	assert_true(cfg_in_loop(cfg, 0, inner));
	assert_false(cfg_in_loop(cfg, 1, outer));
	assert_false(cfg->loops[0].irreducible);
	cfg_destroy(cfg);
}

static void a_loop_with_two_entries(void **state)
{
	static const uint8_t bytes[] = {
		0x74, 0x02, /* 1000 je 1004 */
		0x90, 0x90, /* 1002 nop; nop */
		0x90,       /* 1004 nop */
		0x75, 0xfb, /* 1005 jne 1002 */
		0xc3,       /* 1007 ret */
	};
	static const uint8_t crossed[] = {
		0x74, 0x03, /* 1000 je 1005 */
		0x90,       /* 1002 nop */
		0x74, 0x03, /* 1003 je 1008 */
		0x90,       /* 1005 nop */
		0x75, 0xfa, /* 1006 jne 1002 */
		0xc3,       /* 1008 ret */
	};
	struct cfg *cfg = build_bytes(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cfg->loop_count, 1);
	cfg_destroy(cfg);
	cfg = build_bytes(crossed, sizeof(crossed));
	assert_int_equal(cfg->loop_count, 1);
	assert_true(cfg->loops[0].irreducible);
	cfg_destroy(cfg);
}

static struct cs_error *never_returns(void *context, uint64_t function, bool *ret)
{
	(void)context;
	*ret = function == 0x4000;
	return NULL;
}

static void ways_out(void **state)
{
	static const uint8_t bytes[] = {
		0x74, 0x0c,                   /* 1000 je 100e */
		0x0f, 0x85, 0xf8, 0x0f, 0, 0, /* 1002 jne 2000: conditional tail call */
		0xe9, 0xf3, 0x1f, 0,    0,    /* 1008 jmp 3000: the return thunk */
		0xcc,                         /* 100d int3 */
		0xe8, 0xed, 0x2f, 0,    0,    /* 100e call 4000: never returns */
		0x90,                         /* 1013 nop: not reached */
	};
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = sizeof(bytes)};
	struct cfg_input input = {.entry = 0x1000,
				  .code = &code,
				  .code_count = 1,
				  .return_thunk = 0x3000,
				  .never_returns = never_returns};
	struct cfg *cfg = build(&input);
	uint32_t taken, not_taken;

	(void)state;
	assert_int_equal(cfg->block_count, 4);
	assert_int_equal(exits(cfg, 0x1002), CFG_TAIL_CALLS);
	assert_true(cfg_decides(cfg, cfg_block_at(cfg, 0x1002), &taken, &not_taken));
	assert_int_equal(taken, CFG_NONE);
	assert_int_equal(exits(cfg, 0x1008), CFG_RETURNS);
	assert_int_equal(exits(cfg, 0x100e), CFG_NEVER_RETURNS);
	cfg_destroy(cfg);
}

static void ends_of_functions(void **state)
{
	static const uint8_t call[] = {0xe8, 0, 0x10, 0, 0};         /* a call with nothing behind it */
	static const uint8_t falls[] = {0x90, 0x90};                 /* into whatever follows */
	static const uint8_t indirect[] = {0xff, 0xe0};              /* jmp *%rax */
	static const uint8_t thunk[] = {0xe9, 0xfb, 0x0f, 0, 0};     /* jmp 2000: an indirect thunk */
	static const uint8_t broken[] = {0x90, 0xea, 0, 0, 0, 0, 0}; /* far jump: no instruction */
	struct cfg_code code = {.address = 0x1000, .bytes = thunk, .size = sizeof(thunk)};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1, .indirect_thunks = {0x2000, 0x2200}};
	struct cfg *cfg = build_bytes(call, sizeof(call));

	(void)state;
	assert_int_equal(exits(cfg, 0x1000), CFG_NEVER_RETURNS);
	cfg_destroy(cfg);
	cfg = build_bytes(falls, sizeof(falls));
	assert_int_equal(exits(cfg, 0x1000), CFG_TAIL_CALLS);
	cfg_destroy(cfg);
	cfg = build_bytes(indirect, sizeof(indirect));
	assert_int_equal(exits(cfg, 0x1000), CFG_TAIL_CALLS);
	cfg_destroy(cfg);
	cfg = build(&input);
	assert_int_equal(exits(cfg, 0x1000), CFG_TAIL_CALLS);
	cfg_destroy(cfg);
	cfg = build_bytes(broken, sizeof(broken));
	assert_int_equal(exits(cfg, 0x1000), CFG_UNKNOWN);
	assert_false(cfg->complete);
	cfg_destroy(cfg);
}

static void a_cold_part(void **state)
{
	static const uint8_t hot[] = {
		0x0f, 0x84, 0xfa, 0x0f, 0, 0, /* 1000 je 2000 */
		0xc3,                         /* 1006 ret */
	};
	static const uint8_t cold[] = {
		0x90,                         /* 2000 nop */
		0xe9, 0x00, 0xf0, 0xff, 0xff, /* 2001 jmp 1006 */
	};
	static const uint8_t namesake[] = {0xcc}; /* another function's part of the same name */
	const struct cfg_code code[] = {
		{.address = 0x1000, .bytes = hot, .size = sizeof(hot)},
		{.address = 0x3000, .bytes = namesake, .size = sizeof(namesake)},
		{.address = 0x2000, .bytes = cold, .size = sizeof(cold)},
	};
	struct cfg_input input = {.entry = 0x1000, .code = code, .code_count = 3};
	struct cfg *cfg = build(&input);

	(void)state;
	assert_int_equal(cfg->block_count, 3);
	assert_int_equal(edge(cfg, 0x2000, 0x1006), CFG_JUMP);
	assert_true(cfg->blocks[cfg_block_at(cfg, 0x2000)].cold);
	assert_false(cfg->blocks[cfg_block_at(cfg, 0x1006)].cold);
	assert_int_equal(cfg_block_at(cfg, 0x3000), CFG_NONE);
	cfg_destroy(cfg);
}

/* Constant data at 0x8000 and 0x9000: absolute and relative tables. */
static bool read_data(void *context, uint64_t address, void *buffer, size_t size)
{
	static const uint64_t absolute[] = {0x1020, 0x1030, 0x1020, 0x1040, 0x5000};
	static const int32_t relative[] = {0x1020 - 0x9000, 0x1030 - 0x9000, 0x1040 - 0x9000, 0};

	(void)context;
	if (address >= 0x8000 && address - 0x8000 + size <= sizeof(absolute))
		memcpy(buffer, (const uint8_t *)absolute + (address - 0x8000), size);
	else if (address >= 0x9000 && address - 0x9000 + size <= sizeof(relative))
		memcpy(buffer, (const uint8_t *)relative + (address - 0x9000), size);
	else
		return false;
	return true;
}

/* Puts a dispatch in front of three cases at 0x1020, 0x1030, 0x1040 and a default at 0x1048; what it holds there stays.
 */
static struct cfg *build_switch(const uint8_t *dispatch, size_t size)
{
	static uint8_t bytes[0x50];
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = sizeof(bytes)};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1, .read = read_data};

	memset(bytes, 0xcc, sizeof(bytes));
	bytes[0x20] = bytes[0x30] = bytes[0x40] = bytes[0x48] = 0xc3;
	memcpy(bytes, dispatch, size);
	return build(&input);
}

static void absolute_jump_tables(void **state)
{
	static const uint8_t bounded[] = {
		0x83, 0xff, 0x03,                   /* 1000 cmp $3,%edi */
		0x77, 0x43,                         /* 1003 ja 1048 */
		0x89, 0xf8,                         /* 1005 mov %edi,%eax */
		0xff, 0x24, 0xc5, 0x00, 0x80, 0, 0, /* 1007 jmp *0x8000(,%rax,8) */
	};
	static const uint8_t masked[] = {
		0x83, 0xe7, 0x01,                         /* and $1,%edi */
		0x48, 0x8b, 0x04, 0xfd, 0x00, 0x80, 0, 0, /* mov 0x8000(,%rdi,8),%rax */
		0x3e, 0xff, 0xe0,                         /* notrack jmp *%rax */
	};
	static const uint8_t open[] = {0xff, 0x24, 0xfd, 0x00, 0x80, 0, 0}; /* jmp *0x8000(,%rdi,8) */
	static const uint8_t nowhere[] = {0xff, 0x24, 0xfd, 0x00, 0x70, 0, 0};
	struct cfg *cfg = build_switch(bounded, sizeof(bounded));

	(void)state;
	assert_int_equal(edge(cfg, 0x1005, 0x1020), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1005, 0x1030), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1005, 0x1040), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1000, 0x1048), CFG_TAKEN);
	assert_true(cfg->complete);
	cfg_destroy(cfg);
	cfg = build_switch(masked, sizeof(masked));
	assert_int_equal(cfg->blocks[CFG_ENTRY].next_count, 2);
	cfg_destroy(cfg);
	/* Nothing says how long the table is: it ends with the first address that is none of the function's. */
	cfg = build_switch(open, sizeof(open));
	assert_int_equal(cfg->blocks[CFG_ENTRY].next_count, 3);
	cfg_destroy(cfg);
	cfg = build_switch(nowhere, sizeof(nowhere));
	assert_int_equal(exits(cfg, 0x1000), CFG_UNKNOWN);
	assert_false(cfg->complete);
	cfg_destroy(cfg);
}

static void relative_jump_tables(void **state)
{
	static const uint8_t bytes[] = {
		0x83, 0xff, 0x02,                   /* 1000 cmp $2,%edi */
		0x77, 0x43,                         /* 1003 ja 1048 */
		0x48, 0x8d, 0x15, 0xf4, 0x7f, 0, 0, /* 1005 lea 0x9000(%rip),%rdx */
		0x48, 0x63, 0x04, 0xba,             /* 100c movslq (%rdx,%rdi,4),%rax */
		0x48, 0x01, 0xd0,                   /* 1010 add %rdx,%rax */
		0xff, 0xe0,                         /* 1013 jmp *%rax */
	};
	struct cfg *cfg = build_switch(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cfg->blocks[cfg_block_at(cfg, 0x1005)].next_count, 3);
	assert_int_equal(edge(cfg, 0x1005, 0x1040), CFG_TABLE);
	cfg_destroy(cfg);
}

/* Behind `jbe` the index is above the constant; where `jbe` leads to, it is not. */
static void the_other_side_of_a_guard(void **state)
{
	static const uint8_t below[] = {
		0x83, 0xff, 0x01,                   /* 1000 cmp $1,%edi */
		0x76, 0x43,                         /* 1003 jbe 1048 */
		0x89, 0xff,                         /* 1005 mov %edi,%edi */
		0xff, 0x24, 0xfd, 0x08, 0x80, 0, 0, /* 1007 jmp *0x8008(,%rdi,8) */
	};
	static const uint8_t taken[] = {
		0x83, 0xff, 0x01,                   /* 1000 cmp $1,%edi */
		0x76, 0x01,                         /* 1003 jbe 1006 */
		0xc3,                               /* 1005 ret */
		0xff, 0x24, 0xfd, 0x08, 0x80, 0, 0, /* 1006 jmp *0x8008(,%rdi,8) */
	};
	struct cfg *cfg = build_switch(below, sizeof(below));

	(void)state;
	/* An index of 2 is the first that comes here; behind it the table ends. */
	assert_int_equal(edge(cfg, 0x1005, 0x1040), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1005, 0x1020), -1);
	assert_int_equal(edge(cfg, 0x1005, 0x1030), -1);
	cfg_destroy(cfg);
	cfg = build_switch(taken, sizeof(taken));
	assert_int_equal(edge(cfg, 0x1006, 0x1030), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1006, 0x1020), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1006, 0x1040), -1);
	cfg_destroy(cfg);
}

/* What one way to the jump does not go by says nothing of it. */
static void a_guard_that_is_skipped(void **state)
{
	static const uint8_t skipped[] = {
		0x85, 0xf6,                         /* 1000 test %esi,%esi */
		0x75, 0x05,                         /* 1002 jne 1009 */
		0x83, 0xff, 0x01,                   /* 1004 cmp $1,%edi */
		0x77, 0x3f,                         /* 1007 ja 1048 */
		0xff, 0x24, 0xfd, 0x00, 0x80, 0, 0, /* 1009 jmp *0x8000(,%rdi,8) */
	};
	/* The other way comes from one of the table's own targets, 1020: it is not known when the jump is first seen.
	 */
	static const uint8_t late[] = {
		0x83, 0xff, 0x00,                   /* 1000 cmp $0,%edi */
		0x77, 0x43,                         /* 1003 ja 1048 */
		0xff, 0x24, 0xfd, 0x00, 0x80, 0, 0, /* 1005 jmp *0x8000(,%rdi,8) */
	};
	uint8_t looping[0x24] = {0};
	struct cfg *cfg = build_switch(skipped, sizeof(skipped));

	(void)state;
	assert_int_equal(edge(cfg, 0x1009, 0x1020), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1009, 0x1030), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1009, 0x1040), CFG_TABLE);
	cfg_destroy(cfg);
	memcpy(looping, late, sizeof(late));
	memcpy(looping + 0x20, (uint8_t[]){0xff, 0xc7, 0xeb, 0xe1}, 4); /* inc %edi; jmp 1005 */
	cfg = build_switch(looping, sizeof(looping));
	assert_int_equal(edge(cfg, 0x1005, 0x1040), CFG_TABLE);
	cfg_destroy(cfg);
}

/* A byte's comparison says nothing of the whole register, but of what is extended from that byte. */
static void guards_of_a_part(void **state)
{
	static const uint8_t whole[] = {
		0x40, 0x80, 0xff, 0x00,             /* 1000 cmp $0,%dil */
		0x77, 0x42,                         /* 1004 ja 1048 */
		0xff, 0x24, 0xfd, 0x00, 0x80, 0, 0, /* 1006 jmp *0x8000(,%rdi,8) */
	};
	static const uint8_t extended[] = {
		0x40, 0x80, 0xff, 0x00,             /* 1000 cmp $0,%dil */
		0x77, 0x42,                         /* 1004 ja 1048 */
		0x40, 0x0f, 0xb6, 0xc7,             /* 1006 movzbl %dil,%eax */
		0xff, 0x24, 0xc5, 0x00, 0x80, 0, 0, /* 100a jmp *0x8000(,%rax,8) */
	};
	struct cfg *cfg = build_switch(whole, sizeof(whole));

	(void)state;
	assert_int_equal(edge(cfg, 0x1006, 0x1040), CFG_TABLE);
	cfg_destroy(cfg);
	cfg = build_switch(extended, sizeof(extended));
	assert_int_equal(edge(cfg, 0x1006, 0x1020), CFG_TABLE);
	assert_int_equal(edge(cfg, 0x1006, 0x1040), -1);
	cfg_destroy(cfg);
}

static struct cfg *build_with_sites(const uint8_t *bytes, size_t size, struct site *items, size_t count,
				    const struct cfg_code *replacements)
{
	const struct sites sites = {.items = items, .count = count};
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {
		.entry = 0x1000, .code = &code, .code_count = 1, .sites = &sites, .replacements = replacements};

	return build(&input);
}

static void static_keys_go_both_ways(void **state)
{
	static const uint8_t nop[] = {0x0f, 0x1f, 0x44, 0, 0, 0xc3, 0x90, 0xc3}; /* nopl; ret; nop; ret */
	static const uint8_t jump[] = {0xe9, 0x01, 0, 0, 0, 0xc3, 0x90, 0xc3};   /* jmp 1006; ret; nop; ret */
	const uint8_t *const forms[] = {nop, jump};
	struct site site = {.address = 0x1000, .target = 0x1006, .length = 5, .kind = SITE_STATIC_KEY};
	uint32_t taken, not_taken;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct cfg *cfg = build_with_sites(forms[i], 8, &site, 1, NULL);

		assert_int_equal(cfg->block_count, 3);
		assert_int_equal(edge(cfg, 0x1000, 0x1005), CFG_FALLTHROUGH);
		assert_int_not_equal(edge(cfg, 0x1000, 0x1006), -1);
		assert_true(cfg->insns[0].flags & CFG_PATCHED);
		assert_false(cfg_decides(cfg, CFG_ENTRY, &taken, &not_taken));
		cfg_destroy(cfg);
	}
}

/* static_cpu_has(): before it is patched a jump to code that tests a bit; afterwards a jump to either side, or nops. */
static void alternatives_may_jump(void **state)
{
	static const uint8_t text[] = {
		0xe9, 0xfb, 0x0f, 0, 0, /* 1000 jmp 2000 */
		0x90, 0xc3,             /* 1005 nop; ret */
		0x90, 0xc3,             /* 1007 nop; ret */
	};
	static const uint8_t test[] = {
		0xa8, 0x01,                         /* 2000 test $1,%al */
		0x0f, 0x85, 0xfd, 0xef, 0xff, 0xff, /* 2002 jne 1005 */
		0xe9, 0xfa, 0xef, 0xff, 0xff,       /* 2008 jmp 1007 */
	};
	static const uint8_t instead[] = {0xe9, 0x02, 0xd0, 0xff, 0xff}; /* 4000 jmp 1007 */
	struct site items[] = {
		{.address = 0x1000, .target = 0x4000, .length = 5, .extent = 5, .kind = SITE_ALTERNATIVE},
		{.address = 0x1000, .target = 0x4005, .length = 5, .extent = 0, .kind = SITE_ALTERNATIVE},
	};
	const struct sites sites = {.items = items, .count = 2};
	const struct cfg_code code[] = {{.address = 0x1000, .bytes = text, .size = sizeof(text)},
					{.address = 0x2000, .bytes = test, .size = sizeof(test)}};
	const struct cfg_code replacements = {.address = 0x4000, .bytes = instead, .size = sizeof(instead)};
	struct cfg_input input = {
		.entry = 0x1000, .code = code, .code_count = 2, .sites = &sites, .replacements = &replacements};
	struct cfg *cfg = build(&input);

	(void)state;
	assert_int_equal(edge(cfg, 0x1000, 0x2000), CFG_JUMP);
	assert_int_equal(edge(cfg, 0x1000, 0x1007), CFG_ALTERNATE);
	assert_int_equal(edge(cfg, 0x1000, 0x1005), CFG_ALTERNATE);
	assert_int_equal(edge(cfg, 0x2000, 0x1005), CFG_TAKEN);
	cfg_destroy(cfg);
}

static void exceptions_bugs_and_warnings(void **state)
{
	static const uint8_t fixup[] = {0x90, 0x0f, 0x32, 0xc3, 0x90, 0xc3}; /* nop; rdmsr; ret; nop; ret */
	static const uint8_t traps[] = {0x0f, 0x0b, 0x90, 0x0f, 0x0b, 0x90}; /* ud2; nop; ud2; nop */
	struct site at_rdmsr = {.address = 0x1001, .target = 0x1004, .kind = SITE_FIXUP};
	struct site bugs[] = {{.address = 0x1000, .kind = SITE_WARN}, {.address = 0x1003, .kind = SITE_BUG}};
	struct cfg *cfg = build_with_sites(fixup, sizeof(fixup), &at_rdmsr, 1, NULL);

	(void)state;
	assert_int_equal(edge(cfg, 0x1000, 0x1003), CFG_FALLTHROUGH);
	assert_int_equal(edge(cfg, 0x1000, 0x1004), CFG_ALTERNATE);
	cfg_destroy(cfg);
	cfg = build_with_sites(traps, sizeof(traps), bugs, 2, NULL);
	assert_int_equal(cfg->block_count, 1);
	assert_int_equal(exits(cfg, 0x1000), CFG_NEVER_RETURNS);
	assert_int_equal(cfg->blocks[0].end, 0x1005);
	cfg_destroy(cfg);
}

/* Without a table ud2 goes on only where something else leads there too. */
static void traps_of_unknown_kind(void **state)
{
	static const uint8_t alone[] = {0x0f, 0x0b, 0xc3};
	static const uint8_t joined[] = {0x74, 0x02, 0x0f, 0x0b, 0xc3}; /* je 1004; ud2; ret */
	struct cfg *cfg = build_bytes(alone, sizeof(alone));

	(void)state;
	assert_int_equal(cfg->block_count, 1);
	cfg_destroy(cfg);
	cfg = build_bytes(joined, sizeof(joined));
	assert_int_equal(edge(cfg, 0x1002, 0x1004), CFG_ALTERNATE);
	assert_int_equal(exits(cfg, 0x1002), CFG_NEVER_RETURNS);
	cfg_destroy(cfg);
}

static void a_jump_into_an_instruction(void **state)
{
	static const uint8_t bytes[] = {
		0x74, 0x01,       /* 1000 je 1003 */
		0xf0, 0xff, 0x03, /* 1002 lock incl (%rbx); 1003 without the lock */
		0xc3,             /* 1005 ret */
	};
	struct cfg *cfg = build_bytes(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cfg->block_count, 4);
	assert_int_not_equal(cfg_insn_at(cfg, 0x1002), CFG_NONE);
	assert_int_not_equal(cfg_insn_at(cfg, 0x1003), CFG_NONE);
	cfg_destroy(cfg);
}

static void what_cannot_be_built(void **state)
{
	static const uint8_t bytes[] = {0xea};
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = 1};
	struct cfg_input input = {.entry = 0x2000, .code = &code, .code_count = 1};
	struct cs_error *error;
	struct cfg *cfg;

	(void)state;
	error = cfg_create(decoder, &input, &cfg);
	assert_int_equal(error->code, CS_ERROR_FORMAT);
	cs_error_destroy(error);
	input.entry = 0x1000;
	error = cfg_create(decoder, &input, &cfg);
	assert_int_equal(error->code, CS_ERROR_FORMAT);
	assert_non_null(strstr(error->message, "0x1000"));
	cs_error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_diamond),
		cmocka_unit_test(nested_loops),
		cmocka_unit_test(a_loop_with_two_entries),
		cmocka_unit_test(ways_out),
		cmocka_unit_test(ends_of_functions),
		cmocka_unit_test(a_cold_part),
		cmocka_unit_test(absolute_jump_tables),
		cmocka_unit_test(relative_jump_tables),
		cmocka_unit_test(the_other_side_of_a_guard),
		cmocka_unit_test(a_guard_that_is_skipped),
		cmocka_unit_test(guards_of_a_part),
		cmocka_unit_test(static_keys_go_both_ways),
		cmocka_unit_test(alternatives_may_jump),
		cmocka_unit_test(exceptions_bugs_and_warnings),
		cmocka_unit_test(traps_of_unknown_kind),
		cmocka_unit_test(a_jump_into_an_instruction),
		cmocka_unit_test(what_cannot_be_built),
	};

	return cmocka_run_group_tests(tests, decoder_set_up, decoder_tear_down);
}
