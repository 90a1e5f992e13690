/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "elf/aranges.h"

/* A set: length, version, unit, sizes of address and segment, 4 bytes to align, ranges, an empty range. */
static size_t put_set(uint8_t *to, uint16_t version, uint32_t unit, uint64_t address, uint64_t size)
{
	uint32_t length = 12 - 4 + 4 + 2 * 16;
	uint64_t ranges[4] = {address, size, 0, 0};

	memcpy(to, &length, 4);
	memcpy(to + 4, &version, 2);
	memcpy(to + 6, &unit, 4);
	memcpy(to + 10, (const uint8_t[]){8, 0}, 2);
	memset(to + 12, 0, 4);
	memcpy(to + 16, ranges, sizeof(ranges));
	return 4 + length;
}

static size_t put_sets(uint8_t *to)
{
	size_t size = put_set(to, 2, 0x10, 0x1000, 0x100);

	size += put_set(to + size, 3, 0x20, 0x2000, 0x100); /* of a version to come */
	return size + put_set(to + size, 2, 0x30, 0x3000, 1);
}

static void units_are_found_in_any_order(void **state)
{
	static const struct {
		uint64_t address, unit; /* unit 0: none */
	} cases[] = {
		{0x3000, 0x30}, {0x1000, 0x10}, {0x10ff, 0x10}, {0x1100, 0}, {0xfff, 0},
		{0x2000, 0},    {0x3001, 0},    {0x3000, 0x30}, {0, 0},      {UINT64_MAX, 0},
	};
	uint8_t bytes[200];
	struct aranges aranges = {.bytes = bytes, .size = put_sets(bytes)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t unit = 0;

		assert_int_equal(aranges_find(&aranges, cases[i].address, &unit), cases[i].unit != 0);
		assert_int_equal(unit, cases[i].unit);
	}
}

/* Memory of the very size, so that a byte too far is one that the sanitizer sees. */
static void a_section_may_end_anywhere(void **state)
{
	uint8_t whole[200];
	size_t size = put_sets(whole);

	(void)state;
	for (size_t end = 0; end <= size; end++) {
		FREE uint8_t *bytes = malloc(end + 1);
		struct aranges aranges = {.bytes = bytes, .size = end};
		uint64_t unit;

		memcpy(bytes, whole, end);
		assert_int_equal(aranges_find(&aranges, 0x3000, &unit), end == size);
	}
}

static void lengths_are_not_trusted(void **state)
{
	static const uint32_t lengths[] = {0, 1, 8, 11, 12, 13, 28, UINT32_MAX, UINT32_MAX - 4, 0x7fffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t bytes[200];
		struct aranges aranges = {.bytes = bytes, .size = put_sets(bytes)};
		uint64_t unit;

		memcpy(bytes, &lengths[i], sizeof(lengths[i]));
		aranges_find(&aranges, 0x3000, &unit);
		aranges_find(&aranges, UINT64_MAX, &unit);
	}
}

static void without_a_section_nothing_is_found(void **state)
{
	struct aranges aranges = {.bytes = NULL};
	uint64_t unit;

	(void)state;
	assert_false(aranges_find(&aranges, 0x1000, &unit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_found_in_any_order),
		cmocka_unit_test(a_section_may_end_anywhere),
		cmocka_unit_test(lengths_are_not_trusted),
		cmocka_unit_test(without_a_section_nothing_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
