/* SPDX-License-Identifier: MIT */
/* What is planted in a guest, whoever wants it there: what the stub is told, and what it need not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/planting.h"
#include "rsp/handshake.h"
#include "support/expect.h"
#include "support/peer.h"

static const uint64_t walk[] = {0x1000, 0};

struct test {
	struct peer peer;
	struct guest_state state;
	struct run_clock clock;
	struct guest guest;
	struct planting planting;
};

static int set_up(void **state)
{
	struct test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	test->peer.walk = walk;
	peer_start(&test->peer);
	guest_state_init(&test->state);
	run_clock_init(&test->clock);
	test->guest.state = &test->state;
	test->guest.clock = &test->clock;
	test->planting.guest = &test->guest;
	succeeds(stub_connect(test->peer.path, -1, 5000, 300, &test->guest.stub));
	succeeds(handshake(test->guest.stub));
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;

	planting_clear(&test->planting);
	stub_destroy(test->guest.stub);
	run_clock_clear(&test->clock);
	guest_state_clear(&test->state);
	peer_stop(&test->peer);
	free(test);
	return 0;
}

/* How many such requests have arrived. */
static size_t count(struct test *test, const char *request)
{
	size_t n = 0;

	pthread_mutex_lock(&test->peer.lock);
	for (const char *at = test->peer.log; (at = strstr(at, request)); at++)
		n++;
	pthread_mutex_unlock(&test->peer.lock);
	return n;
}

static void one_of_both_is_told_to_the_stub_once(void **state)
{
	struct planting *planting = &((struct test *)*state)->planting;
	bool refused;

	succeeds(planting_note_of_gdb(planting, '0', 0x2000, true));
	succeeds(planting_add_own(planting, '0', 0x2000));
	assert_int_equal(count(*state, "Z0,2000"), 0); /* GDB's is there */
	assert_true(planting_holds(planting, '0', 0x2000));
	assert_true(planting_of_gdb_at(planting, 0x2000));
	succeeds(planting_lift_own(planting, '0', 0x2000, &refused));
	assert_false(refused);
	assert_int_equal(count(*state, "z0,2000"), 0); /* GDB still wants it */
	succeeds(planting_note_of_gdb(planting, '0', 0x2000, false));
	succeeds(planting_lift_own(planting, '0', 0x2000, &refused));
	assert_int_equal(count(*state, "z0,2000"), 1);
	planting_drop_own(planting, '0', 0x2000);
	assert_true(planting_is_empty(planting));
}

static void a_guest_that_has_ended_has_none(void **state)
{
	struct test *test = *state;
	bool refused;

	succeeds(planting_add_own(&test->planting, '0', 0x2000));
	assert_int_equal(count(test, "Z0,2000"), 1);
	guest_state_set(&test->state, RELAY_EXITED);
	succeeds(planting_lift_own(&test->planting, '0', 0x2000, &refused));
	assert_int_equal(count(test, "z0,2000"), 0);
}

static void all_are_lifted_once_and_come_back(void **state)
{
	struct planting *planting = &((struct test *)*state)->planting;

	succeeds(planting_add_own(planting, '0', 0x2000));
	succeeds(planting_note_of_gdb(planting, '0', 0x3000, true));
	succeeds(planting_lift_all(planting));
	succeeds(planting_lift_all(planting));
	assert_int_equal(count(*state, "z0,2000"), 1);
	assert_int_equal(count(*state, "z0,3000"), 0);
	assert_false(planting_holds(planting, '0', 0x2000)); /* so GDB's must go to the stub */
	succeeds(planting_add_own(planting, '0', 0x4000));
	assert_int_equal(count(*state, "Z0,4000"), 0);
	succeeds(planting_replant(planting));
	assert_int_equal(count(*state, "Z0,2000"), 2);
	assert_int_equal(count(*state, "Z0,4000"), 1);
	succeeds(planting_replant(planting));
	assert_int_equal(count(*state, "Z0,2000"), 2);
}

static void one_is_lifted_for_a_step_unless_it_goes_meanwhile(void **state)
{
	struct planting *planting = &((struct test *)*state)->planting;

	succeeds(planting_add_own(planting, '1', 0x2000));
	succeeds(planting_lift_for_step(planting, '1', 0x2000));
	succeeds(planting_replant(planting));
	assert_int_equal(count(*state, "Z1,2000"), 2);
	succeeds(planting_lift_for_step(planting, '1', 0x2000));
	planting_drop_own(planting, '1', 0x2000);
	succeeds(planting_replant(planting));
	assert_int_equal(count(*state, "Z1,2000"), 2);
}

static void what_a_debugger_left_is_buried_and_the_relays_stays(void **state)
{
	struct planting *planting = &((struct test *)*state)->planting;
	const struct watchpoint watched = {'2', 0x5000, 8};

	succeeds(planting_add_own(planting, '0', 0x2000));
	succeeds(planting_note_of_gdb(planting, '0', 0x2000, true));
	succeeds(planting_note_of_gdb(planting, '0', 0x3000, true));
	succeeds(planting_note_watchpoint(planting, &watched, true));
	succeeds(planting_bury(planting));
	assert_int_equal(count(*state, "z0,2000"), 0);
	assert_int_equal(count(*state, "z0,3000"), 1);
	assert_int_equal(count(*state, "z2,5000"), 1);
	assert_false(planting_is_empty(planting));
	succeeds(planting_lift_everything(planting));
	assert_int_equal(count(*state, "z0,2000"), 1);
}

/* GDB takes its own out before it says that the guest stands. */
static void where_the_guest_stood_is_known_until_it_goes_on(void **state)
{
	struct planting *planting = &((struct test *)*state)->planting;

	succeeds(planting_note_of_gdb(planting, '0', 0x3000, true));
	succeeds(planting_note_of_gdb(planting, '1', 0x3000, true));
	assert_int_equal(planting_here(planting, 0x3000), '1');
	planting_note_stop(planting, true);
	succeeds(planting_note_of_gdb(planting, '0', 0x3000, false));
	succeeds(planting_note_of_gdb(planting, '1', 0x3000, false));
	assert_int_equal(planting_here(planting, 0x3000), '1');
	planting_note_resume(planting);
	assert_int_equal(planting_here(planting, 0x3000), 0);
	succeeds(planting_note_of_gdb(planting, '0', 0x3000, true));
	planting_note_stop(planting, false);
	succeeds(planting_note_of_gdb(planting, '0', 0x3000, false));
	assert_int_equal(planting_here(planting, 0x3000), 0);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_of_both_is_told_to_the_stub_once),
		TEST(a_guest_that_has_ended_has_none),
		TEST(all_are_lifted_once_and_come_back),
		TEST(one_is_lifted_for_a_step_unless_it_goes_meanwhile),
		TEST(what_a_debugger_left_is_buried_and_the_relays_stays),
		TEST(where_the_guest_stood_is_known_until_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
