/* SPDX-License-Identifier: MIT */
/* Libraries of another version than the core was compiled for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/libraries.h"
#include "base/util.h"

static void the_same_or_a_newer_minor_version_is_right(void **state)
{
	(void)state;
	assert_null(libraries_compare("capstone", 4000, 4000));
	assert_null(libraries_compare("capstone", 3040, 3046));
	assert_null(libraries_check());
}

static void another_major_or_an_older_version_is_refused(void **state)
{
	static const struct {
		unsigned compiled, running;
		const char *said;
	} cases[] = {
		{4000, 5000, "it was built for capstone 4.0, and 5.0 is here"},
		{5000, 4000, "it was built for capstone 5.0, and 4.0 is here"},
		{5001, 5000, "it was built for capstone 5.1, and 5.0 is here"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cs_error *error = libraries_compare("capstone", cases[i].compiled, cases[i].running);

		assert_int_equal(error->code, CS_ERROR_STATE);
		assert_string_equal(error->message, cases[i].said);
		cs_error_destroy(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_or_a_newer_minor_version_is_right),
		cmocka_unit_test(another_major_or_an_older_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
