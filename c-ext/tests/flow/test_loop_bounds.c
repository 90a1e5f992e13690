/* SPDX-License-Identifier: MIT */
/* Loops that count, from literal bytes: how many rounds they have is worked out here by C's own arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "flow/cfg.h"
#include "flow/loop_bounds.h"
#include "support/decoder.h"

/* --- Loops of one register --- */

enum layout {
	STEP_THEN_TEST,   /* start; L: step; cmp; jcc L */
	TEST_THEN_LEAVE,  /* start; L: cmp; jcc out; step; jmp L; out: */
	TEST_AROUND_STEP, /* start; L: cmp; lea step; jcc L: not understood */
	STEP_IS_TEST,     /* start; L: add; jcc L */
	LAYOUTS
};

struct loop {
	enum layout layout;
	bool wide; /* of 64 bits */
	int32_t start;
	int8_t step;
	int32_t limit;
	unsigned condition; /* the low digit of jcc's opcode: SDM vol. 2, appendix B.1.4.7 */
};

struct bytes {
	uint8_t at[64];
	size_t count;
};

static void put(struct bytes *bytes, size_t count, ...)
{
	va_list list;

	va_start(list, count);
	for (size_t i = 0; i < count; i++)
		bytes->at[bytes->count++] = (uint8_t)va_arg(list, int);
	va_end(list);
}

static void put_long(struct bytes *bytes, int32_t value)
{
	memcpy(bytes->at + bytes->count, &value, sizeof(value));
	bytes->count += sizeof(value);
}

static void put_wide(const struct loop *loop, struct bytes *bytes)
{
	if (loop->wide)
		put(bytes, 1, 0x48);
}

static void put_start(const struct loop *loop, struct bytes *bytes)
{
	put_wide(loop, bytes);
	if (loop->wide)
		put(bytes, 2, 0xc7, 0xc1); /* mov $start,%rcx */
	else
		put(bytes, 1, 0xb9); /* mov $start,%ecx */
	put_long(bytes, loop->start);
}

static void put_step(const struct loop *loop, struct bytes *bytes)
{
	put_wide(loop, bytes);
	if (loop->layout == TEST_AROUND_STEP)
		put(bytes, 3, 0x8d, 0x49, loop->step); /* lea step(%rcx),%ecx */
	else
		put(bytes, 3, 0x83, 0xc1, loop->step); /* add $step,%ecx */
}

static void put_test(const struct loop *loop, struct bytes *bytes)
{
	put_wide(loop, bytes);
	put(bytes, 2, 0x81, 0xf9); /* cmp $limit,%ecx */
	put_long(bytes, loop->limit);
}

static void put_jump(const struct loop *loop, struct bytes *bytes, size_t to)
{
	put(bytes, 2, 0x70 + loop->condition, (int)to - (int)bytes->count - 2);
}

static void assemble(const struct loop *loop, struct bytes *bytes)
{
	size_t head, branch;

	put_start(loop, bytes);
	head = bytes->count;
	switch (loop->layout) {
	case STEP_THEN_TEST:
		put_step(loop, bytes);
		put_test(loop, bytes);
		put_jump(loop, bytes, head);
		break;
	case TEST_THEN_LEAVE:
		put_test(loop, bytes);
		branch = bytes->count;
		put_jump(loop, bytes, 0);
		put_step(loop, bytes);
		put(bytes, 2, 0xeb, (int)head - (int)bytes->count - 2);
		bytes->at[branch + 1] = (uint8_t)(bytes->count - branch - 2);
		break;
	case TEST_AROUND_STEP:
		put_test(loop, bytes);
		put_step(loop, bytes);
		put_jump(loop, bytes, head);
		break;
	case STEP_IS_TEST:
	case LAYOUTS:
		put_step(loop, bytes);
		put_jump(loop, bytes, head);
		break;
	}
	put(bytes, 1, 0xc3);
}

static __int128 value_of(const struct loop *loop, uint64_t reg, bool is_signed)
{
	if (loop->wide)
		return is_signed ? (__int128)(int64_t)reg : (__int128)reg;
	return is_signed ? (__int128)(int32_t)reg : (__int128)(uint32_t)reg;
}

/* Whether the jump is taken after `left` was compared with `right`: what the conditions are for, not how they are made.
 */
