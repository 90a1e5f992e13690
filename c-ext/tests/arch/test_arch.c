/* SPDX-License-Identifier: MIT */
/* What is the same on every architecture: conditions of numbers compared, and the table's own consistency. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/util.h"

static bool expected(enum insn_condition condition, uint64_t left, uint64_t right, unsigned size)
{
	int64_t a = size == 8 ? (int64_t)left : (int32_t)left, b = size == 8 ? (int64_t)right : (int32_t)right;
	uint64_t x = size == 8 ? left : (uint32_t)left, y = size == 8 ? right : (uint32_t)right;
	int64_t wrapped;
	bool overflow = __builtin_sub_overflow(a, b, &wrapped) || (size == 4 && wrapped != (int32_t)wrapped);

	bool table[] = {
		[INSN_OVERFLOW] = overflow,
		[INSN_BELOW] = x < y,
		[INSN_EQUAL] = x == y,
		[INSN_NOT_ABOVE] = x <= y,
		[INSN_NEGATIVE] = (x - y) >> (8 * size - 1) & 1,
		[INSN_EVEN] = __builtin_popcount((unsigned)(x - y) & 0xff) % 2 == 0,
		[INSN_LESS] = a < b,
		[INSN_NOT_GREATER] = a <= b,
	};

	return table[condition & ~1u] != (condition & 1);
}

static void conditions_of_numbers(void **state)
{
	static const uint64_t numbers[] = {
		0,          1,          2,          0x7f,      0x80,       0x7fffffff, 0x80000000,
		0x80000001, 0xffffffff, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX, 0x100000007fffffff};

	(void)state;
	for (unsigned condition = INSN_OVERFLOW; condition <= INSN_GREATER; condition++)
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
			for (size_t k = 0; k < ARRAY_SIZE(numbers); k++)
				for (unsigned size = 4; size <= 8; size += 4)
					assert_int_equal(insn_condition_of(condition, numbers[i], numbers[k], size),
							 expected(condition, numbers[i], numbers[k], size));
}

static void every_architecture_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; arch_at(i); i++) {
		const struct arch *arch = arch_at(i);

		assert_true(arch->general_count && arch->general_count <= EMULATE_REGISTERS_MAX);
		assert_true(arch->stack_pointer < arch->general_count && arch->result < arch->general_count);
		assert_true(arch->link < (int)arch->general_count);
		for (unsigned k = 0; k < arch->general_count; k++)
			assert_non_null(arch->general[k]);
		for (unsigned kind = INSN_OTHER; kind <= INSN_IDENTIFY; kind++)
			assert_non_null(arch->kind_name(kind));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_of_numbers),
		cmocka_unit_test(every_architecture_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
