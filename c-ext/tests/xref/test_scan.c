/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "xref/scan.h"

#define SIZE 3000

struct seen {
	bool at[SIZE];
	size_t last;
};

static struct cs_error *see(void *context, size_t offset)
{
	struct seen *seen = context;

	assert_true(offset < SIZE && (!seen->last || offset > seen->last));
	seen->last = offset;
	seen->at[offset] = true;
	return NULL;
}

/* What scan.h says of a candidate, byte by byte and without any vectors. */
static bool names(const uint8_t *bytes, uint64_t address, uint64_t low, uint64_t high)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	for (uint32_t origin = 0; origin <= 8; origin++) {
		uint32_t meant = value + (origin ? (uint32_t)address + origin : 0);

		if (meant - (uint32_t)low < (uint32_t)(high - low))
			return true;
	}
	return value + (uint32_t)address - (uint32_t)low < (uint32_t)(high - low);
}

static void test_every_candidate_of_every_size(void **state)
{
	static uint8_t bytes[SIZE];
	uint64_t address = UINT64_C(0xffffffff81000000);
	uint64_t random = 88172645463325252u;

	(void)state;
	for (size_t i = 0; i < SIZE; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		bytes[i] = (uint8_t)random;
	}
	for (size_t size = 0; size < SIZE; size += size < 200 ? 1 : 97) {
		uint64_t low = address + (random % 7) * UINT64_C(0x10000000), high = low + 0x2000000 + size;
		struct seen seen = {.last = 0};

		assert_null(scan_candidates(bytes, size, address, low, high, see, &seen));
		for (size_t i = 0; i + 4 <= size; i++)
			if (names(bytes + i, address + i, low, high))
				assert_true(seen.at[i]);
		random = random * 6364136223846793005u + 1;
	}
}

static void test_a_value_at_any_place_is_found_alone(void **state)
{
	uint32_t low = 0x12345678;

	(void)state;
	for (size_t at = 0; at + 4 <= 150; at++) {
		uint8_t bytes[150] = {0};
		struct seen seen = {.last = 0};

		memcpy(bytes + at, &low, sizeof(low));
		assert_null(scan_candidates(bytes, sizeof(bytes), 0x1000, low, low + 1, see, &seen));
		assert_true(seen.at[at]);
		for (size_t i = 0; i < SIZE; i++)
			assert_int_equal(seen.at[i], i == at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_candidate_of_every_size),
		cmocka_unit_test(test_a_value_at_any_place_is_found_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
