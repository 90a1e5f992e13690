/* SPDX-License-Identifier: MIT */
/* Emulated instructions: by table, and against the processor itself, which steps the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "arch/x86/x86_internal.h"
#include "base/util.h"

#define CF 0x001u
#define PF 0x004u
#define AF 0x010u
#define ZF 0x040u
#define SF 0x080u
#define OF 0x800u
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)

static struct insn_decoder *decoder;

static struct insn decode(const uint8_t *bytes, size_t length, uint64_t address)
{
	struct insn insn;

	assert_true(insn_decode(decoder, bytes, length, address, &insn));
	assert_int_equal(insn.length, length);
	return insn;
}

/* Intel SDM vol. 1, table B-1, written out: for each condition flags that meet it and flags that do not. */
static const struct {
	enum insn_condition condition;
	uint64_t yes[2];
	uint64_t no[2];
} table[] = {
	{INSN_OVERFLOW, {OF, OF | CF}, {0, CF}},    {INSN_NOT_OVERFLOW, {0, ZF}, {OF, OF | ZF}},
	{INSN_BELOW, {CF, CF | ZF}, {0, ZF}},       {INSN_NOT_BELOW, {0, SF}, {CF, CF | SF}},
	{INSN_EQUAL, {ZF, ZF | CF}, {0, CF}},       {INSN_NOT_EQUAL, {0, SF}, {ZF, ZF | SF}},
	{INSN_NOT_ABOVE, {CF, ZF}, {0, SF}},        {INSN_ABOVE, {0, OF}, {CF, ZF}},
	{INSN_NEGATIVE, {SF, SF | OF}, {0, OF}},    {INSN_NOT_NEGATIVE, {0, ZF}, {SF, SF | ZF}},
	{INSN_EVEN, {PF, PF | ZF}, {0, ZF}},        {INSN_ODD, {0, SF}, {PF, PF | SF}},
	{INSN_LESS, {SF, OF}, {0, SF | OF}},        {INSN_NOT_LESS, {0, SF | OF}, {SF, OF}},
	{INSN_NOT_GREATER, {ZF, SF}, {0, SF | OF}}, {INSN_GREATER, {0, SF | OF}, {ZF, OF}},
};

static void conditions_by_table(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(table), 16);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		for (size_t k = 0; k < 2; k++) {
			struct insn insn = {.arch = &arch_x86_64, .condition = table[i].condition};

			assert_true(emulate_condition(&insn, table[i].yes[k] | 2, 0));
			assert_false(emulate_condition(&insn, table[i].no[k] | 2, 0));
		}
	}
}

static bool counts(unsigned detail, uint64_t flags, uint64_t rcx)
{
	struct insn insn = {.arch = &arch_x86_64, .condition = INSN_BY_REGISTER, .detail = (uint8_t)detail};

	return emulate_condition(&insn, flags, rcx);
}

static void counters_by_table(void **state)
{
	const struct insn always = {.arch = &arch_x86_64, .condition = INSN_ALWAYS};

	(void)state;
	assert_true(counts(X86_RCXZ, 0, 0));
	assert_false(counts(X86_RCXZ, 0, 1ull << 32));
	assert_true(counts(X86_ECXZ | X86_NARROW, 0, 1ull << 32));
	assert_false(counts(X86_ECXZ | X86_NARROW, 0, 1));
	assert_false(counts(X86_LOOP, 0, 1));
	assert_true(counts(X86_LOOP, 0, 0));
	assert_true(counts(X86_LOOP, 0, (1ull << 32) + 1));
	assert_false(counts(X86_LOOP | X86_NARROW, 0, (1ull << 32) + 1));
	assert_true(counts(X86_LOOPE, ZF, 2));
	assert_false(counts(X86_LOOPE, 0, 2));
	assert_false(counts(X86_LOOPE, ZF, 1));
	assert_true(counts(X86_LOOPNE, 0, 2));
	assert_false(counts(X86_LOOPNE, ZF, 2));
	assert_true(emulate_condition(&always, 0, 0));
}

static void jumps_set_the_program_counter(void **state)
{
	static const uint8_t taken[] = {0x74, 0x10}; /* je */
	static const uint8_t loop[] = {0xe2, 0xf0};  /* loop */
	struct emulate_state at = {.pc = 0x1000, .flags = ZF};
	struct emulate_effect effect;
	struct insn insn = decode(taken, sizeof(taken), 0x1000);

	(void)state;
	emulate_run(&insn, &at, 0, &effect);
	assert_int_equal(at.pc, 0x1012);
	assert_true(effect.taken);
	assert_int_equal(effect.written, 0);
	at = (struct emulate_state){.pc = 0x1000};
	emulate_run(&insn, &at, 0, &effect);
	assert_int_equal(at.pc, 0x1002);
	assert_false(effect.taken);
	at.general[X86_RCX] = 1;
	insn = decode(loop, sizeof(loop), 0x2000);
	emulate_run(&insn, &at, 0, &effect);
	assert_int_equal(at.pc, 0x2002);
	assert_int_equal(at.general[X86_RCX], 0);
	assert_int_equal(effect.written, 1 << X86_RCX);
}

