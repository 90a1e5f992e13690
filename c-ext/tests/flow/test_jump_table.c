/* SPDX-License-Identifier: MIT */
/* Jump tables behind every kind of guard: which entries can be read is worked out here from the guard itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "flow/cfg.h"
#include "flow/jump_table.h"
#include "support/decoder.h"

enum {
	CODE = 0x1000,
	ELSE = 0x10f0,   /* where a guard leads that does not lead to the jump */
	CASES = 0x1100,  /* a `ret` for each entry, 16 bytes apart */
	ENTRIES = 6,     /* of both tables; what follows is no place in the function */
	WIDE = 0x8000,   /* of addresses */
	NARROW = 0x9000, /* of offsets from NARROW */
	MANY = 0x10000,  /* 2000 addresses of one case */
	MANY_COUNT = 2000,
};

static bool read_tables(void *context, uint64_t address, void *buffer, size_t size)
{
	uint64_t index;

	(void)context;
	if (address >= MANY && address < MANY + MANY_COUNT * 8 && size == 8) {
		memcpy(buffer, &(uint64_t){CASES}, 8);
		return true;
	}
	if (address >= WIDE && address < WIDE + 64 * 8 && size == 8) {
		index = (address - WIDE) / 8;
		memcpy(buffer, &(uint64_t){index < ENTRIES ? CASES + 16 * index : 0x5000}, 8);
		return true;
	}
	if (address >= NARROW && address < NARROW + 64 * 4 && size == 4) {
		index = (address - NARROW) / 4;
		memcpy(buffer, &(int32_t){index < ENTRIES ? (int32_t)(CASES + 16 * index) - NARROW : 0}, 4);
		return true;
	}
	return false;
}

struct bytes {
	uint8_t at[0x200];
	size_t count;
};

#define PUT(BYTES, ...) put(BYTES, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put(struct bytes *bytes, const uint8_t *from, size_t count)
{
	memcpy(bytes->at + bytes->count, from, count);
	bytes->count += count;
}

static void put_long(struct bytes *bytes, int32_t value)
{
	memcpy(bytes->at + bytes->count, &value, sizeof(value));
	bytes->count += sizeof(value);
}

static struct cfg *build(struct bytes *bytes)
{
	struct cfg_code code = {.address = CODE, .bytes = bytes->at, .size = sizeof(bytes->at)};
	struct cfg_input input = {.entry = CODE, .code = &code, .code_count = 1, .read = read_tables};
	struct cfg *cfg;

	memset(bytes->at + bytes->count, 0xcc, sizeof(bytes->at) - bytes->count);
	bytes->at[ELSE - CODE] = 0xc3;
	for (size_t i = 0; i < ENTRIES; i++)
		bytes->at[CASES - CODE + 16 * i] = 0xc3;
	assert_null(cfg_create(decoder, &input, &cfg));
	return cfg;
}

/* A bit for each case that the graph says a table leads to. */
static unsigned cases_of(const struct cfg *cfg)
{
	unsigned cases = 0;

	for (uint32_t i = 0; i < cfg->edge_count; i++)
		if (cfg->edges[i].kind == CFG_TABLE)
			cases |= 1u << (cfg->blocks[cfg->edges[i].to].start - CASES) / 16;
	return cases;
}

/* --- Guards --- */

enum table_shape {
	JUMP,            /* jmp *WIDE(,%rdi,8) */
	LOAD_AND_JUMP,   /* mov WIDE(,%rdi,8),%rax; jmp *%rax */
	BY_BASE,         /* mov $WIDE-8,%eax; jmp *8(%rax,%rdi,8) */
	OFFSETS,         /* lea NARROW,%rdx; movslq (%rdx,%rdi,4),%rax; add %rdx,%rax; jmp *%rax */
	OFFSETS_IN_RCX,  /* … movslq (%rdx,%rdi,4),%rcx; add %rdx,%rcx; jmp *%rcx */
	OFFSETS_ON_BASE, /* … add %rax,%rdx; jmp *%rdx */
	SHAPES
};

static void put_dispatch(struct bytes *bytes, enum table_shape shape)
{
	switch (shape) {
	case JUMP: PUT(bytes, 0xff, 0x24, 0xfd, 0x00, 0x80, 0, 0); break;
	case LOAD_AND_JUMP: PUT(bytes, 0x48, 0x8b, 0x04, 0xfd, 0x00, 0x80, 0, 0, 0xff, 0xe0); break;
	case BY_BASE: PUT(bytes, 0xb8, 0xf8, 0x7f, 0, 0, 0xff, 0x64, 0xf8, 0x08); break;
	case OFFSETS:
	case OFFSETS_IN_RCX:
	case OFFSETS_ON_BASE:
	case SHAPES:
		PUT(bytes, 0x48, 0x8d, 0x15);
		put_long(bytes, NARROW - (CODE + (int32_t)bytes->count + 4));
		PUT(bytes, 0x48, 0x63, shape == OFFSETS_IN_RCX ? 0x0c : 0x04, 0xba);
		if (shape == OFFSETS_IN_RCX)
			PUT(bytes, 0x48, 0x01, 0xd1, 0xff, 0xe1);
		else if (shape == OFFSETS)
			PUT(bytes, 0x48, 0x01, 0xd0, 0xff, 0xe0);
		else
			PUT(bytes, 0x48, 0x01, 0xc2, 0xff, 0xe2);
		break;
	}
}

