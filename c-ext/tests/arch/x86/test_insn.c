/* SPDX-License-Identifier: MIT */
/* Instructions from literal bytes; the assembly stands beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "arch/x86/x86_internal.h"
#include "base/util.h"

#define AT 0xffffffff81000000u

static int set_up(void **state)
{
	struct insn_decoder *decoder;

	assert_null(insn_decoder_create(arch_at(0), &decoder));
	*state = decoder;
	return 0;
}

static int tear_down(void **state)
{
	insn_decoder_destroy(*state);
	return 0;
}

struct expected {
	uint8_t bytes[INSN_MAX_LENGTH];
	size_t length;
	enum insn_kind kind;
	uint64_t target; /* relative to AT; 0: none */
	int port;
};

static const struct expected cases[] = {
	{{0xeb, 0x05}, 2, INSN_JUMP, 7, INSN_PORT_NONE},                                     /* jmp +5 */
	{{0xe9, 0x00, 0x01, 0x00, 0x00}, 5, INSN_JUMP, 0x105, INSN_PORT_NONE},               /* jmp +256 */
	{{0xeb, 0xfe}, 2, INSN_JUMP, AT, INSN_PORT_NONE},                                    /* jmp itself: see below */
	{{0xff, 0xe0}, 2, INSN_JUMP_INDIRECT, 0, INSN_PORT_NONE},                            /* jmp *%rax */
	{{0x3e, 0xff, 0xe0}, 3, INSN_JUMP_INDIRECT, 0, INSN_PORT_NONE},                      /* notrack jmp *%rax */
	{{0xff, 0x24, 0xc5, 0, 0x10, 0x20, 0x82}, 7, INSN_JUMP_INDIRECT, 0, INSN_PORT_NONE}, /* jmp *tab(,%rax,8) */
	{{0xe8, 0x10, 0x00, 0x00, 0x00}, 5, INSN_CALL, 0x15, INSN_PORT_NONE},                /* call +16 */
	{{0xff, 0xd0}, 2, INSN_CALL_INDIRECT, 0, INSN_PORT_NONE},                            /* call *%rax */
	{{0xff, 0x15, 0, 0, 0, 0}, 6, INSN_CALL_INDIRECT, 0, INSN_PORT_NONE},                /* call *0(%rip) */
	{{0xc3}, 1, INSN_RETURN, 0, INSN_PORT_NONE},                                         /* ret */
	{{0xf3, 0xc3}, 2, INSN_RETURN, 0, INSN_PORT_NONE},                                   /* repz ret */
	{{0xc2, 0x08, 0x00}, 3, INSN_RETURN, 0, INSN_PORT_NONE},                             /* ret $8 */
	{{0x48, 0xcf}, 2, INSN_RETURN, 0, INSN_PORT_NONE},                                   /* iretq */
	{{0x48, 0x0f, 0x07}, 3, INSN_RETURN, 0, INSN_PORT_NONE},                             /* sysretq */
	{{0x48, 0x0f, 0x35}, 3, INSN_RETURN, 0, INSN_PORT_NONE},                             /* sysexitq */
	{{0x0f, 0x0b}, 2, INSN_TRAP, 0, INSN_PORT_NONE},                                     /* ud2 */
	{{0xcc}, 1, INSN_TRAP, 0, INSN_PORT_NONE},                                           /* int3 */
	{{0x0f, 0xb9, 0x40, 0x10}, 4, INSN_TRAP, 0, INSN_PORT_NONE},                         /* ud1 16(%rax),%eax */
	{{0xf4}, 1, INSN_HALT, 0, INSN_PORT_NONE},                                           /* hlt */
	{{0x90}, 1, INSN_NOP, 0, INSN_PORT_NONE},                                            /* nop */
	{{0x66, 0x90}, 2, INSN_NOP, 0, INSN_PORT_NONE},                                      /* xchg %ax,%ax */
	{{0x0f, 0x1f, 0x44, 0x00, 0x00}, 5, INSN_NOP, 0, INSN_PORT_NONE},                    /* nopl 0(%rax,%rax,1) */
	{{0xf3, 0x0f, 0x1e, 0xfa}, 4, INSN_NOP, 0, INSN_PORT_NONE},                          /* endbr64 */
	{{0x0f, 0x31}, 2, INSN_CLOCK, 0, INSN_PORT_NONE},                                    /* rdtsc */
	{{0x0f, 0x01, 0xf9}, 3, INSN_CLOCK, 0, INSN_PORT_NONE},                              /* rdtscp */
	{{0x0f, 0x33}, 2, INSN_COUNTER, 0, INSN_PORT_NONE},                                  /* rdpmc */
	{{0xe4, 0x42}, 2, INSN_PORT_READ, 0, 0x42},                                          /* in $0x42,%al */
	{{0xec}, 1, INSN_PORT_READ, 0, INSN_PORT_REGISTER},                                  /* in (%dx),%al */
	{{0xed}, 1, INSN_PORT_READ, 0, INSN_PORT_REGISTER},                                  /* in (%dx),%eax */
	{{0x6d}, 1, INSN_PORT_READ, 0, INSN_PORT_REGISTER},                                  /* insl (%dx),(%rdi) */
	{{0xe6, 0x43}, 2, INSN_PORT_WRITE, 0, 0x43},                                         /* out %al,$0x43 */
	{{0xe7, 0xff}, 2, INSN_PORT_WRITE, 0, 0xff},                                         /* out %eax,$0xff */
	{{0xee}, 1, INSN_PORT_WRITE, 0, INSN_PORT_REGISTER},                                 /* out %al,(%dx) */
	{{0x0f, 0x32}, 2, INSN_SYSTEM_READ, 0, INSN_PORT_NONE},                              /* rdmsr */
	{{0x0f, 0x30}, 2, INSN_SYSTEM_WRITE, 0, INSN_PORT_NONE},                             /* wrmsr */
	{{0x0f, 0xa2}, 2, INSN_IDENTIFY, 0, INSN_PORT_NONE},                                 /* cpuid */
	{{0x48, 0x89, 0xe5}, 3, INSN_OTHER, 0, INSN_PORT_NONE},                              /* mov %rsp,%rbp */
	{{0xf3, 0x90}, 2, INSN_OTHER, 0, INSN_PORT_NONE},                                    /* pause */
	{{0xcd, 0x80}, 2, INSN_OTHER, 0, INSN_PORT_NONE},                                    /* int $0x80: comes back */
	/* Newer than capstone 4. */
	{{0x0f, 0x01, 0xe8}, 3, INSN_OTHER, 0, INSN_PORT_NONE},                         /* serialize */
	{{0x0f, 0x01, 0xee}, 3, INSN_OTHER, 0, INSN_PORT_NONE},                         /* rdpkru */
	{{0x66, 0x0f, 0xae, 0xf1}, 4, INSN_OTHER, 0, INSN_PORT_NONE},                   /* tpause %ecx */
	{{0xf3, 0x0f, 0x01, 0xfe}, 4, INSN_OTHER, 0, INSN_PORT_NONE},                   /* rmpadjust */
	{{0x62, 0xf1, 0x65, 0x08, 0x72, 0xc3, 0x10}, 7, INSN_OTHER, 0, INSN_PORT_NONE}, /* vprord $16,%xmm3,%xmm3 */
	{{0x62, 0x72, 0x4d, 0x28, 0x76, 0xc7}, 6, INSN_OTHER, 0, INSN_PORT_NONE},       /* vpermi2d %ymm7,%ymm6,%ymm8 */
	{{0xc4, 0xe2, 0x78, 0x49, 0xc0}, 5, INSN_OTHER, 0, INSN_PORT_NONE},             /* tilerelease */
	{{0x66, 0x48, 0x0f, 0x38, 0xf5, 0x06}, 6, INSN_OTHER, 0, INSN_PORT_NONE},       /* wrussq %rax,(%rsi) */
};

