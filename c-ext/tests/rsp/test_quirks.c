/* SPDX-License-Identifier: MIT */
/* What a stub offers tells which quirks it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rsp/quirks.h"
#include "rsp/stub.h"

static struct stub stub_with(struct stub_feature *features, size_t count)
{
	struct stub stub = {.features = features, .feature_count = count};

	quirks_recognise(&stub);
	return stub;
}

static void features_tell(void **state)
{
	struct stub_feature backwards[] = {{"ReverseContinue", "+"}, {"swbreak", "+"}};
	struct stub_feature forwards[] = {{"ReverseStep", "-"}, {"swbreak", "-"}};
	struct stub both = stub_with(backwards, 2), neither = stub_with(forwards, 2);

	(void)state;
	assert_true(quirks_have(&both, QUIRK_GOES_BACKWARDS));
	assert_false(quirks_have(&both, QUIRK_NO_REASONS));
	assert_false(quirks_have(&neither, QUIRK_GOES_BACKWARDS));
	assert_true(quirks_have(&neither, QUIRK_NO_REASONS));
	assert_false(quirks_have(&neither, QUIRK_NO_VCONT));
	quirks_note(&neither, QUIRK_NO_VCONT);
	assert_true(quirks_have(&neither, QUIRK_NO_VCONT));
}

static void each_that_is_asked_for_stands_in_the_table(void **state)
{
	unsigned found[QUIRK_COUNT] = {0};

	(void)state;
	for (size_t i = 0; i < quirk_count; i++)
		found[quirks[i].id]++;
	for (unsigned id = QUIRK_UNNAMED + 1; id < QUIRK_COUNT; id++)
		assert_int_equal(found[id], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_tell),
		cmocka_unit_test(each_that_is_asked_for_stands_in_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
