/* SPDX-License-Identifier: MIT */
/* Timing windows: between two reads of a clock, and in loops that poll one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/util.h"
#include "flow/window.h"

struct subject {
	struct cfg *cfg;
	struct windows *windows;
};

static struct subject analyse(const uint8_t *bytes, size_t size, const struct window_hints *hints)
{
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {.entry = 0x1000, .code = &code, .code_count = 1};
	struct insn_decoder *decoder;
	struct subject result;

	assert_null(insn_decoder_create(arch_at(0), &decoder));
	assert_null(cfg_create(decoder, &input, &result.cfg));
	assert_null(windows_create(decoder, result.cfg, hints, &result.windows));
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
	struct subject subject = analyse(bytes, sizeof(bytes), NULL);

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
	struct subject subject = analyse(bytes, sizeof(bytes), NULL);

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
	struct subject subject = analyse(bytes, sizeof(bytes), NULL);

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
	struct subject subject = analyse(bytes, sizeof(bytes), NULL);

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
	struct subject subject = analyse(bytes, sizeof(bytes), NULL);

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
	const struct window_hints hints = {.references = references, .reference_count = 2};
	struct subject subject = analyse(bytes, sizeof(bytes), &hints);

	(void)state;
	assert_false(inside(&subject, 0x1000));
	assert_true(inside(&subject, 0x1005));
	assert_true(inside(&subject, 0x100a));
	assert_false(inside(&subject, 0x100c));
	assert_int_equal(subject.windows->callee_count, 2);
	assert_int_equal(subject.windows->callees[0], 0x2000);
	assert_int_equal(subject.windows->callees[1], 0x3000);
	drop(&subject);
	subject = analyse(bytes, sizeof(bytes), NULL);
	assert_int_equal(subject.windows->count, 0);
	drop(&subject);
}

static struct cs_error *reads_at_4000(void *context, uint64_t function, bool *ret)
{
	(void)context;
	*ret = function == 0x4000;
	return NULL;
}

static void what_may_be_a_read_in_a_measuring_function(void **state)
{
	static const uint8_t bytes[] = {
		0xff, 0x15, 0xfa, 0x0f, 0,    0,    /* 1000 call *2000(%rip): a pointer */
		0x90,                               /* 1006 nop */
		0xff, 0xd0,                         /* 1007 call *%rax */
		0xe8, 0xf2, 0x1f, 0,    0,          /* 1009 call 3000: reads none */
		0xe8, 0xed, 0x2f, 0,    0,          /* 100e call 4000: reads one */
		0xe8, 0xe8, 0x3f, 0,    0,          /* 1013 call 5000: stands for a call through a register */
		0x48, 0x8b, 0x05, 0xe1, 0x1f, 0, 0, /* 1018 mov 3000(%rip),%rax */
		0xe8, 0xdc, 0x1f, 0,    0,          /* 101f call 3000 */
		0xc3,                               /* 1024 ret */
	};
	const uint64_t measuring[] = {0x1000}, pointees[] = {0x7000, 0x8000};
	struct window_hints hints = {
		.measuring = measuring,
		.measuring_count = 1,
		.pointees = pointees,
		.pointee_count = 2,
		.indirect_thunks = {0x5000, 0x5020},
		.reads = reads_at_4000,
	};
	struct subject subject = analyse(bytes, sizeof(bytes), &hints);

	(void)state;
	assert_false(inside(&subject, 0x1000));
	assert_true(inside(&subject, 0x1006));
	assert_true(inside(&subject, 0x1009));
	assert_true(inside(&subject, 0x1013));
	assert_false(inside(&subject, 0x1018));
	assert_int_equal(subject.windows->count, 1);
	assert_int_equal(subject.windows->callee_count, 5); /* 3000, 4000, 5000, and what the pointers hold */
	assert_int_equal(subject.windows->callees[4], 0x8000);
	assert_int_equal(subject.windows->pointer_count, 2);
	assert_int_equal(subject.windows->pointers[0], 0x2000);
	assert_int_equal(subject.windows->pointers[1], 0x3000);
	drop(&subject);
	hints.measuring_count = 0;
	subject = analyse(bytes, sizeof(bytes), &hints);
	assert_int_equal(subject.windows->count, 0);
	assert_int_equal(subject.windows->pointer_count, 0);
	drop(&subject);
}

