/* SPDX-License-Identifier: MIT */
/* Arrays that grow: room is made, what is there stays, and a size that no memory has changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/vector.h"

/* An allocation that cannot be has to fail here, not to end the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void grows_and_keeps(void **state)
{
	uint16_t *items = NULL;
	uint32_t count = 0, room = 0;

	(void)state;
	for (; count < 1000; count++) {
		assert_null(VECTOR_ROOM(items, count + 1, room));
		assert_true(room > count);
		items[count] = (uint16_t)count;
	}
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(items[i], i);
	assert_true(room < 2500);
	free(items);
}

static void many_at_once(void **state)
{
	char *text = NULL;
	size_t room = 0;

	(void)state;
	assert_null(VECTOR_ROOM(text, 12345, room));
	assert_true(room >= 12345);
	text[12344] = 'x';
	free(text);
}

static void nothing_changes_where_memory_ends(void **state)
{
	uint64_t *items = NULL;
	uint64_t *before;
	size_t room = 0;

	(void)state;
	assert_null(VECTOR_ROOM(items, 1, room));
	before = items;
	assert_ptr_equal(VECTOR_ROOM(items, SIZE_MAX / 4, room), &cs_error_no_memory);
	assert_ptr_equal(items, before);
	assert_true(room < 100);
	free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_keeps),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(nothing_changes_where_memory_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