static void kinds_targets_and_ports(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct expected *want = &cases[i];
		struct insn got;

		assert_true(insn_decode(*state, want->bytes, INSN_MAX_LENGTH, AT, &got));
		assert_int_equal(got.length, want->length);
		assert_int_equal(got.kind, want->kind);
		assert_int_equal(got.port, want->port);
		assert_int_equal(got.target, want->target && want->target != AT ? AT + want->target : want->target);
		assert_int_equal(got.condition, INSN_ALWAYS);
		assert_memory_equal(got.bytes, want->bytes, want->length);
		assert_int_equal(insn_next(&got), AT + want->length);
	}
}

static void check_condition(struct insn_decoder *decoder, const uint8_t *bytes, size_t length, enum insn_kind kind,
			    enum insn_condition condition, uint64_t target)
{
	struct insn got;

	assert_true(insn_decode(decoder, bytes, length, AT, &got));
	assert_int_equal(got.kind, kind);
	assert_int_equal(got.condition, condition);
	assert_int_equal(got.target, target);
	assert_int_equal(got.length, length);
}

struct expected_flags {
	uint8_t bytes[INSN_MAX_LENGTH];
	bool reads, writes;
};

static const struct expected_flags flag_cases[] = {
	{{0x48, 0x39, 0xc8}, false, true},        /* cmp %rcx,%rax */
	{{0x48, 0x85, 0xc0}, false, true},        /* test %rax,%rax */
	{{0x85, 0x43, 0x0c}, false, true},        /* test %eax,12(%rbx): capstone 5 tells of no flags */
	{{0x84, 0x04, 0x24}, false, true},        /* test %al,(%rsp) */
	{{0x66, 0x0f, 0xae, 0xf1}, false, true},  /* tpause %ecx: likewise */
	{{0x48, 0xff, 0xc8}, false, true},        /* dec %rax: all but CF */
	{{0x48, 0xd3, 0xe0}, false, true},        /* shl %cl,%rax */
	{{0x48, 0x19, 0xc0}, true, true},         /* sbb %rax,%rax */
	{{0xf0, 0x0f, 0xb1, 0x0f}, false, true},  /* lock cmpxchg %ecx,(%rdi) */
	{{0x0f, 0xc7, 0xf0}, false, true},        /* rdrand %eax */
	{{0x0f, 0xbc, 0xc1}, false, true},        /* bsf %ecx,%eax */
	{{0xdb, 0xf1}, false, true},              /* fcomi %st(1),%st */
	{{0xe8, 0, 0, 0, 0}, false, true},        /* call: whatever is called */
	{{0xff, 0xd0}, false, true},              /* call *%rax */
	{{0x0f, 0x94, 0xc0}, true, false},        /* sete %al */
	{{0x0f, 0x42, 0xc1}, true, false},        /* cmovb %ecx,%eax */
	{{0x72, 0x10}, true, false},              /* jb */
	{{0xe1, 0xfe}, true, false},              /* loope */
	{{0xe2, 0xfe}, false, false},             /* loop: counts without a flag */
	{{0x9c}, true, false},                    /* pushfq */
	{{0x9d}, false, true},                    /* popfq */
	{{0x48, 0x8d, 0x04, 0x08}, false, false}, /* lea (%rax,%rcx),%rax */
	{{0x48, 0x89, 0xc8}, false, false},       /* mov %rcx,%rax */
	{{0x48, 0xf7, 0xd0}, false, false},       /* not %rax */
	{{0xfa}, false, false},                   /* cli: IF is no flag of arithmetic */
	{{0xfc}, false, false},                   /* cld */
	{{0x0f, 0x31}, false, false},             /* rdtsc */
	{{0x0f, 0x01, 0xe8}, false, true},        /* serialize: unknown to capstone 4 */
};

