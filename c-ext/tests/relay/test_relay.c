/* SPDX-License-Identifier: MIT */
/*
 * The relay seen from C: its thread, and the calls into it. What each kind of stub and GDB make of it is in
 * plugin/tests/relay.
 */
#include "support/relay_fixture.h"

/* --- Starting and ending --- */

static void socket_is_private_and_goes_away(void **state)
{
	struct relay *relay = attach(*state);
	FREE char *path = strdup(relay_socket_path(relay));
	struct stat status;

	assert_int_equal(relay_state(relay), RELAY_STOPPED);
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	*strrchr(path, '/') = '\0';
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	relay_destroy(relay);
	((struct test *)*state)->relay = NULL;
	assert_int_equal(stat(path, &status), -1);
	relay_destroy(NULL);
}

static void stopping_twice_and_asking_after(void **state)
{
	struct relay *relay = attach(*state);
	struct probe probe = {.address = {0x2000}};
	FREE char *reason = NULL;

	succeeds(call(relay));
	relay_stop(relay);
	relay_stop(relay);
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
	reason = relay_reason(relay);
	assert_string_equal(reason, "the connection was closed");
	fails(call(relay), CS_ERROR_CLOSED, "closed");
	fails(relay_add_probe(relay, &probe), CS_ERROR_CLOSED, "closed");
	fails(relay_resume(relay, NULL), CS_ERROR_CLOSED, "closed");
	fails(relay_interrupt(relay), CS_ERROR_CLOSED, "closed");
	fails(relay_detach(relay), CS_ERROR_CLOSED, "closed");
}

static void a_stub_that_never_answers(void **state)
{
	static const struct peer_answer answers[] = {{"qSupported", NULL}, {NULL, NULL}};
	struct test *test = *state;
	uint64_t began = util_now_ns();
	struct relay *relay = NULL;

	test->peer.answers = answers;
	fails(relay_create(test->peer.path, LONG_MS, TIMEOUT_MS, NULL, &relay), CS_ERROR_TIMEOUT, "no answer");
	assert_null(relay);
	assert_true(util_now_ns() - began < LONG_MS * 1000000u);
}

static bool at_once(void)
{
	return true;
}

static void attaching_can_be_given_up(void **state)
{
	static const struct peer_answer answers[] = {{"qSupported", NULL}, {NULL, NULL}};
	struct test *test = *state;
	uint64_t began = util_now_ns();
	struct relay *relay = NULL;

	test->peer.answers = answers;
	fails(relay_create(test->peer.path, 60000, 60000, at_once, &relay), CS_ERROR_TIMEOUT, "interrupted");
	assert_true(util_now_ns() - began < LONG_MS * 1000000u);
}

static void an_address_where_nothing_listens(void **state)
{
	struct relay *relay = NULL;

	(void)state;
	fails(relay_create("/nonexistent/stub", LONG_MS, LONG_MS, NULL, &relay), CS_ERROR_CONNECT, "/nonexistent/stub");
	assert_null(relay);
}

/* --- Running without GDB --- */

static void a_guest_runs_to_its_end(void **state)
{
	struct relay *relay = attach(*state);

	succeeds(relay_resume(relay, NULL));
	stops_with(relay, "W00");
	assert_int_equal(relay_state(relay), RELAY_EXITED);
	fails(call(relay), CS_ERROR_STATE, "ended");
}

static void a_running_guest_is_asked_nothing(void **state)
{
	struct test *test = *state;
	struct relay *relay;
	struct relay_statistics statistics;
	FREE char *stop = NULL;

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	assert_int_equal(relay_state(relay), RELAY_RUNNING);
	fails(call(relay), CS_ERROR_STATE, "interrupt it first");
	succeeds(relay_wait(relay, 30, &stop));
	assert_null(stop);
	succeeds(relay_interrupt(relay));
	stops_with(relay, "T02thread:1;");
	succeeds(relay_interrupt(relay)); /* of a guest that stands: nothing to do */
	succeeds(call(relay));
	relay_get_statistics(relay, &statistics);
	assert_true(statistics.run_ns >= 30000000);
	assert_true(statistics.run_ns == relay_run_ns(relay)); /* it stands, and so does its time */
	assert_int_equal(statistics.own_stops, 0);
}

static void an_idle_guest_is_interrupted(void **state)
{
	struct test *test = *state;
	struct relay *relay;

	test->peer.runs_on = true;
	relay = attach(test);
	relay_set_idle_limit(relay, 100000000);
	succeeds(relay_resume(relay, NULL));
	assert_false(relay_idle_reached(relay));
	stops_with(relay, "T00thread:1;"); /* nobody sent it a SIGINT */
	assert_true(relay_idle_reached(relay));
	succeeds(relay_resume(relay, NULL));
	assert_false(relay_idle_reached(relay));
}

static void detaching_lifts_the_probes_first(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	struct probe probe = {.address = {0x2000}};
	FREE char *reason = NULL;

	succeeds(relay_add_probe(relay, &probe));
	succeeds(relay_detach(relay));
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
	reason = relay_reason(relay);
	assert_string_equal(reason, "detached; the guest runs on");
	assert_non_null(strstr(test->peer.log, "z0,2000,1 D "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(socket_is_private_and_goes_away),  TEST(stopping_twice_and_asking_after),
		TEST(a_stub_that_never_answers),        TEST(attaching_can_be_given_up),
		TEST(an_address_where_nothing_listens), TEST(a_guest_runs_to_its_end),
		TEST(a_running_guest_is_asked_nothing), TEST(an_idle_guest_is_interrupted),
		TEST(detaching_lifts_the_probes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
