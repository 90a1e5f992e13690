/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "elf/elf_internal.h"

#define COUNT 5000

static Elf64_Sym table[COUNT];

static void check(size_t count)
{
	static uint32_t indices[COUNT];

	for (size_t i = 0; i < count; i++)
		indices[i] = (uint32_t)i;
	assert_null(elf_order_symbols(table, indices, count));
	for (size_t i = 1; i < count; i++) {
		uint64_t before = table[indices[i - 1]].st_value, here = table[indices[i]].st_value;

		assert_true(before < here || (before == here && indices[i - 1] < indices[i]));
	}
}

/* A kernel's: text near the end of memory, per-CPU variables at its beginning, several names for one address. */
static void test_a_kernels_symbols(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t low = i * UINT64_C(2654435761) % 3001;

		table[i].st_value = i % 7 ? UINT64_C(0xffffffff81000000) + low * 4099 : low * 8;
	}
	check(COUNT);
	check(1);
	check(0);
}

static void test_every_digit_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		table[i].st_value = (i * UINT64_C(0x9e3779b97f4a7c15)) ^ (i << 40);
	check(COUNT);
	for (size_t i = 0; i < 64; i++)
		table[i].st_value = UINT64_C(1) << (63 - i);
	check(64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kernels_symbols),
		cmocka_unit_test(test_every_digit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