static void what_is_left_to_the_processor(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t length;
	} forms[] = {
		{{0x8b, 0x05, 0, 0, 0, 0}, 6}, /* mov 0(%rip),%eax: memory */
		{{0x89, 0x04, 0x24}, 3},       /* mov %eax,(%rsp) */
		{{0x66, 0x89, 0xc3}, 3},       /* mov %ax,%bx: the upper bits stay */
		{{0x31, 0xc3}, 2},             /* xor %eax,%ebx */
		{{0x31, 0x03}, 2},             /* xor %eax,(%rbx) */
		{{0x01, 0xc3}, 2},             /* add %eax,%ebx */
		{{0xc7, 0x03, 1, 0, 0, 0}, 6}, /* movl $1,(%rbx) */
		{{0x66, 0x50}, 2},             /* push %ax */
		{{0xc2, 8, 0}, 3},             /* ret $8 */
		{{0xcb}, 1},                   /* lret */
		{{0xe8, 0, 0, 0, 0}, 5},       /* call */
		{{0xff, 0xe0}, 2},             /* jmp *%rax */
		{{0x0f, 0x31}, 2},             /* rdtsc */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct insn insn = decode(forms[i].bytes, forms[i].length, 0x1000);

		assert_int_equal(emulate_need(&insn), EMULATE_IMPOSSIBLE);
	}
}

/* The processor: a child that is stepped over the bytes, with registers set by its parent. */

#define CODE_SIZE 4096
#define STACK_TOP 2048 /* offset in the data page; RSP points around it */

static uint8_t *code, *stack;
static pid_t child;

static int start_child(void **state)
{
	int status;

	(void)state;
	assert_null(insn_decoder_create(arch_at(0), &decoder));
	code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stack = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(code != MAP_FAILED && stack != MAP_FAILED);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	return 0;
}

static int end_child(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	munmap(code, CODE_SIZE);
	munmap(stack, CODE_SIZE);
	insn_decoder_destroy(decoder);
	return 0;
}

static unsigned long long *const *registers_of(struct user_regs_struct *user)
{
	static unsigned long long *fields[X86_REGISTERS];
	unsigned long long *const list[] = {
		&user->rax, &user->rcx, &user->rdx, &user->rbx, &user->rsp, &user->rbp, &user->rsi, &user->rdi,
		&user->r8,  &user->r9,  &user->r10, &user->r11, &user->r12, &user->r13, &user->r14, &user->r15,
	};

	memcpy(fields, list, sizeof(list));
	return fields;
}

static struct emulate_state step_processor(const struct emulate_state *before)
{
	struct user_regs_struct user;
	struct emulate_state after;
	int status;

	assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &user), 0);
	for (size_t i = 0; i < X86_REGISTERS; i++)
		*registers_of(&user)[i] = before->general[i];
	user.rip = before->pc;
	user.eflags = before->flags;
	user.orig_rax = (unsigned long long)-1; /* not in a system call: nothing to restart */
	assert_int_equal(ptrace(PTRACE_SETREGS, child, NULL, &user), 0);
	assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), SIGTRAP);
	assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &user), 0);
	for (size_t i = 0; i < X86_REGISTERS; i++)
		after.general[i] = *registers_of(&user)[i];
	after.pc = user.rip;
	after.flags = user.eflags;
	return after;
}

static uint64_t next_random(void)
{
	static uint64_t seed = 0x9e3779b97f4a7c15u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void compare_with_processor(const uint8_t *bytes, size_t length, uint64_t flags, uint64_t rcx)
{
	uint8_t *place = code + CODE_SIZE / 2;
	uint8_t *top = stack + STACK_TOP;
	struct emulate_state mine, theirs;
	struct emulate_effect effect;
	struct insn insn;
	uint64_t loaded = (uintptr_t)code + 16;

	memset(code, 0x90, CODE_SIZE);
	memcpy(place, bytes, length);
	insn = decode(place, length, (uintptr_t)place);
	for (size_t i = 0; i < X86_REGISTERS; i++)
		mine.general[i] = next_random();
	mine.general[X86_RCX] = rcx;
	mine.general[X86_RSP] = (uintptr_t)top;
	mine.pc = (uintptr_t)place;
	mine.flags = 0x202 | flags;
	memcpy(top, &loaded, 8);
	theirs = step_processor(&mine);
	assert_int_not_equal(emulate_need(&insn), EMULATE_IMPOSSIBLE);
	emulate_run(&insn, &mine, loaded, &effect);
	assert_int_equal(mine.pc, theirs.pc);
	assert_int_equal(mine.flags & ARITHMETIC, theirs.flags & ARITHMETIC);
	assert_memory_equal(mine.general, theirs.general, X86_REGISTERS * sizeof(mine.general[0]));
	if (emulate_need(&insn) == EMULATE_STORE)
		assert_memory_equal(&effect.store_value, (uint8_t *)(uintptr_t)mine.general[X86_RSP], 8);
}

static const uint64_t all_flags[] = {CF, PF, ZF, SF, OF};

static uint64_t flags_of(unsigned combination)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all_flags); i++)
		flags |= combination >> i & 1 ? all_flags[i] : 0;
	return flags;
}

