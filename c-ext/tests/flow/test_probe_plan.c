/* SPDX-License-Identifier: MIT */
/* Where probes stand, and where they must not. That a plan tells every path is test_path.c's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/util.h"
#include "flow/probe_plan.h"

struct subject {
	struct cfg *cfg;
	struct windows *windows;
	struct plan *plan;
};

static struct subject make(const uint8_t *bytes, size_t size, const struct sites *sites,
			   const struct plan_options *options)
{
	struct cfg_code code = {.address = 0x1000, .bytes = bytes, .size = size};
	struct cfg_input input = {
		.entry = 0x1000, .code = &code, .code_count = 1, .sites = sites, .return_thunk = 0x9000};
	struct insn_decoder *decoder;
	struct subject result;

	assert_null(insn_decoder_create(arch_at(0), &decoder));
	assert_null(cfg_create(decoder, &input, &result.cfg));
	assert_null(windows_create(decoder, result.cfg, NULL, &result.windows));
	assert_null(plan_create(result.cfg, result.windows, options, &result.plan));
	insn_decoder_destroy(decoder);
	return result;
}

static void drop(struct subject *subject)
{
	plan_destroy(subject->plan);
	windows_destroy(subject->windows);
	cfg_destroy(subject->cfg);
}

static unsigned roles(const struct subject *subject, uint64_t address)
{
	const struct plan_probe *probe = plan_probe_at(subject->plan, address);

	return probe ? probe->roles : 0;
}

/* A function with a frame, an early way out and a diamond. */
static const uint8_t usual[] = {
	0x55,                   /* 1000 push %rbp */
	0x48, 0x83, 0xec, 0x10, /* 1001 sub $16,%rsp */
	0x85, 0xff,             /* 1005 test %edi,%edi */
	0x74, 0x09,             /* 1007 je 1012 */
	0x85, 0xf6,             /* 1009 test %esi,%esi */
	0x75, 0x02,             /* 100b jne 100f */
	0x89, 0xc3,             /* 100d mov %eax,%ebx */
	0x48, 0xff, 0xc3,       /* 100f inc %rbx */
	0x48, 0x83, 0xc4, 0x10, /* 1012 add $16,%rsp */
	0x5d,                   /* 1016 pop %rbp */
	0xc3,                   /* 1017 ret */
};

static void the_entry_takes_its_branch_along(void **state)
{
	struct plan_options options = {.probe_returns = true};
	struct subject subject = make(usual, sizeof(usual), NULL, &options);
	const struct plan_probe *entry = &subject.plan->probes[subject.plan->entry];

	(void)state;
	assert_int_equal(entry->address, 0x1007);
	assert_int_equal(entry->roles, PLAN_ENTRY | PLAN_BRANCH);
	assert_int_equal(entry->stack_offset, 24); /* a push and 16 bytes */
	assert_int_equal(entry->need, EMULATE_REGISTERS_ONLY);
	assert_false(subject.plan->entry_reenters);
	assert_int_equal(roles(&subject, 0x1017), PLAN_RETURN | PLAN_BLOCK);
	assert_int_equal(plan_probe_at(subject.plan, 0x1017)->stack_offset, 0);
	assert_int_equal(plan_probe_at(subject.plan, 0x1017)->need, EMULATE_LOAD);
	assert_true(subject.plan->returns_witnessed);
	assert_true(subject.plan->determined);
	/* One more probe tells the diamond: on the arm, which runs half the times the branch does. */
	assert_int_equal(subject.plan->count, 3);
	assert_int_equal(roles(&subject, 0x100d), PLAN_BLOCK);
	assert_int_equal(subject.plan->naive_count, 2);
	assert_true(subject.plan->cost < subject.plan->naive_cost / 2);
	assert_null(plan_probe_at(subject.plan, 0x1000));
	drop(&subject);
	plan_destroy(NULL);
}

static void returns_may_be_left_to_the_recorder(void **state)
{
	struct plan_options options = {.probe_returns = false};
	struct subject subject = make(usual, sizeof(usual), NULL, &options);

	(void)state;
	assert_false(subject.plan->returns_witnessed);
	assert_int_equal(roles(&subject, 0x1017), 0);
	assert_true(subject.plan->determined);
	drop(&subject);
}

