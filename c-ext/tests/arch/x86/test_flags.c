/* SPDX-License-Identifier: MIT */
/* Flags that make a branch go as wished: for every condition and every state of the flags, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/x86_internal.h"
#include "base/util.h"

static const uint64_t arithmetic[] = {X86_CF, X86_PF, X86_AF, X86_ZF, X86_SF, X86_OF};

#define OTHERS 0x202u /* the interrupt flag, and the bit that is always set */

static uint64_t state_of(unsigned bits)
{
	uint64_t flags = OTHERS;

	for (size_t i = 0; i < ARRAY_SIZE(arithmetic); i++)
		flags |= bits >> i & 1 ? arithmetic[i] : 0;
	return flags;
}

static struct insn of(unsigned condition)
{
	return (struct insn){.arch = &arch_x86_64, .kind = INSN_BRANCH, .condition = condition};
}

static void every_condition_both_ways(void **state)
{
	(void)state;
	for (unsigned condition = INSN_OVERFLOW; condition <= INSN_GREATER; condition++)
		for (unsigned bits = 0; bits < 1u << ARRAY_SIZE(arithmetic); bits++)
			for (int taken = 0; taken <= 1; taken++) {
				struct insn insn = of(condition);
				uint64_t flags = 0;

				assert_true(emulate_flags(&insn, taken, state_of(bits), &flags));
				assert_int_equal(emulate_condition(&insn, flags, 0), taken);
			}
}

static void nothing_else_changes(void **state)
{
	uint64_t compared = X86_CF | X86_PF | X86_ZF | X86_SF | X86_OF;

	(void)state;
	for (unsigned condition = INSN_OVERFLOW; condition <= INSN_GREATER; condition++)
		for (unsigned bits = 0; bits < 1u << ARRAY_SIZE(arithmetic); bits++)
			for (int taken = 0; taken <= 1; taken++) {
				uint64_t before = state_of(bits);
				struct insn insn = of(condition);
				uint64_t flags = 0;

				emulate_flags(&insn, taken, before, &flags);
				assert_int_equal((flags ^ before) & ~compared, 0);
				if (emulate_condition(&insn, before, 0) == taken)
					assert_int_equal(flags, before);
			}
}

static void counters_are_refused(void **state)
{
	(void)state;
	for (unsigned condition = INSN_BY_REGISTER; condition <= INSN_ALWAYS; condition++) {
		struct insn insn = of(condition);
		uint64_t flags = 0;

		assert_false(emulate_flags(&insn, true, OTHERS, &flags));
		assert_int_equal(flags, OTHERS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_condition_both_ways),
		cmocka_unit_test(nothing_else_changes),
		cmocka_unit_test(counters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
