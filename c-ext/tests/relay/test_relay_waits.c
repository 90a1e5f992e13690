/* SPDX-License-Identifier: MIT */
/* Nothing that the relay does waits without end. */
#include "support/relay_fixture.h"

static void calls_do_not_wait_for_what_gdb_never_gets(void **state)
{
	static const struct peer_answer answers[] = {{"qNever", NULL}, {NULL, NULL}};
	struct test *test = *state;
	struct relay *relay;
	CLOSE int gdb = -1;
	uint64_t began;

	test->peer.answers = answers;
	relay = attach(test);
	gdb = debugger(relay);
	tell(gdb, "qNever");
	assert_true(peer_sees(&test->peer, "qNever"));
	began = util_now_ns();
	fails(call(relay), CS_ERROR_CLOSED, "does not answer GDB's last request");
	assert_true(util_now_ns() - began < LONG_MS * 1000000u);
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
}

static void nor_for_a_stub_that_is_gone_in_mid_request(void **state)
{
	static const struct peer_answer answers[] = {{"qNever", NULL}, {NULL, NULL}};
	struct test *test = *state;
	struct relay *relay;
	CLOSE int gdb = -1;

	test->peer.answers = answers;
	relay = attach(test);
	gdb = debugger(relay);
	tell(gdb, "qNever");
	assert_true(peer_sees(&test->peer, "qNever"));
	peer_hang_up(&test->peer);
	hears(gdb, "(closed)");
	fails(call(relay), CS_ERROR_CLOSED, "the stub closed the connection");
	fails(call(relay), CS_ERROR_CLOSED, "the stub closed the connection");
}

/* GDB has a breakpoint, and has just been told of a stop. */
static int judging_debugger(struct relay *relay)
{
	int gdb = debugger(relay);

	tell(gdb, "Z0,2000,1");
	hears(gdb, "OK");
	tell(gdb, "vCont;c");
	hears(gdb, "T05thread:1;");
	return gdb;
}

/* GDB, which may be looking at the stop, learns of it when it resumes. */
static void a_guest_that_is_lost_then_is_lost_when_it_is_resumed(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	CLOSE int gdb = judging_debugger(relay);

	peer_hang_up(&test->peer);
	tell(gdb, "m1000,8");
	hears(gdb, "E01");
	tell(gdb, "z0,2000,1");
	hears(gdb, "OK");
	tell(gdb, "vCont;c");
	hears(gdb, "(closed)");
}

static void or_after_a_while(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	CLOSE int gdb = judging_debugger(relay);

	peer_hang_up(&test->peer);
	hears(gdb, "(closed)");
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
}

/* Before GDB tells its user of a stop it lifts its breakpoints. */
static void once_the_user_was_told_gdb_learns_of_it_at_once(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	CLOSE int gdb = judging_debugger(relay);

	tell(gdb, "z0,2000,1");
	hears(gdb, "OK");
	peer_hang_up(&test->peer);
	tell(gdb, "m1000,8");
	hears(gdb, "(closed)");
}

static void a_debugger_that_reads_nothing_is_let_go(void **state)
{
	struct relay *relay = attach(*state);
	CLOSE int gdb = debugger(relay);
	uint64_t began = util_now_ns();

	fcntl(gdb, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 100000 && send(gdb, "$g#67", 5, MSG_NOSIGNAL) == 5;)
		i++;
	/* Now both sockets are full, or the relay has let go: it listens again in any case. */
	while (call(relay) || util_now_ns() - began < TIMEOUT_MS * 2000000u)
		assert_true(util_now_ns() - began < LONG_MS * 1000000u);
	gdb = (close(gdb), debugger(relay));
	tell(gdb, "?");
	hears(gdb, "T05thread:1;");
}

static void a_stub_that_floods_does_not_hold_the_relay(void **state)
{
	struct test *test = *state;
	struct relay *relay;
	uint64_t began = util_now_ns();

	test->peer.floods = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	fails(call(relay), CS_ERROR_STATE, "running");
	relay_stop(relay);
	assert_true(util_now_ns() - began < LONG_MS * 1000000u);
}

static void guest_time_ends_with_the_connection(void **state)
{
	struct test *test = *state;
	struct relay *relay;
	const struct timespec pause = {.tv_nsec = 20000000};
	uint64_t ran;
	char *stop;

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	peer_hang_up(&test->peer);
	fails(relay_wait(relay, LONG_MS, &stop), CS_ERROR_CLOSED, "the stub closed the connection");
	ran = relay_run_ns(relay);
	nanosleep(&pause, NULL);
	assert_true(relay_run_ns(relay) == ran);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_do_not_wait_for_what_gdb_never_gets),
		TEST(nor_for_a_stub_that_is_gone_in_mid_request),
		TEST(a_guest_that_is_lost_then_is_lost_when_it_is_resumed),
		TEST(or_after_a_while),
		TEST(once_the_user_was_told_gdb_learns_of_it_at_once),
		TEST(a_debugger_that_reads_nothing_is_let_go),
		TEST(a_stub_that_floods_does_not_hold_the_relay),
		TEST(guest_time_ends_with_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
