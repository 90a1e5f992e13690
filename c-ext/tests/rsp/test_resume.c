/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rsp/resume.h"

static void a_resume_is_for_the_threads_that_it_names(void **state)
{
	(void)state;
	assert_true(resume_applies_to("c", "p1.1"));
	assert_true(resume_applies_to("vCont;c", "p1.1"));
	assert_true(resume_applies_to("vCont;s:p1.2;c:p1.-1", "p1.1"));
	assert_false(resume_applies_to("vCont;s:p1.2", "p1.1"));
	assert_true(resume_applies_to("vCont;r1000,1010:p1.2", "p1.2"));
}

static void assert_text(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void a_signal_is_delivered_once(void **state)
{
	(void)state;
	assert_text(resume_repeatable("C05"), "c");
	assert_text(resume_repeatable("vCont;C0e:p1.1;c"), "vCont;c:p1.1;c");
	assert_text(resume_repeatable("vCont;r1000,1010:p1.1;c"), "vCont;r1000,1010:p1.1;c");
	assert_true(resume_carries_signal("vCont;C0e:p1.1;c"));
	assert_false(resume_carries_signal("vCont;c"));
}

static void the_thread_that_steps_is_found(void **state)
{
	char thread[REPLY_THREAD_MAX] = "as it was";

	(void)state;
	assert_false(resume_steps("vCont;c", thread));
	assert_false(resume_steps("c", thread));
	assert_true(resume_steps("vCont;s", thread));
	assert_string_equal(thread, "as it was");
	assert_true(resume_steps("vCont;c:p1.1;r1000,1010:p1.02;c", thread));
	assert_string_equal(thread, "p1.2");
	assert_true(resume_steps("vCont;S05:p1.3;c", thread));
	assert_string_equal(thread, "p1.3");
}

static void ranges_are_found(void **state)
{
	const char *at = "vCont;r1000,1010:p1.1;r2000,2004:p1.2;c";
	uint64_t start;
	uint64_t end;

	(void)state;
	assert_true(resume_next_range(&at, &start, &end));
	assert_int_equal(start, 0x1000);
	assert_int_equal(end, 0x1010);
	assert_true(resume_next_range(&at, &start, &end));
	assert_int_equal(start, 0x2000);
	assert_int_equal(end, 0x2004);
	assert_false(resume_next_range(&at, &start, &end));
}

static void what_is_no_range_is_none(void **state)
{
	static const char *const payloads[] = {"", "c", "vCont;c", "vCont;r", "vCont;r1000", "vCont;r,", "vCont;"};
	uint64_t start;
	uint64_t end;

	(void)state;
	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		const char *at = payloads[i];

		assert_false(resume_next_range(&at, &start, &end));
	}
}

static void ranges_become_steps(void **state)
{
	(void)state;
	assert_text(resume_without_ranges("vCont;r1000,1010:p1.1;c"), "vCont;s:p1.1;c");
	assert_text(resume_without_ranges("vCont;r1000,1010"), "vCont;s");
	assert_text(resume_without_ranges("vCont;r1,2:p1.1;r3,4:p1.2;c:p1.-1"), "vCont;s:p1.1;s:p1.2;c:p1.-1");
	assert_text(resume_without_ranges("vCont;r"), "vCont;s");
	assert_text(resume_without_ranges("vCont;c"), "vCont;c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resume_is_for_the_threads_that_it_names),
		cmocka_unit_test(a_signal_is_delivered_once),
		cmocka_unit_test(the_thread_that_steps_is_found),
		cmocka_unit_test(ranges_are_found),
		cmocka_unit_test(what_is_no_range_is_none),
		cmocka_unit_test(ranges_become_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