static void a_loop_through_the_entry(void **state)
{
	static const uint8_t bytes[] = {0x89, 0xc3, 0x75, 0xfc, 0xc3}; /* mov %eax,%ebx; jne 1000; ret */
	struct plan_options options = {.probe_returns = true};
	struct subject subject = make(bytes, sizeof(bytes), NULL, &options);

	(void)state;
	assert_true(subject.plan->entry_reenters);
	assert_true(subject.plan->probes[subject.plan->entry].roles & (PLAN_BLOCK | PLAN_BRANCH));
	assert_true(subject.plan->determined);
	drop(&subject);
}

static void no_probe_in_a_window(void **state)
{
	static const uint8_t bytes[] = {
		0x50,       /* 1000 push %rax */
		0x0f, 0x31, /* 1001 rdtsc */
		0x74, 0x02, /* 1003 je 1007 */
		0x89, 0xc3, /* 1005 mov %eax,%ebx */
		0x0f, 0x31, /* 1007 rdtsc */
		0x58,       /* 1009 pop %rax */
		0xc3,       /* 100a ret */
	};
	struct plan_options careful = {.probe_returns = true};
	struct plan_options intrusive = {.probe_returns = true, .intrusive = true};
	struct subject subject = make(bytes, sizeof(bytes), NULL, &careful);

	(void)state;
	for (uint32_t i = 0; i < subject.plan->count; i++)
		assert_false(subject.plan->probes[i].in_window);
	assert_false(subject.plan->determined);
	assert_int_equal(subject.plan->gaps[cfg_block_at(subject.cfg, 0x1005)], PLAN_GAP_WINDOW);
	assert_int_equal(subject.plan->gaps[cfg_block_at(subject.cfg, 0x1007)], 0); /* it runs in any case */
	drop(&subject);
	subject = make(bytes, sizeof(bytes), NULL, &intrusive);
	assert_true(subject.plan->determined);
	drop(&subject);
}

static void no_probe_on_patched_text(void **state)
{
	static const uint8_t bytes[] = {
		0xe8, 0xfb, 0x0f, 0, 0, /* 1000 call __fentry__ */
		0x55,                   /* 1005 push %rbp */
		0x85, 0xff,             /* 1006 test %edi,%edi */
		0x5d,                   /* 1008 pop %rbp */
		0xe9, 0xf2, 0x7f, 0, 0, /* 1009 jmp 9000: the return thunk */
	};
	struct site items[] = {{.address = 0x1000, .length = 5, .kind = SITE_MCOUNT},
			       {.address = 0x1009, .length = 5, .kind = SITE_RETURN}};
	const struct sites sites = {.items = items, .count = 2};
	struct plan_options careful = {.probe_returns = true};
	struct plan_options free_hand = {.probe_returns = true, .allow_patched = true};
	struct subject subject = make(bytes, sizeof(bytes), &sites, &careful);

	(void)state;
	assert_int_equal(subject.plan->count, 1);
	assert_int_equal(subject.plan->probes[0].address, 0x1005);
	assert_int_equal(subject.plan->probes[0].stack_offset, 0);
	assert_false(subject.plan->returns_witnessed);
	drop(&subject);
	subject = make(bytes, sizeof(bytes), &sites, &free_hand);
	assert_true(subject.plan->returns_witnessed);
	assert_true(roles(&subject, 0x1009) & PLAN_RETURN);
	assert_true(plan_probe_at(subject.plan, 0x1009)->patched);
	drop(&subject);
}

static void a_function_without_a_place(void **state)
{
	static const uint8_t bytes[] = {0xe9, 0xfb, 0x7f, 0, 0}; /* jmp 9000 */
	struct site item = {.address = 0x1000, .length = 5, .kind = SITE_RETURN};
	const struct sites sites = {.items = &item, .count = 1};
	struct plan_options options = {.probe_returns = true};
	struct subject subject = make(bytes, sizeof(bytes), &sites, &options);

	(void)state;
	assert_int_equal(subject.plan->entry, PLAN_NO_ENTRY);
	assert_int_equal(subject.plan->count, 0);
	assert_false(subject.plan->determined);
	drop(&subject);
}

