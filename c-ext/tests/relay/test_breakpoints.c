/* SPDX-License-Identifier: MIT */
/* Who wants a breakpoint where: the stub is told of the first owner and of the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "relay/breakpoints.h"

#define ANY (BREAKPOINT_OF_GDB | BREAKPOINT_OF_RELAY)

static bool add(struct breakpoints *table, uint64_t address, char type, unsigned owner)
{
	bool first;

	assert_null(breakpoints_add(table, address, type, owner, &first));
	return first;
}

static void empty_table_has_nothing(void **state)
{
	struct breakpoints table = {0};

	(void)state;
	assert_false(breakpoints_has(&table, 0x1000, 0, ANY));
	assert_false(breakpoints_remove(&table, 0x1000, '0', BREAKPOINT_OF_GDB));
	breakpoints_clear(&table);
}

static void first_owner_asks_and_last_one_tells(void **state)
{
	CLEANUP(breakpoints_clear) struct breakpoints table = {0};

	(void)state;
	assert_true(add(&table, 0x1000, '1', BREAKPOINT_OF_GDB));
	assert_false(add(&table, 0x1000, '1', BREAKPOINT_OF_RELAY));
	assert_false(add(&table, 0x1000, '1', BREAKPOINT_OF_RELAY));
	assert_int_equal(table.count, 1);

	assert_false(breakpoints_remove(&table, 0x1000, '1', BREAKPOINT_OF_GDB));
	assert_false(breakpoints_has(&table, 0x1000, '1', BREAKPOINT_OF_GDB));
	assert_true(breakpoints_has(&table, 0x1000, '1', BREAKPOINT_OF_RELAY));
	assert_true(breakpoints_remove(&table, 0x1000, '1', BREAKPOINT_OF_RELAY));
	assert_int_equal(table.count, 0);
}

static void who_has_none_cannot_remove_one(void **state)
{
	CLEANUP(breakpoints_clear) struct breakpoints table = {0};

	(void)state;
	add(&table, 0x1000, '0', BREAKPOINT_OF_RELAY);
	assert_false(breakpoints_remove(&table, 0x1000, '0', BREAKPOINT_OF_GDB));
	assert_false(breakpoints_remove(&table, 0x1000, '1', BREAKPOINT_OF_RELAY));
	assert_false(breakpoints_remove(&table, 0x1001, '0', BREAKPOINT_OF_RELAY));
	assert_true(breakpoints_has(&table, 0x1000, '0', BREAKPOINT_OF_RELAY));
}

static void types_at_one_address_are_two_breakpoints(void **state)
{
	CLEANUP(breakpoints_clear) struct breakpoints table = {0};

	(void)state;
	assert_true(add(&table, 0x1000, '1', BREAKPOINT_OF_GDB));
	assert_true(add(&table, 0x1000, '0', BREAKPOINT_OF_RELAY));
	assert_int_equal(table.count, 2);
	assert_false(breakpoints_has(&table, 0x1000, '0', BREAKPOINT_OF_GDB));
	assert_true(breakpoints_has(&table, 0x1000, 0, BREAKPOINT_OF_GDB));
	assert_true(breakpoints_has(&table, 0x1000, 0, BREAKPOINT_OF_RELAY));
	assert_true(breakpoints_remove(&table, 0x1000, '0', BREAKPOINT_OF_RELAY));
	assert_true(breakpoints_has(&table, 0x1000, '1', BREAKPOINT_OF_GDB));
}

/* In an order that puts new ones first, last and between. */
static void many_stay_sorted(void **state)
{
	CLEANUP(breakpoints_clear) struct breakpoints table = {0};
	const uint64_t prime = 611953; /* its multiples modulo 2^10 are all different */

	(void)state;
	for (uint64_t i = 0; i < 1024; i++)
		assert_true(add(&table, UINT64_MAX - i * prime % 1024, '1', BREAKPOINT_OF_RELAY));
	assert_int_equal(table.count, 1024);
	for (size_t i = 0; i < table.count; i++)
		assert_true(table.items[i].address == UINT64_MAX - 1023 + i);
	for (uint64_t i = 0; i < 1024; i++)
		assert_true(breakpoints_remove(&table, UINT64_MAX - i, '1', BREAKPOINT_OF_RELAY));
	assert_int_equal(table.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_table_has_nothing),
		cmocka_unit_test(first_owner_asks_and_last_one_tells),
		cmocka_unit_test(who_has_none_cannot_remove_one),
		cmocka_unit_test(types_at_one_address_are_two_breakpoints),
		cmocka_unit_test(many_stay_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
