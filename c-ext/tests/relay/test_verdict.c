/* SPDX-License-Identifier: MIT */
/* What is said of a stop, and what is counted and known of the guest beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "relay/guest_state.h"
#include "relay/run_clock.h"
#include "relay/verdict.h"

static void words_are_the_stubs_or_the_relays(void **state)
{
	struct stub_reply reply = {.raw = "T05*\"00", .raw_length = 7, .text = "T05", .length = 3};
	struct verdict verdict = {0};

	(void)state;
	assert_null(verdict_tell(&verdict, &reply));
	assert_int_equal(verdict.kind, VERDICT_TOLD);
	assert_string_equal(verdict.words.text, "T05");
	assert_memory_equal(verdict.words.raw, "T05*\"00", 7);
	verdict.interrupt_crossed = true;
	assert_null(verdict_tell_stop(&verdict, 2, "p1.3"));
	assert_string_equal(verdict.words.text, "T02thread:p1.3;");
	assert_false(verdict.interrupt_crossed); /* of the words before */
	assert_null(verdict_tell_stop(&verdict, 5, ""));
	assert_string_equal(verdict.words.raw, "S05");
	verdict_clear(&verdict);
	assert_int_equal(verdict.kind, VERDICT_NOTHING);
}

static void nobody_sent_an_idle_guest_a_signal(void **state)
{
	struct verdict verdict = {0};

	(void)state;
	assert_null(verdict_tell_stop(&verdict, 2, "1"));
	assert_null(verdict_without_signal(&verdict));
	assert_string_equal(verdict.words.text, "T00thread:1;");
	assert_int_equal(verdict.words.raw_length, strlen("T00thread:1;"));
	verdict_end(&verdict, RELAY_EXITED, "GDB killed the guest");
	assert_int_equal(verdict.kind, VERDICT_ENDED);
	assert_null(verdict.words.text);
	verdict_clear(&verdict);
}

static void a_mark_is_the_next_moment_at_which_the_guest_goes_on(void **state)
{
	struct relay_statistics at;
	struct run_clock clock = {0};
	uint64_t first;

	(void)state;
	run_clock_init(&clock);
	run_clock_begin(&clock);
	first = run_clock_mark(&clock);
	assert_false(run_clock_marked(&clock, first, &at));
	run_clock_end(&clock);
	run_clock_count_passed_on(&clock);
	assert_false(run_clock_marked(&clock, first, &at));
	run_clock_begin(&clock);
	assert_true(run_clock_marked(&clock, first, &at));
	assert_int_equal(at.gdb_stops, 1);
	assert_int_equal(at.resumes, 1);
	for (unsigned i = 0; i < RELAY_MARKS; i++)
		run_clock_mark(&clock);
	assert_false(run_clock_marked(&clock, first, &at)); /* no longer kept */
	run_clock_clear(&clock);
}

static void a_run_has_a_limit_from_when_it_is_set(void **state)
{
	struct relay_statistics now;
	struct run_clock clock = {0};

	(void)state;
	run_clock_init(&clock);
	run_clock_begin(&clock);
	assert_false(run_clock_limit_is_over(&clock));
	run_clock_set_limit(&clock, 1);
	while (!run_clock_limit_is_over(&clock))
		continue;
	run_clock_end(&clock);
	assert_true(run_clock_limit_is_over(&clock));
	run_clock_set_limit(&clock, 1000000000u);
	assert_false(run_clock_limit_is_over(&clock));
	run_clock_set_limit(&clock, 0);
	assert_false(run_clock_limit_is_over(&clock));
	run_clock_restart(&clock);
	run_clock_statistics(&clock, &now);
	assert_int_equal(now.run_ns, 0);
	assert_int_equal(now.resumes, 1);
	run_clock_clear(&clock);
}

static void the_first_reason_for_the_end_counts(void **state)
{
	struct guest_state guest = {0};
	FREE char *none = NULL;
	FREE char *reason = NULL;

	(void)state;
	guest_state_init(&guest);
	none = guest_state_reason(&guest);
	assert_string_equal(none, "");
	guest_state_set(&guest, RELAY_RUNNING);
	guest_state_set(&guest, RELAY_EXITED);
	guest_state_end(&guest, RELAY_CLOSED, "the stub closed the connection");
	assert_int_equal(guest_state_get(&guest), RELAY_EXITED);
	reason = guest_state_reason(&guest);
	assert_string_equal(reason, "the guest ended");
	guest_state_clear(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_the_stubs_or_the_relays),
		cmocka_unit_test(nobody_sent_an_idle_guest_a_signal),
		cmocka_unit_test(a_mark_is_the_next_moment_at_which_the_guest_goes_on),
		cmocka_unit_test(a_run_has_a_limit_from_when_it_is_set),
		cmocka_unit_test(the_first_reason_for_the_end_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