/* Whether the loop from 1001 to the branch at its end is a window, all of it, and what is around it is not. */
static void expect_wait(const uint8_t *bytes, size_t size, bool expected)
{
	struct subject subject = analyse(bytes, size, NULL);

	assert_int_equal(subject.cfg->loop_count, 1);
	assert_false(inside(&subject, 0x1000));
	assert_false(inside(&subject, 0x1000 + size - 1));
	assert_int_equal(subject.windows->count, expected);
	for (uint64_t at = 0x1001; at + 1 < 0x1000 + size; at++)
		if (cfg_insn_at(subject.cfg, at) != CFG_NONE)
			assert_int_equal(inside(&subject, at), expected);
	if (expected)
		assert_true(subject.windows->items[0].polls);
	drop(&subject);
}

#define EXPECT_WAIT(EXPECTED, ...)                                                                                     \
	do {                                                                                                           \
		static const uint8_t bytes[] = {0x90, __VA_ARGS__, 0xc3};                                              \
		expect_wait(bytes, sizeof(bytes), EXPECTED);                                                           \
	} while (0)

static void loops_that_wait(void **state)
{
	(void)state;
	/* pause; mov variable(%rip),%eax; cmp $25,%eax; jle: Linux 3.10's setup_boot_APIC_clock() */
	EXPECT_WAIT(true, 0xf3, 0x90, 0x8b, 0x05, 0, 1, 0, 0, 0x83, 0xf8, 0x19, 0x7e, 0xf3);
	EXPECT_WAIT(true, 0x83, 0x3d, 0, 1, 0, 0, 0x19, 0x7e, 0xf7);          /* cmpl $25,variable(%rip); jle */
	EXPECT_WAIT(true, 0x8b, 0x07, 0x85, 0xc0, 0x74, 0xfa);                /* mov (%rdi),%eax; test; je */
	EXPECT_WAIT(true, 0x31, 0xc0, 0x8a, 0x07, 0x84, 0xc0, 0x74, 0xf8);    /* xor %eax,%eax; mov (%rdi),%al; … */
	EXPECT_WAIT(true, 0xfb, 0xf4, 0x83, 0x3f, 0, 0x74, 0xf9);             /* sti; hlt; cmpl $0,(%rdi); je */
	EXPECT_WAIT(true, 0xf3, 0x90, 0xff, 0xc8, 0x75, 0xfa);                /* pause; dec %eax; jne */
	EXPECT_WAIT(true, 0xf3, 0x90, 0xff, 0x17, 0x85, 0xc0, 0x74, 0xf8);    /* pause; call *(%rdi); test; je */
	EXPECT_WAIT(true, 0x0f, 0x01, 0xc9, 0x83, 0x3f, 0, 0x74, 0xf8);       /* mwait; cmpl $0,(%rdi); je */
	EXPECT_WAIT(true, 0x66, 0x0f, 0xae, 0xf1, 0x83, 0x3f, 0, 0x74, 0xf7); /* tpause %ecx; … */
	EXPECT_WAIT(false, 0x03, 0x07, 0xff, 0xc9, 0x75, 0xfa);               /* add (%rdi),%eax; dec %ecx; jne */
	EXPECT_WAIT(false, 0x48, 0x8b, 0x3f, 0x48, 0x85, 0xff, 0x75, 0xf8);   /* mov (%rdi),%rdi; test; jne: a list */
	EXPECT_WAIT(false, 0x8b, 0x07, 0x89, 0x06, 0x85, 0xc0, 0x74, 0xf8);   /* it stores */
	EXPECT_WAIT(false, 0xe8, 0xfa, 0x0f, 0, 0, 0x83, 0x3f, 0, 0x74,
		    0xf6); /* it calls: that may do what it waits for */
	EXPECT_WAIT(false, 0x66, 0x0f, 0xae, 0x37, 0xff, 0xc9, 0x75, 0xf8); /* clwb (%rdi) is no tpause */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(between_two_reads),
		cmocka_unit_test(one_read_is_no_window),
		cmocka_unit_test(a_loop_that_polls),
		cmocka_unit_test(on_some_path),
		cmocka_unit_test(two_windows),
		cmocka_unit_test(functions_that_the_profile_names),
		cmocka_unit_test(what_may_be_a_read_in_a_measuring_function),
		cmocka_unit_test(loops_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