struct guard {
	unsigned condition; /* the low digit of jcc's opcode */
	uint8_t limit;
	bool to_jump; /* the taken branch leads to the jump */
};

/* cmp $limit,%edi; then a jcc to ELSE, or one to the dispatch with a jmp to ELSE behind it. */
static void put_guard(struct bytes *bytes, const struct guard *guard)
{
	PUT(bytes, 0x83, 0xff, guard->limit);
	if (guard->to_jump) {
		PUT(bytes, (uint8_t)(0x70 + guard->condition), 5, 0xe9);
		put_long(bytes, ELSE - (CODE + (int32_t)bytes->count + 4));
		return;
	}
	PUT(bytes, 0x0f, (uint8_t)(0x80 + guard->condition));
	put_long(bytes, ELSE - (CODE + (int32_t)bytes->count + 4));
}

/* Whether the guard lets this index come to the jump. Only what bounds unsigned numbers, and equality, is relied on. */
static bool lets_pass(const struct guard *guard, unsigned index, bool *bounds)
{
	unsigned condition = guard->to_jump ? guard->condition : guard->condition ^ 1u;

	*bounds = condition == 2 || condition == 4 || condition == 6;
	switch (condition) {
	case 2: return index < guard->limit;
	case 3: return index >= guard->limit;
	case 4: return index == guard->limit;
	case 6: return index <= guard->limit;
	case 7: return index > guard->limit;
	}
	return true;
}

static void check(const struct guard *guard, enum table_shape shape)
{
	struct bytes bytes = {0};
	unsigned expected = 0, beyond = 0;
	struct cfg *cfg;
	bool bounds, passes;

	put_guard(&bytes, guard);
	put_dispatch(&bytes, shape);
	for (unsigned i = 0; i < 64; i++) {
		passes = lets_pass(guard, i, &bounds);
		if (passes && i < ENTRIES)
			expected |= 1u << i;
		beyond += passes && i >= ENTRIES;
	}
	if (bounds && !expected)
		return; /* nobody comes there */
	cfg = build(&bytes);
	if (cases_of(cfg) != expected || cfg->complete != (expected && !(bounds && beyond)))
		fail_msg("shape %d, condition %x, limit %u, %s: cases %#x instead of %#x, %s", (int)shape,
			 guard->condition, guard->limit, guard->to_jump ? "taken" : "not taken", cases_of(cfg),
			 expected, cfg->complete ? "complete" : "not complete");
	cfg_destroy(cfg);
}

static void every_guard_and_shape(void **state)
{
	static const uint8_t limits[] = {0, 1, 3, 5, 6, 8};

	(void)state;
	for (unsigned all = 0; all < 16 * 2 * ARRAY_SIZE(limits); all++) {
		struct guard guard = {all % 16, limits[all / 32], all / 16 % 2};

		for (int shape = 0; shape < SHAPES; shape++)
			check(&guard, (enum table_shape)shape);
	}
}

/* --- Others --- */

#define BUILT(...) built((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct cfg *built(const uint8_t *code, size_t size)
{
	struct bytes bytes = {0};

	put(&bytes, code, size);
	return build(&bytes);
}

static void has(struct cfg *cfg, unsigned cases, bool complete, unsigned exits)
{
	unsigned found = 0;

	assert_int_equal(cases_of(cfg), cases);
	assert_int_equal(cfg->complete, complete);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		if (cfg->blocks[i].start < ELSE)
			found |= cfg->blocks[i].exits;
	assert_int_equal(found, exits);
	cfg_destroy(cfg);
}

#define LOAD_WIDE 0x48, 0x8b, 0x04, 0xfd, 0x00, 0x80, 0, 0   /* mov WIDE(,%rdi,8),%rax */
#define LOAD_BEHIND 0x48, 0x8b, 0x04, 0xfd, 0x20, 0x80, 0, 0 /* mov WIDE+32(,%rdi,8),%rax */
#define MASK_1 0x83, 0xe7, 0x01                              /* and $1,%edi */
#define JUMP_RAX 0xff, 0xe0                                  /* jmp *%rax */

static void masks(void **state)
{
	(void)state;
	has(BUILT(MASK_1, LOAD_WIDE, JUMP_RAX), 0x3, true, 0);
	has(BUILT(0x83, 0xe7, 0x03, LOAD_WIDE, JUMP_RAX), 0xf, true, 0);
	/* The mask lets pass what the table does not have. */
	has(BUILT(0x83, 0xe7, 0x07, LOAD_WIDE, JUMP_RAX), 0x3f, false, CFG_UNKNOWN);
}