static void flags_that_are_read_and_written(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_cases); i++) {
		struct insn got;

		assert_true(insn_decode(*state, flag_cases[i].bytes, INSN_MAX_LENGTH, AT, &got));
		assert_int_equal(got.reads_flags, flag_cases[i].reads);
		assert_int_equal(got.writes_flags, flag_cases[i].writes);
	}
}

static void every_condition_in_every_form(void **state)
{
	for (unsigned cc = 0; cc < 16; cc++) {
		const uint8_t near_jump[] = {0x0f, (uint8_t)(0x80 + cc), 0xfa, 0xff, 0xff, 0xff};
		const uint8_t short_jump[] = {(uint8_t)(0x70 + cc), 0x80};
		const uint8_t setcc[] = {0x0f, (uint8_t)(0x90 + cc), 0xc0};
		const uint8_t cmov[] = {0x48, 0x0f, (uint8_t)(0x40 + cc), 0xd8};

		check_condition(*state, near_jump, 6, INSN_BRANCH, cc, AT);
		check_condition(*state, short_jump, 2, INSN_BRANCH, cc, AT + 2 - 128);
		check_condition(*state, setcc, 3, INSN_TRUTH, cc, 0);
		check_condition(*state, cmov, 4, INSN_SELECT, cc, 0);
	}
}