static bool holds(const struct loop *loop, uint64_t left, uint64_t right)
{
	__int128 a = value_of(loop, left, true), b = value_of(loop, right, true);
	__int128 ua = value_of(loop, left, false), ub = value_of(loop, right, false);
	bool negative = value_of(loop, left - right, true) < 0;

	switch (loop->condition) {
	case 0x2: return ua < ub;
	case 0x3: return ua >= ub;
	case 0x4: return ua == ub;
	case 0x5: return ua != ub;
	case 0x6: return ua <= ub;
	case 0x7: return ua > ub;
	case 0x8: return negative;
	case 0x9: return !negative;
	case 0xc: return a < b;
	case 0xd: return a >= b;
	case 0xe: return a <= b;
	case 0xf: return a > b;
	}
	return false;
}

/* What its analysis must say: 0 where it cannot know, or where there is no end within the limit. */
static uint32_t expected_within(const struct loop *loop, uint32_t limit_rounds)
{
	bool by_carry = loop->condition == 2 || loop->condition == 3 || loop->condition == 6 || loop->condition == 7;
	uint64_t reg = (uint64_t)(int64_t)loop->start, step = (uint64_t)(int64_t)loop->step;
	uint64_t limit = (uint64_t)(int64_t)loop->limit;

	if (loop->condition < 2 || loop->condition == 0xa || loop->condition == 0xb)
		return 0; /* overflow, parity */
	if ((loop->layout == STEP_IS_TEST && by_carry) || loop->layout == TEST_AROUND_STEP)
		return 0;
	for (uint32_t round = 1; round <= limit_rounds; round++) {
		uint64_t before = reg;
		bool taken;

		reg += step;
		if (loop->layout == STEP_IS_TEST)
			taken = holds(loop, before,
				      -step); /* the sum is compared with 0, whether it overflows or not */
		else
			taken = holds(loop, loop->layout == STEP_THEN_TEST ? reg : before, limit);
		if (taken == (loop->layout == TEST_THEN_LEAVE))
			return round;
	}
	return 0;
}

static uint32_t expected(const struct loop *loop)
{
	return expected_within(loop, BOUNDS_LIMIT);
}

static struct cfg *analysed(const uint8_t *bytes, size_t size)
{
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1};
	struct cfg *cfg;

	assert_null(cfg_create(decoder, &input, &cfg));
	bounds_find(decoder, cfg);
	return cfg;
}

static void check(const struct loop *loop)
{
	struct bytes bytes = {0};
	struct cfg *cfg;

	assemble(loop, &bytes);
	cfg = analysed(bytes.at, bytes.count);
	assert_int_equal(cfg->loop_count, 1);
	if (cfg->loops[0].rounds != expected(loop))
		fail_msg("layout %d, %d bits, from %d by %d to %d, condition %x: %u rounds instead of %u",
			 (int)loop->layout, loop->wide ? 64 : 32, loop->start, loop->step, loop->limit, loop->condition,
			 cfg->loops[0].rounds, expected(loop));
	assert_int_equal(cfg->loops[0].counter == CFG_NONE, cfg->loops[0].rounds == 0);
	cfg_destroy(cfg);
}

static void every_condition_and_layout(void **state)
{
	static const struct {
		int32_t start, limit;
		int8_t step;
	} numbers[] = {
		{0, 10, 1},   {10, 0, -1},       {5, 5, 1},
		{0, 7, 2},    {-3, 3, 1},        {3, -3, -2},
		{100, 0, -8}, {INT32_MAX, 0, 1}, {INT32_MIN, INT32_MAX, -1},
		{1, 1, -1},   {-64, 0, 4},       {INT32_MIN + 2, 5, -1},
	};
	struct loop loop = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		for (unsigned all = 0; all < 16 * 2 * LAYOUTS; all++) {
			loop.start = numbers[i].start;
			loop.limit = numbers[i].limit;
			loop.step = numbers[i].step;
			loop.condition = all % 16;
			loop.wide = all / 16 % 2;
			loop.layout = all / 32;
			if (i == 0 || expected_within(&loop, 1000)) /* endless ones take long, and are alike */
				check(&loop);
		}
}