static void ways_to_a_panic_need_no_probe(void **state)
{
	static const uint8_t bytes[] = {
		0x90,                         /* 1000 nop */
		0xe8, 0xfa, 0x0f, 0,    0,    /* 1001 call 2000: ends what may precede the entry */
		0x74, 0x05,                   /* 1006 je 100d */
		0x75, 0x03,                   /* 1008 jne 100d */
		0x90,                         /* 100a nop */
		0xc3,                         /* 100b ret */
		0xcc, 0xe8, 0xee, 0x0f, 0, 0, /* 100d call 2000, at the end: never returns */
	};
	struct plan_options options = {.probe_returns = true};
	struct subject subject = make(bytes, sizeof(bytes), NULL, &options);

	(void)state;
	assert_int_equal(subject.plan->count, 2); /* entry and return */
	assert_true(subject.plan->determined);
	assert_true(subject.plan->cost < 1e-9);
	drop(&subject);
}

static void delicate_places(void **state)
{
	static const uint8_t bytes[] = {
		0x74, 0x08, /* 1000 je 100a */
		0x74, 0x03, /* 1002 je 1007 */
		0xfb,       /* 1004 sti */
		0x89, 0xc3, /* 1005 mov %eax,%ebx: interrupts are still held off */
		0xf3, 0xa4, /* 1007 rep movsb: may be interrupted in its midst */
		0x90,       /* 1009 nop */
		0xc3,       /* 100a ret */
	};
	struct plan_options options = {.probe_returns = false};
	struct subject subject = make(bytes, sizeof(bytes), NULL, &options);

	(void)state;
	assert_int_equal(roles(&subject, 0x1005), 0);
	assert_int_equal(roles(&subject, 0x1007), 0);
	assert_true(subject.plan->determined);
	drop(&subject);
}

/* Six branches in a row, each around one instruction. */
static void a_budget(void **state)
{
	uint8_t bytes[6 * 4 + 1];
	struct plan_options options = {.probe_returns = false, .budget = 4};
	struct subject subject;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		const uint8_t one[] = {0x74, 0x02, 0x89, 0xc3}; /* je +2; mov %eax,%ebx */

		for (size_t k = 0; k < 4; k++)
			bytes[4 * i + k] = one[k];
	}
	bytes[24] = 0xc3;
	subject = make(bytes, sizeof(bytes), NULL, &options);
	assert_int_equal(subject.plan->count, 4);
	assert_int_equal(subject.plan->left_out, 2);
	assert_int_not_equal(subject.plan->entry, PLAN_NO_ENTRY);
	assert_false(subject.plan->determined);
	drop(&subject);
	options.budget = 0;
	subject = make(bytes, sizeof(bytes), NULL, &options);
	assert_int_equal(subject.plan->count, 6);
	assert_int_equal(subject.plan->left_out, 0);
	assert_true(subject.plan->determined);
	drop(&subject);
}

static void known_frequencies(void **state)
{
	/* je; mov; jmp | mov; ret: which arm is probed depends on which is said to be rare */
	static const uint8_t bytes[] = {0xe8, 0xfb, 0x0f, 0, 0, 0x74, 0x04, 0x89, 0xc3, 0xeb, 0x02, 0x89, 0xd3, 0xc3};
	double often_taken[] = {1, 0.1, 0.9, 1}, seldom_taken[] = {1, 0.9, 0.1, 1};
	struct plan_options options = {.frequencies = often_taken};
	struct subject subject = make(bytes, sizeof(bytes), NULL, &options);

	(void)state;
	assert_int_equal(subject.cfg->blocks[1].start, 0x1007);
	assert_int_equal(roles(&subject, 0x1007), PLAN_BLOCK);
	assert_true(subject.plan->cost < 0.11);
	drop(&subject);
	options.frequencies = seldom_taken;
	subject = make(bytes, sizeof(bytes), NULL, &options);
	assert_int_equal(roles(&subject, 0x100b), PLAN_BLOCK);
	drop(&subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entry_takes_its_branch_along),
		cmocka_unit_test(returns_may_be_left_to_the_recorder),
		cmocka_unit_test(a_loop_through_the_entry),
		cmocka_unit_test(no_probe_in_a_window),
		cmocka_unit_test(no_probe_on_patched_text),
		cmocka_unit_test(a_function_without_a_place),
		cmocka_unit_test(ways_to_a_panic_need_no_probe),
		cmocka_unit_test(delicate_places),
		cmocka_unit_test(a_budget),
		cmocka_unit_test(known_frequencies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