static void counting_jumps(void **state)
{
	static const struct {
		uint8_t bytes[3];
		size_t length;
		uint8_t detail;
		const char *name;
	} forms[] = {
		{{0xe3, 0x10}, 2, X86_RCXZ, "rcxz"},
		{{0x67, 0xe3, 0x10}, 3, X86_ECXZ | X86_NARROW, "ecxz"},
		{{0xe2, 0x10}, 2, X86_LOOP, "loop"},
		{{0x67, 0xe2, 0x10}, 3, X86_LOOP | X86_NARROW, "loop"}, /* addr32 loop */
		{{0xe1, 0x10}, 2, X86_LOOPE, "loope"},
		{{0xe0, 0x10}, 2, X86_LOOPNE, "loopne"},
		{{0x67, 0xe0, 0x10}, 3, X86_LOOPNE | X86_NARROW, "loopne"}, /* addr32 loopne */
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct insn got;

		check_condition(*state, forms[i].bytes, forms[i].length, INSN_BRANCH, INSN_BY_REGISTER,
				AT + forms[i].length + 0x10);
		assert_true(insn_decode(*state, forms[i].bytes, forms[i].length, AT, &got));
		assert_int_equal(got.detail, forms[i].detail);
		assert_int_equal(got.decides, X86_RCX);
		assert_string_equal(insn_condition_name(&got), forms[i].name);
	}
}

static void no_instruction(void **state)
{
	static const uint8_t invalid[] = {0xea, 0, 0, 0, 0, 0, 0}; /* far jump: not in 64-bit mode */
	static const uint8_t prefixes[] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					   0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90};
	static const uint8_t cut[] = {0x62, 0xf1, 0x65, 0x08, 0x72, 0x84, 0x24}; /* vprord, displacement missing */
	static const uint8_t jump[] = {0x0f, 0x84, 0, 0, 0, 0};
	struct insn insn;

	assert_false(insn_decode(*state, invalid, sizeof(invalid), AT, &insn));
	assert_false(insn_decode(*state, prefixes, sizeof(prefixes), AT, &insn));
	for (size_t size = 0; size <= sizeof(cut); size++)
		assert_false(insn_decode(*state, cut, size, AT, &insn));
	for (size_t size = 0; size < sizeof(jump); size++)
		assert_false(insn_decode(*state, jump, size, AT, &insn));
}