static void processor_agrees_on_every_condition(void **state)
{
	(void)state;
	for (unsigned cc = 0; cc < 16; cc++) {
		const uint8_t short_jump[] = {(uint8_t)(0x70 + cc), 0x20};
		const uint8_t near_jump[] = {0x0f, (uint8_t)(0x80 + cc), 0x80, 0xff, 0xff, 0xff};

		for (unsigned combination = 0; combination < 32; combination++) {
			compare_with_processor(short_jump, sizeof(short_jump), flags_of(combination), 0);
			compare_with_processor(near_jump, sizeof(near_jump), flags_of(combination), 0);
		}
	}
}

static void processor_agrees_on_counting_jumps(void **state)
{
	static const uint64_t counts[] = {0, 1, 2, 1ull << 32, (1ull << 32) + 1, UINT64_MAX};

	(void)state;
	for (uint8_t opcode = 0xe0; opcode <= 0xe3; opcode++) {
		const uint8_t wide[] = {opcode, 0x40};
		const uint8_t narrow[] = {0x67, opcode, 0xc0};

		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			for (unsigned zero = 0; zero < 2; zero++) {
				compare_with_processor(wide, sizeof(wide), zero ? ZF : 0, counts[i]);
				compare_with_processor(narrow, sizeof(narrow), zero ? ZF : 0, counts[i]);
			}
		}
	}
}

static void processor_agrees_on_the_rest(void **state)
{
	static const struct {
		uint8_t bytes[10];
		size_t length;
	} forms[] = {
		{{0xeb, 0x10}, 2},                               /* jmp short */
		{{0xe9, 0x80, 0xff, 0xff, 0xff}, 5},             /* jmp near */
		{{0x90}, 1},                                     /* nop */
		{{0x66, 0x90}, 2},                               /* xchg %ax,%ax */
		{{0x0f, 0x1f, 0x44, 0, 0}, 5},                   /* nopl */
		{{0xf3, 0x0f, 0x1e, 0xfa}, 4},                   /* endbr64 */
		{{0xc3}, 1},                                     /* ret */
		{{0x50}, 1},                                     /* push %rax */
		{{0x54}, 1},                                     /* push %rsp */
		{{0x41, 0x57}, 2},                               /* push %r15 */
		{{0x48, 0x89, 0xe5}, 3},                         /* mov %rsp,%rbp */
		{{0x49, 0x89, 0xfc}, 3},                         /* mov %rdi,%r12 */
		{{0x4c, 0x8b, 0xc1}, 3},                         /* mov %rcx,%r8 (8B form) */
		{{0x89, 0xc0}, 2},                               /* mov %eax,%eax: clears the upper half */
		{{0x41, 0x89, 0xd5}, 3},                         /* mov %edx,%r13d */
		{{0xb8, 0, 0, 2, 0}, 5},                         /* mov $0x20000,%eax */
		{{0x41, 0xbe, 0x05, 0, 0, 0}, 6},                /* mov $5,%r14d */
		{{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88}, 10},   /* movabs */
		{{0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff}, 7}, /* mov $-1,%rax */
		{{0x41, 0xc7, 0xc4, 0xfe, 0xff, 0xff, 0xff}, 7}, /* mov $-2,%r12d */
		{{0x31, 0xc0}, 2},                               /* xor %eax,%eax */
		{{0x45, 0x33, 0xe4}, 3},                         /* xor %r12d,%r12d */
		{{0x48, 0x31, 0xd2}, 3},                         /* xor %rdx,%rdx */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		for (unsigned combination = 0; combination < 32; combination += 5)
			compare_with_processor(forms[i].bytes, forms[i].length, flags_of(combination), next_random());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_by_table),
		cmocka_unit_test(counters_by_table),
		cmocka_unit_test(jumps_set_the_program_counter),
		cmocka_unit_test(what_is_left_to_the_processor),
		cmocka_unit_test(processor_agrees_on_every_condition),
		cmocka_unit_test(processor_agrees_on_counting_jumps),
		cmocka_unit_test(processor_agrees_on_the_rest),
	};

	return cmocka_run_group_tests(tests, start_child, end_child);
}
