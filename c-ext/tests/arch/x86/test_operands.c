/* SPDX-License-Identifier: MIT */
/* What instructions do to registers, in the shapes that the analyses know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/x86_internal.h"
#include "base/util.h"

#define NONE OPERANDS_NO_REGISTER

struct expected {
	uint8_t bytes[11];
	size_t length;
	enum operands_shape shape;
	int reg, from;
	int64_t constant;
	uint16_t written;
};

#define BIT(REG) (uint16_t)(1u << (REG))

static const struct expected cases[] = {
	/* mov $5,%r14d */
	{{0x41, 0xbe, 5, 0, 0, 0}, 6, OPERANDS_SET, 14, NONE, 5, BIT(14)},
	/* xor %eax,%eax */
	{{0x31, 0xc0}, 2, OPERANDS_SET, X86_RAX, X86_RAX, 0, BIT(X86_RAX)},
	/* lea 0x10(%rip),%rdx at 0x1000 */
	{{0x48, 0x8d, 0x15, 0x10, 0, 0, 0}, 7, OPERANDS_SET, X86_RDX, NONE, 0x1017, BIT(X86_RDX)},
	/* mov %edi,%eax */
	{{0x89, 0xf8}, 2, OPERANDS_COPY, X86_RAX, X86_RDI, 0, BIT(X86_RAX)},
	/* movzbl %al,%ecx */
	{{0x0f, 0xb6, 0xc8}, 3, OPERANDS_COPY, X86_RCX, X86_RAX, 0, BIT(X86_RCX)},
	/* sub $1,%r14d */
	{{0x41, 0x83, 0xee, 0x01}, 4, OPERANDS_ADD, 14, NONE, -1, BIT(14)},
	/* inc %rbx */
	{{0x48, 0xff, 0xc3}, 3, OPERANDS_ADD, X86_RBX, X86_RBX, 1, BIT(X86_RBX)},
	/* add %rdx,%rax */
	{{0x48, 0x01, 0xd0}, 3, OPERANDS_ADD_REGISTER, X86_RAX, X86_RDX, 0, BIT(X86_RAX)},
	/* and $7,%edi */
	{{0x83, 0xe7, 0x07}, 3, OPERANDS_MASK, X86_RDI, NONE, 7, BIT(X86_RDI)},
	/* cmp $10,%ebx */
	{{0x83, 0xfb, 0x0a}, 3, OPERANDS_COMPARE, X86_RBX, NONE, 10, 0},
	/* test %eax,%eax */
	{{0x85, 0xc0}, 2, OPERANDS_COMPARE, X86_RAX, X86_RAX, 0, 0},
	/* cmp $1,%al: one byte is enough for a comparison */
	{{0x3c, 0x01}, 2, OPERANDS_COMPARE, X86_RAX, NONE, 1, 0},
	/* mov $1,%al: the rest of RAX stays */
	{{0xb0, 0x01}, 2, OPERANDS_OTHER, X86_RAX, NONE, 1, BIT(X86_RAX)},
	/* mov (%rdi),%rax */
	{{0x48, 0x8b, 0x07}, 3, OPERANDS_LOAD, X86_RAX, NONE, 0, BIT(X86_RAX)},
	/* jmp *%rax */
	{{0xff, 0xe0}, 2, OPERANDS_JUMP, NONE, X86_RAX, 0, 0},
	/* test %eax,%ebx */
	{{0x85, 0xc3}, 2, OPERANDS_OTHER, X86_RBX, X86_RAX, 0, 0},
	/* mul %rdx writes RAX and RDX */
	{{0x48, 0xf7, 0xe2}, 3, OPERANDS_OTHER, X86_RDX, X86_RDX, 0, BIT(X86_RAX) | BIT(X86_RDX)},
	/* rdtsc writes EAX and EDX */
	{{0x0f, 0x31}, 2, OPERANDS_OTHER, NONE, NONE, 0, BIT(X86_RAX) | BIT(X86_RDX)},
	/* serialize: not known to capstone 4, so it may write anything */
	{{0x0f, 0x01, 0xe8}, 3, OPERANDS_OTHER, NONE, NONE, 0, UINT16_MAX},
};