static void texts(void **state)
{
	static const uint8_t compare[] = {0x41, 0x83, 0xee, 0x01};
	static const uint8_t serialize[] = {0x0f, 0x01, 0xe8};
	char text[64];
	char little[4];
	struct insn insn;

	assert_true(insn_decode(*state, compare, sizeof(compare), AT, &insn));
	insn_text(*state, &insn, text, sizeof(text));
	assert_string_equal(text, "subl $1, %r14d");
	insn_text(*state, &insn, little, sizeof(little));
	assert_string_equal(little, "sub");
	assert_true(insn_decode(*state, serialize, sizeof(serialize), AT, &insn));
	insn_text(*state, &insn, text, sizeof(text));
	assert_string_equal(text, ".byte 0x0f, 0x01, 0xe8");
	insn_text(*state, &insn, little, sizeof(little));
	assert_string_equal(little, ".by");
	assert_string_equal(insn_condition_name(&(struct insn){.arch = arch_at(0), .condition = INSN_NOT_EQUAL}), "ne");
	assert_string_equal(insn_condition_name(&(struct insn){.arch = arch_at(0), .condition = INSN_ALWAYS}), "");
	assert_string_equal(insn_kind_name(&(struct insn){.arch = arch_at(0), .kind = INSN_IDENTIFY}), "cpuid");
}

static void changes_of_the_stack_pointer(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t length;
		int32_t change;
	} forms[] = {
		{{0x53}, 1, -8},                                   /* push %rbx */
		{{0x41, 0x56}, 2, -8},                             /* push %r14 */
		{{0x6a, 0xff}, 2, -8},                             /* push $-1 */
		{{0x9c}, 1, -8},                                   /* pushfq */
		{{0x5b}, 1, 8},                                    /* pop %rbx */
		{{0x9d}, 1, 8},                                    /* popfq */
		{{0x5c}, 1, INSN_STACK_UNKNOWN},                   /* pop %rsp */
		{{0x48, 0x83, 0xec, 0x10}, 4, -16},                /* sub $16,%rsp */
		{{0x48, 0x83, 0xc4, 0x10}, 4, 16},                 /* add $16,%rsp */
		{{0x48, 0x83, 0xc4, 0x80}, 4, -128},               /* add $-128,%rsp */
		{{0x48, 0x81, 0xec, 0, 1, 0, 0}, 7, -256},         /* sub $256,%rsp */
		{{0x48, 0x8d, 0x64, 0x24, 0x08}, 5, 8},            /* lea 8(%rsp),%rsp */
		{{0x48, 0x8d, 0x65, 0xf0}, 4, INSN_STACK_UNKNOWN}, /* lea -16(%rbp),%rsp */
		{{0x48, 0x83, 0xe4, 0xf0}, 4, INSN_STACK_UNKNOWN}, /* and $-16,%rsp */
		{{0x48, 0x89, 0xec}, 3, INSN_STACK_UNKNOWN},       /* mov %rbp,%rsp */
		{{0xc9}, 1, INSN_STACK_UNKNOWN},                   /* leave */
		{{0x48, 0x39, 0xc4}, 3, 0},                        /* cmp %rax,%rsp */
		{{0x48, 0x89, 0xe5}, 3, 0},                        /* mov %rsp,%rbp */
		{{0xe8, 0, 0, 0, 0}, 5, 0},                        /* call */
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct insn insn;

		assert_true(insn_decode(*state, forms[i].bytes, forms[i].length, AT, &insn));
		assert_int_equal(insn.length, forms[i].length);
		assert_int_equal(insn.stack, forms[i].change);
	}
}

static void clock_accesses(void **state)
{
	size_t clocks = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct insn insn;

		assert_true(insn_decode(*state, cases[i].bytes, INSN_MAX_LENGTH, AT, &insn));
		clocks += insn_is_clock_access(&insn);
	}
	assert_int_equal(clocks, 10); /* rdtsc, rdtscp, rdpmc, four in, three out */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_targets_and_ports),
		cmocka_unit_test(every_condition_in_every_form),
		cmocka_unit_test(flags_that_are_read_and_written),
		cmocka_unit_test(counting_jumps),
		cmocka_unit_test(no_instruction),
		cmocka_unit_test(texts),
		cmocka_unit_test(changes_of_the_stack_pointer),
		cmocka_unit_test(clock_accesses),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
