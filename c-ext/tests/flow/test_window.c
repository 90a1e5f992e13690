/* SPDX-License-Identifier: MIT */
/* Timing windows: between two reads of a clock, and in loops that poll one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "flow/window.h"

struct subject {
	struct cfg *cfg;
	struct windows *windows;
};

static struct subject analyse(const uint8_t *bytes, size_t size, const uint64_t *references, size_t count)
{
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1};
	struct insn_decoder *decoder;
	struct subject result;

	assert_null(insn_decoder_create(&decoder));
	assert_null(cfg_create(decoder, &input, &result.cfg));
	assert_null(windows_create(result.cfg, references, count, &result.windows));
	insn_decoder_destroy(decoder);
	return result;
}

static void drop(struct subject *subject)
{
	windows_destroy(subject->windows);
	cfg_destroy(subject->cfg);
}

static bool inside(const struct subject *subject, uint64_t address)
{
	uint32_t index = cfg_insn_at(subject->cfg, address);

	assert_int_not_equal(index, CFG_NONE);
	return subject->windows->inside[index];
}

static void between_two_reads(void **state)
{
	static const uint8_t bytes[] = {
		0x90,       /* 1000 nop */
		0x0f, 0x31, /* 1001 rdtsc */
		0x89, 0xc3, /* 1003 mov %eax,%ebx */
		0x0f, 0x31, /* 1005 rdtsc */
		0x90,       /* 1007 nop */
		0xc3,       /* 1008 ret */
	};
	struct subject subject = analyse(bytes, sizeof(bytes), NULL, 0);

	(void)state;
	assert_false(inside(&subject, 0x1000));
	assert_false(inside(&subject, 0x1001)); /* a stop comes before the first read */
	assert_true(inside(&subject, 0x1003));
	assert_true(inside(&subject, 0x1005)); /* … and before the second */
	assert_false(inside(&subject, 0x1007));
	assert_int_equal(subject.windows->count, 1);
	assert_int_equal(subject.windows->items[0].from, 0x1003);
	assert_int_equal(subject.windows->items[0].to, 0x1007);
	assert_false(subject.windows->items[0].polls);
	drop(&subject);
}

static void one_read_is_no_window(void **state)
{
	static const uint8_t bytes[] = {0x90, 0x0f, 0x31, 0x90, 0xc3};
	struct subject subject = analyse(bytes, sizeof(bytes), NULL, 0);

	(void)state;
	assert_int_equal(subject.windows->count, 0);
	assert_int_equal(subject.windows->window_of[CFG_ENTRY], CFG_NONE);
	drop(&subject);
	windows_destroy(NULL);
}

static void a_loop_that_polls(void **state)
{
	static const uint8_t bytes[] = {
		0xe6, 0x43, /* 1000 out %al,$0x43 */
		0xe4, 0x61, /* 1002 in $0x61,%al */
		0xa8, 0x20, /* 1004 test $0x20,%al */
		0x74, 0xfa, /* 1006 je 1002 */
		0x90,       /* 1008 nop */
		0xc3,       /* 1009 ret */
	};
	struct subject subject = analyse(bytes, sizeof(bytes), NULL, 0);

	(void)state;
	assert_false(inside(&subject, 0x1000));
	assert_true(inside(&subject, 0x1002));
	assert_true(inside(&subject, 0x1006));
	assert_false(inside(&subject, 0x1008));
	assert_int_equal(subject.windows->count, 1);
	assert_true(subject.windows->items[0].polls);
	drop(&subject);
}

static void on_some_path(void **state)
{
	static const uint8_t bytes[] = {
		0x0f, 0x31, /* 1000 rdtsc */
		0x74, 0x03, /* 1002 je 1007 */
		0x90,       /* 1004 nop: both reads may be around it */
		0x0f, 0x31, /* 1005 rdtsc */
		0x90,       /* 1007 nop: no read follows */
		0xc3,       /* 1008 ret */
	};
	struct subject subject = analyse(bytes, sizeof(bytes), NULL, 0);

	(void)state;
	assert_true(inside(&subject, 0x1002));
	assert_true(inside(&subject, 0x1004));
	assert_false(inside(&subject, 0x1007));
	drop(&subject);
}

static void two_windows(void **state)
{
	static const uint8_t bytes[] = {
		0x74, 0x08,             /* 1000 je 100a */
		0x0f, 0x31,             /* 1002 rdtsc */
		0x90,                   /* 1004 nop */
		0x0f, 0x31,             /* 1005 rdtsc */
		0xc3,                   /* 1007 ret */
		0xcc, 0xcc, 0x0f, 0x33, /* 100a rdpmc */
		0x90,                   /* 100c nop */
		0x0f, 0x33,             /* 100d rdpmc */
		0xc3,                   /* 100f ret */
	};
	struct subject subject = analyse(bytes, sizeof(bytes), NULL, 0);

	(void)state;
	assert_int_equal(subject.windows->count, 2);
	assert_int_not_equal(subject.windows->window_of[cfg_block_at(subject.cfg, 0x1002)],
			     subject.windows->window_of[cfg_block_at(subject.cfg, 0x100a)]);
	assert_int_equal(subject.windows->window_of[CFG_ENTRY], CFG_NONE);
	drop(&subject);
}

static void functions_that_the_profile_names(void **state)
{
	static const uint8_t bytes[] = {
		0xe8, 0xfb, 0x0f, 0, 0, /* 1000 call 2000: a reference read */
		0xe8, 0xf6, 0x1f, 0, 0, /* 1005 call 3000: some function */
		0x0f, 0x31,             /* 100a rdtsc */
		0xe8, 0xef, 0x2f, 0, 0, /* 100c call 4000: behind the window */
		0xc3,                   /* 1011 ret */
	};
	const uint64_t references[] = {0x1f00, 0x2000};
	struct subject subject = analyse(bytes, sizeof(bytes), references, 2);

	(void)state;
	assert_false(inside(&subject, 0x1000));
	assert_true(inside(&subject, 0x1005));
	assert_true(inside(&subject, 0x100a));
	assert_false(inside(&subject, 0x100c));
	assert_int_equal(subject.windows->callee_count, 2);
	assert_int_equal(subject.windows->callees[0], 0x2000);
	assert_int_equal(subject.windows->callees[1], 0x3000);
	drop(&subject);
	subject = analyse(bytes, sizeof(bytes), NULL, 0);
	assert_int_equal(subject.windows->count, 0);
	drop(&subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(between_two_reads), cmocka_unit_test(one_read_is_no_window),
		cmocka_unit_test(a_loop_that_polls), cmocka_unit_test(on_some_path),
		cmocka_unit_test(two_windows),       cmocka_unit_test(functions_that_the_profile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