static void two_ways_to_the_jump(void **state)
{
	(void)state;
	/* and $1,%edi; test %esi,%esi; je 1011; load; jmp 1019; 1011 load from another table; 1019 jmp *%rax */
	has(BUILT(MASK_1, 0x85, 0xf6, 0x74, 0x0a, LOAD_WIDE, 0xeb, 0x08, LOAD_BEHIND, JUMP_RAX), 0x33, true, 0);
	/* … a pointer on one of them: mov (%rdx),%rax. */
	has(BUILT(MASK_1, 0x85, 0xf6, 0x74, 0x0a, LOAD_WIDE, 0xeb, 0x03, 0x48, 0x8b, 0x02, JUMP_RAX), 0x3, false,
	    CFG_UNKNOWN);
	has(BUILT(MASK_1, 0x85, 0xf6, 0x74, 0x05, 0x48, 0x8b, 0x02, 0xeb, 0x08, LOAD_WIDE, JUMP_RAX), 0x3, false,
	    CFG_UNKNOWN);
	/* … the register as the caller left it. */
	has(BUILT(MASK_1, 0x85, 0xf6, 0x74, 0x08, LOAD_WIDE, JUMP_RAX), 0x3, false, CFG_UNKNOWN);
}

static void no_table_at_all(void **state)
{
	(void)state;
	has(BUILT(JUMP_RAX), 0, true, CFG_TAIL_CALLS);
	has(BUILT(0x48, 0x8b, 0x07, JUMP_RAX), 0, true, CFG_TAIL_CALLS);      /* mov (%rdi),%rax */
	has(BUILT(0xff, 0x27), 0, true, CFG_TAIL_CALLS);                      /* jmp *(%rdi) */
	has(BUILT(0xff, 0x24, 0xbd, 0, 0x80, 0, 0), 0, true, CFG_TAIL_CALLS); /* jmp *WIDE(,%rdi,4) */
	/* movslq (%rdx,%rdi,2),%rax; add %rdx,%rax */
	has(BUILT(0x48, 0x63, 0x04, 0x7a, 0x48, 0x01, 0xd0, JUMP_RAX), 0, true, CFG_TAIL_CALLS);
	has(BUILT(0x48, 0x01, 0xd0, JUMP_RAX), 0, true, CFG_TAIL_CALLS); /* add %rdx,%rax */
}

static void tables_of_unknown_place(void **state)
{
	(void)state;
	has(BUILT(0xff, 0x24, 0xf8), 0, false, CFG_UNKNOWN); /* jmp *(%rax,%rdi,8) */
	/* movslq (%rdx,%rdi,4),%rax; add %rdx,%rax; jmp *%rax: nothing says what is in RDX. */
	has(BUILT(0x48, 0x63, 0x04, 0xba, 0x48, 0x01, 0xd0, JUMP_RAX), 0, false, CFG_UNKNOWN);
	/* The table is known, but not what its offsets are from: lea NARROW,%rdx; movslq (%rdx,%rdi,4),%rax; add %rcx.
	 */
	has(BUILT(0x48, 0x8d, 0x15, 0xf9, 0x7f, 0, 0, 0x48, 0x63, 0x04, 0xba, 0x48, 0x01, 0xc8, JUMP_RAX), 0, false,
	    CFG_UNKNOWN);
	/* Nothing can be read there: jmp *0x7000(,%rdi,8). */
	has(BUILT(0xff, 0x24, 0xfd, 0x00, 0x70, 0, 0), 0, false, CFG_UNKNOWN);
}

static void tables_that_are_long(void **state)
{
	(void)state;
	/* cmp $1023,%edi; ja ELSE; jmp *MANY(,%rdi,8): all lead to one case. */
	has(BUILT(0x81, 0xff, 0xff, 0x03, 0, 0, 0x0f, 0x87, 0xe4, 0, 0, 0, 0xff, 0x24, 0xfd, 0, 0, 1, 0), 0x1, true, 0);
	/* From the limit on nothing is read: cmp $1024,%edi; jb ELSE. */
	has(BUILT(0x81, 0xff, 0x00, 0x04, 0, 0, 0x0f, 0x82, 0xe4, 0, 0, 0, 0xff, 0x24, 0xfd, 0, 0, 1, 0), 0, false,
	    CFG_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_guard_and_shape),   cmocka_unit_test(masks),
		cmocka_unit_test(two_ways_to_the_jump),    cmocka_unit_test(no_table_at_all),
		cmocka_unit_test(tables_of_unknown_place), cmocka_unit_test(tables_that_are_long),
	};

	return cmocka_run_group_tests(tests, decoder_set_up, decoder_tear_down);
}
