/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addresses.h"
#include "base/util.h"

static void highest_bit_counts(void **state)
{
	uint64_t addresses[] = {UINT64_MAX, 7, UINT64_C(1) << 63, 7, 0, UINT64_MAX};
	const uint64_t wanted[] = {0, 7, UINT64_C(1) << 63, UINT64_MAX};
	size_t count = addresses_sort(addresses, ARRAY_SIZE(addresses));

	(void)state;
	assert_int_equal(count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < count; i++) {
		assert_true(addresses[i] == wanted[i]);
		assert_true(addresses_hold(addresses, count, wanted[i]));
	}
	assert_false(addresses_hold(addresses, count, 8));
	assert_false(addresses_hold(addresses, count - 1, UINT64_MAX));
}

static void none_is_none(void **state)
{
	(void)state;
	assert_int_equal(addresses_sort(NULL, 0), 0);
	assert_false(addresses_hold(NULL, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(highest_bit_counts),
		cmocka_unit_test(none_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