static struct operands analyse(const uint8_t *bytes, size_t length)
{
	struct insn_decoder *decoder;
	struct operands operands;
	struct insn insn;

	assert_null(insn_decoder_create(arch_at(0), &decoder));
	assert_true(insn_decode(decoder, bytes, length, 0x1000, &insn));
	assert_int_equal(insn.length, length);
	operands_of(decoder, &insn, &operands);
	insn_decoder_destroy(decoder);
	return operands;
}

static void shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct operands got = analyse(cases[i].bytes, cases[i].length);

		assert_int_equal(got.shape, cases[i].shape);
		assert_int_equal(got.reg, cases[i].reg);
		assert_int_equal(got.from, cases[i].from);
		assert_int_equal(got.written, cases[i].written);
		if (got.shape != OPERANDS_OTHER)
			assert_int_equal(got.constant, cases[i].constant);
	}
}

static void memory(void **state)
{
	static const uint8_t table[] = {0xff, 0x24, 0xc5, 0x00,
					0x10, 0x20, 0x82};            /* jmp *0xffffffff82201000(,%rax,8) */
	static const uint8_t load[] = {0x48, 0x63, 0x44, 0xba, 0x08}; /* movslq 8(%rdx,%rdi,4),%rax */
	struct operands got = analyse(table, sizeof(table));

	(void)state;
	assert_int_equal(got.memory.base, NONE);
	assert_int_equal(got.memory.index, X86_RAX);
	assert_int_equal(got.memory.scale, 8);
	assert_int_equal(got.memory.displacement, (int64_t)0xffffffff82201000u);
	assert_int_equal(got.memory.size, 8);
	got = analyse(load, sizeof(load));
	assert_int_equal(got.shape, OPERANDS_LOAD);
	assert_int_equal(got.memory.base, X86_RDX);
	assert_int_equal(got.memory.index, X86_RDI);
	assert_int_equal(got.memory.scale, 4);
	assert_int_equal(got.memory.displacement, 8);
	assert_int_equal(got.memory.size, 4);
}

static size_t list(const uint8_t *bytes, size_t length, struct operand *ret)
{
	struct insn_decoder *decoder;
	struct insn insn;
	size_t count;

	assert_null(insn_decoder_create(arch_at(0), &decoder));
	assert_true(insn_decode(decoder, bytes, length, 0x1000, &insn));
	count = operands_list(decoder, &insn, ret);
	insn_decoder_destroy(decoder);
	return count;
}

static void one_by_one(void **state)
{
	static const uint8_t slot[] = {0x48, 0x3b, 0x44, 0x24, 0x08};    /* cmp 8(%rsp),%rax */
	static const uint8_t indexed[] = {0x41, 0x39, 0x4c, 0x9d, 0xfc}; /* cmp %ecx,-4(%r13,%rbx,4) */
	static const uint8_t constant[] = {0x80, 0xfa, 0x03};            /* cmp $3,%dl */
	static const uint8_t none[] = {0x90};                            /* nop */
	struct operand operands[OPERAND_MAX];

	(void)state;
	assert_int_equal(list(slot, sizeof(slot), operands), 2);
	assert_string_equal(operands[0].text, "8(%rsp)");
	assert_int_equal(operands[0].reg, OPERANDS_NO_REGISTER);
	assert_int_equal(operands[0].memory.base, 4);
	assert_int_equal(operands[0].memory.displacement, 8);
	assert_string_equal(operands[1].text, "%rax");
	assert_int_equal(operands[1].reg, 0);
	assert_int_equal(list(indexed, sizeof(indexed), operands), 2);
	assert_string_equal(operands[0].text, "%ecx");
	assert_int_equal(operands[0].reg, 1);
	assert_string_equal(operands[1].text, "-4(%r13, %rbx, 4)");
	assert_int_equal(operands[1].memory.index, 3);
	assert_int_equal(list(constant, sizeof(constant), operands), 2);
	assert_string_equal(operands[0].text, "$3");
	assert_int_equal(operands[0].reg, OPERANDS_NO_REGISTER);
	assert_string_equal(operands[1].text, "%dl");
	assert_int_equal(operands[1].reg, 2);
	assert_int_equal(list(none, sizeof(none), operands), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(memory),
		cmocka_unit_test(one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