static void the_limit_of_what_is_counted(void **state)
{
	struct loop loop = {.layout = STEP_THEN_TEST, .step = 1, .limit = (int32_t)BOUNDS_LIMIT, .condition = 5};

	(void)state;
	assert_int_equal(expected(&loop), BOUNDS_LIMIT);
	check(&loop);
	loop.limit++;
	assert_int_equal(expected(&loop), 0);
	check(&loop);
}

/* --- What does not count, or not always --- */

#define ROUNDS(...) rounds_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Of the loop whose head lies highest in the text: the innermost. */
static uint32_t rounds_of(const uint8_t *bytes, size_t size)
{
	struct cfg *cfg = analysed(bytes, size);
	uint32_t rounds;

	assert_in_range(cfg->loop_count, 1, 2);
	rounds = cfg->loops[cfg->loop_count - 1].rounds;
	cfg_destroy(cfg);
	return rounds;
}

#define START 0xb9, 5, 0, 0, 0  /* mov $5,%ecx */
#define DOWN 0x83, 0xe9, 0x01   /* sub $1,%ecx */
#define UP_EDI 0x83, 0xc7, 0x01 /* add $1,%edi */

static void what_the_register_starts_from(void **state)
{
	(void)state;
	assert_int_equal(ROUNDS(START, DOWN, 0x75, 0xfb, 0xc3), 5);
	assert_int_equal(ROUNDS(DOWN, 0x75, 0xfb, 0xc3), 0);
	/* From another register, or memory. */
	assert_int_equal(ROUNDS(START, 0x89, 0xf9, DOWN, 0x75, 0xfb, 0xc3), 0); /* mov %edi,%ecx */
	assert_int_equal(ROUNDS(START, 0x8b, 0x0f, DOWN, 0x75, 0xfb, 0xc3), 0); /* mov (%rdi),%ecx */
	/* The last of several counts; one of another register does not. */
	assert_int_equal(ROUNDS(START, 0xb9, 3, 0, 0, 0, DOWN, 0x75, 0xfb, 0xc3), 3);
	assert_int_equal(ROUNDS(START, 0xba, 3, 0, 0, 0, DOWN, 0x75, 0xfb, 0xc3), 5); /* mov $3,%edx */
	/* A callee may change it, but not one that it must preserve: mov $5,%ebx; call; sub $1,%ebx; jne. */
	assert_int_equal(ROUNDS(START, 0xe8, 0, 0x10, 0, 0, DOWN, 0x75, 0xfb, 0xc3), 0);
	assert_int_equal(ROUNDS(0xbb, 5, 0, 0, 0, 0xe8, 0, 0x10, 0, 0, 0x83, 0xeb, 1, 0x75, 0xfb, 0xc3), 5);
	/* It is set above a branch that joins before the loop: test %edi,%edi; je; nop. */
	assert_int_equal(ROUNDS(START, 0x85, 0xff, 0x74, 1, 0x90, DOWN, 0x75, 0xfb, 0xc3), 5);
	/* On one of its sides only, or again there: mov $3,%ecx behind the je. */
	assert_int_equal(ROUNDS(0x85, 0xff, 0x74, 5, START, DOWN, 0x75, 0xfb, 0xc3), 0);
	assert_int_equal(ROUNDS(START, 0x85, 0xff, 0x74, 5, 0xb9, 3, 0, 0, 0, DOWN, 0x75, 0xfb, 0xc3), 0);
}

static void what_the_loop_does_to_the_register(void **state)
{
	(void)state;
	/* Twice in a round; by another register; in one part of the rounds only. */
	assert_int_equal(ROUNDS(START, 0xff, 0xc9, DOWN, 0x75, 0xf9, 0xc3), 0); /* dec %ecx */
	assert_int_equal(ROUNDS(START, 0x29, 0xf9, 0x75, 0xfc, 0xc3), 0);       /* sub %edi,%ecx */
	assert_int_equal(ROUNDS(START, 0x85, 0xff, 0x74, 0x03, DOWN, 0x83, 0xf9, 0x00, 0x75, 0xf4, 0xc3), 0);
	/* A call in it. */
	assert_int_equal(ROUNDS(START, 0xe8, 0, 0x10, 0, 0, DOWN, 0x75, 0xf6, 0xc3), 0);
	assert_int_equal(ROUNDS(0xbb, 5, 0, 0, 0, 0xe8, 0, 0x10, 0, 0, 0x83, 0xeb, 1, 0x75, 0xf6, 0xc3), 5);
	/* Steps of 32 bits, and a test of 64; a test of 16 or 8; of memory; of another register. */
	assert_int_equal(ROUNDS(START, DOWN, 0x48, 0x83, 0xf9, 0x00, 0x75, 0xf7, 0xc3), 0);
	assert_int_equal(ROUNDS(START, DOWN, 0x66, 0x83, 0xf9, 0x00, 0x75, 0xf7, 0xc3), 0);
	assert_int_equal(ROUNDS(START, DOWN, 0x80, 0xf9, 0x00, 0x75, 0xf8, 0xc3), 0);
	assert_int_equal(ROUNDS(START, DOWN, 0x83, 0x3f, 0x00, 0x75, 0xf8, 0xc3), 0); /* cmpl $0,(%rdi) */
	assert_int_equal(ROUNDS(START, DOWN, 0x83, 0xff, 0x00, 0x75, 0xf8, 0xc3), 0); /* cmp $0,%edi */
	/* Nothing tests it: the flags are from before the loop. */
	assert_int_equal(ROUNDS(START, 0x8d, 0x49, 0xff, 0x75, 0xfb, 0xc3), 0); /* lea -1(%rcx),%ecx */
}

static void other_ways_out(void **state)
{
	(void)state;
	/* With a break in it there are at most so many: test %edi,%edi; je out. */
	assert_int_equal(ROUNDS(START, 0x85, 0xff, 0x74, 5, DOWN, 0x75, 0xf7, 0xc3), 5);
	/* The test is one way round only: jmp to the head from before it. test %edi,%edi; jne head; sub; jne head. */
	assert_int_equal(ROUNDS(START, 0x85, 0xff, 0x75, 0xfc, DOWN, 0x75, 0xf7, 0xc3), 0);
	/* A branch within the loop ends no round: sub; je over a nop; then test %edi,%edi; jne head. */
	assert_int_equal(ROUNDS(START, DOWN, 0x74, 1, 0x90, 0x85, 0xff, 0x75, 0xf6, 0xc3), 0);
	/* A second register of its own may count too: whichever ends it first, the first that is found is a bound. */
	assert_int_equal(ROUNDS(START, 0xbf, 0, 0, 0, 0, DOWN, 0x74, 8, UP_EDI, 0x83, 0xff, 0x64, 0x7c, 0xf3, 0xc3), 5);
}

static void loops_in_loops(void **state)
{
	static const uint8_t each_time[] = {
		0xbb,  3,    0, 0, 0, /* 1000 mov $3,%ebx */
		START,                /* 1005 */
		DOWN,                 /* 100a */
		0x75,  0xfb,          /* 100d jne 100a */
		0x83,  0xeb, 1,       /* 100f sub $1,%ebx */
		0x75,  0xf1,          /* 1012 jne 1005 */
		0xc3,
	};
	static const uint8_t once[] = {
		0xbb,  3,    0, 0, 0, /* 1000 mov $3,%ebx */
		START,                /* 1005 */
		DOWN,                 /* 100a */
		0x75,  0xfb,          /* 100d jne 100a */
		0x83,  0xeb, 1,       /* 100f sub $1,%ebx */
		0x75,  0xf6,          /* 1012 jne 100a */
		0xc3,
	};
	struct cfg *cfg = analysed(each_time, sizeof(each_time));

	(void)state;
	assert_int_equal(cfg->loop_count, 2);
	assert_int_equal(cfg->loops[0].rounds, 3);
	assert_int_equal(cfg->loops[1].rounds, 5);
	assert_int_equal(cfg->blocks[cfg->loops[1].counter].start, 0x100a);
	cfg_destroy(cfg);
	/* From the outer loop the inner one is entered with what is left in the register. */
	cfg = analysed(once, sizeof(once));
	for (uint32_t i = 0; i < cfg->loop_count; i++)
		assert_int_not_equal(cfg->loops[i].rounds, 5);
	cfg_destroy(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_condition_and_layout),
		cmocka_unit_test(the_limit_of_what_is_counted),
		cmocka_unit_test(what_the_register_starts_from),
		cmocka_unit_test(what_the_loop_does_to_the_register),
		cmocka_unit_test(other_ways_out),
		cmocka_unit_test(loops_in_loops),
	};

	return cmocka_run_group_tests(tests, decoder_set_up, decoder_tear_down);
}
