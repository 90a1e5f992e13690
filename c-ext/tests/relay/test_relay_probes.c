/* SPDX-License-Identifier: MIT */
/* The relay's probes seen from C, and a debugger beside them. */
#include "support/relay_fixture.h"

/* --- Probes --- */

struct counting {
	struct probe probe;
	struct relay *relay;
	unsigned hits;
	uint64_t pc;
	struct probe *then; /* planted at the first hit; this one is lifted */
};

static void count(struct probe *probe, const struct probe_hit *hit)
{
	struct counting *counting = (struct counting *)probe;

	counting->hits++;
	counting->pc = target_value(target_find(hit->stub->target, "rip"), hit->registers, hit->registers_size);
	if (counting->then) {
		assert_null(relay_defer(counting->relay, counting->then, true));
		assert_null(relay_defer(counting->relay, probe, false));
	}
}

static void probes_are_hit_and_nobody_else_sees_it(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	struct counting first = {.probe = {.address = {0x2000}, .hit = count}};
	struct counting second = {.probe = {.address = {0x2000}, .hit = count}};
	struct counting never = {.probe = {.address = {0x9000}, .hit = count}};
	struct relay_statistics statistics;

	succeeds(relay_add_probe(relay, &first.probe));
	succeeds(relay_add_probe(relay, &second.probe));
	succeeds(relay_add_probe(relay, &never.probe));
	succeeds(relay_resume(relay, NULL));
	stops_with(relay, "W00");
	assert_int_equal(first.hits, 3);
	assert_int_equal(second.hits, 3);
	assert_int_equal(never.hits, 0);
	assert_true(first.pc == 0x2000);
	relay_get_statistics(relay, &statistics);
	assert_int_equal(statistics.own_stops, 3);
	assert_int_equal(statistics.gdb_stops, 0);
	assert_int_equal(statistics.probes, 3);
}

static size_t occurrences(const struct peer *peer, const char *text)
{
	size_t n = 0;

	for (const char *at = peer->log; (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

static void two_probes_at_an_address_are_one_breakpoint(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	struct probe first = {.address = {0x2000}};
	struct probe second = {.address = {0x2000}};

	succeeds(relay_add_probe(relay, &first));
	succeeds(relay_add_probe(relay, &second));
	assert_int_equal(occurrences(&test->peer, "Z0,2000,1 "), 1);
	succeeds(relay_remove_probe(relay, &first));
	assert_int_equal(occurrences(&test->peer, "z0,2000,1 "), 0);
	succeeds(relay_remove_probe(relay, &second));
	succeeds(relay_remove_probe(relay, &second)); /* it is not there any more */
	assert_int_equal(occurrences(&test->peer, "z0,2000,1 "), 1);
}

static void a_probe_that_the_stub_refuses(void **state)
{
	static const struct peer_answer answers[] = {{"Z", "E22"}, {NULL, NULL}};
	struct test *test = *state;
	struct relay *relay;
	struct probe probe = {.address = {0x2000}};
	struct relay_statistics statistics;

	test->peer.answers = answers;
	relay = attach(test);
	fails(relay_add_probe(relay, &probe), CS_ERROR_REFUSED, "Z1,2000,1"); /* the last resort */
	assert_non_null(strstr(test->peer.log, "Z0,2000,1 Z1,2000,1 "));
	relay_get_statistics(relay, &statistics);
	assert_int_equal(statistics.probes, 0);
}

static void probes_change_what_is_planted_for_the_rest_of_the_run(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	struct counting later = {.probe = {.address = {0x3000}, .hit = count}};
	struct counting once = {.probe = {.address = {0x2000}, .hit = count}, .relay = relay, .then = &later.probe};

	succeeds(relay_add_probe(relay, &once.probe));
	succeeds(relay_resume(relay, NULL));
	stops_with(relay, "W00");
	assert_int_equal(once.hits, 1);
	assert_int_equal(later.hits, 1);
	assert_int_equal(once.probe.type, 0);
}

/* The stub may start another guest, in which a released probe must not be hit. */
static void probes_are_removed_from_a_guest_that_has_ended(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	struct counting counting = {.probe = {.address = {0x2000}, .hit = count}};
	struct relay_statistics statistics;

	succeeds(relay_add_probe(relay, &counting.probe));
	succeeds(relay_resume(relay, NULL));
	stops_with(relay, "W00");
	succeeds(relay_remove_probe(relay, &counting.probe));
	relay_get_statistics(relay, &statistics);
	assert_int_equal(statistics.probes, 0);
	assert_false(peer_has_seen(&test->peer, "z0,2000,1"));
}

/* Its owner is free to go all the same, and GDB is told of no stop there. */
static void a_probe_that_the_stub_cannot_lift(void **state)
{
	static const struct peer_answer answers[] = {{"z", "E01"}, {NULL, NULL}};
	struct test *test = *state;
	struct counting *counting = calloc(1, sizeof(*counting));
	struct counting again = {.probe = {.address = {0x2000}, .hit = count}};
	struct relay *relay;

	test->peer.answers = answers;
	relay = attach(test);
	assert_non_null(counting);
	counting->probe = (struct probe){.address = {0x2000}, .hit = count};
	succeeds(relay_add_probe(relay, &counting->probe));
	succeeds(relay_remove_probe(relay, &counting->probe));
	free(counting);
	succeeds(relay_add_probe(relay, &again.probe));
	succeeds(relay_resume(relay, NULL));
	stops_with(relay, "W00");
	assert_int_equal(again.hits, 3);
	assert_int_equal(occurrences(&test->peer, "Z0,2000,1 "), 1);
}

/* Where a stop cannot be judged, it is told all the same: somebody waits for it. */
static void a_stop_is_told_though_the_stub_refuses_its_registers(void **state)
{
	static const struct peer_answer answers[] = {{"g", "E01"}, {NULL, NULL}};
	struct test *test = *state;
	struct relay *relay;
	struct counting counting = {.probe = {.address = {0x2000}, .hit = count}};

	test->peer.answers = answers;
	relay = attach(test);
	succeeds(relay_add_probe(relay, &counting.probe));
	succeeds(relay_resume(relay, "vCont;C05")); /* with a signal: nothing is read beforehand */
	stops_with(relay, "T05thread:1;");
	assert_int_equal(counting.hits, 0);
}

/* --- Beside a debugger --- */

static void a_breakpoint_of_both_stays_until_both_let_go(void **state)
{
	struct test *test = *state;
	struct relay *relay = attach(test);
	CLOSE int gdb = debugger(relay);
	struct counting counting = {.probe = {.address = {0x2000}, .hit = count}};

	tell(gdb, "qSupported:swbreak+");
	hears(gdb, "PacketSize=1000;QStartNoAckMode+");
	tell(gdb, "QStartNoAckMode");
	hears(gdb, "OK");
	succeeds(relay_add_probe(relay, &counting.probe));
	tell(gdb, "Z0,2000,1");
	hears(gdb, "OK");
	tell(gdb, "vCont;c");
	hears(gdb, "T05thread:1;");
	assert_int_equal(counting.hits, 1);
	tell(gdb, "z0,2000,1");
	hears(gdb, "OK");
	assert_false(peer_has_seen(&test->peer, "z0,2000,1"));
	tell(gdb, "vCont;c");
	hears(gdb, "W00");
	assert_int_equal(counting.hits, 3);
}

static void a_debugger_finds_a_running_guest_standing(void **state)
{
	struct test *test = *state;
	struct relay *relay;
	CLOSE int gdb = -1;

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	gdb = debugger(relay);
	tell(gdb, "qSupported");
	hears(gdb, "PacketSize=1000;QStartNoAckMode+");
	tell(gdb, "?");
	hears(gdb, "T02thread:1;");
	assert_true(peer_has_seen(&test->peer, "^C"));
	fails(relay_resume(relay, NULL), CS_ERROR_STATE, "GDB drives this guest");
}

static void a_debugger_that_kills(void **state)
{
	static const struct peer_answer silence[] = {{"k", NULL}, {NULL, NULL}};
	struct test *test = *state;
	struct relay *relay = attach(test);
	CLOSE int gdb = debugger(relay);
	FREE char *reason = NULL;

	test->peer.answers = silence;
	tell(gdb, "k");
	assert_true(peer_sees(&test->peer, "k"));
	peer_hang_up(&test->peer);
	hears(gdb, "(closed)");
	assert_int_equal(relay_state(relay), RELAY_EXITED);
	reason = relay_reason(relay);
	assert_string_equal(reason, "GDB killed the guest");
}

static void a_second_debugger_is_turned_away(void **state)
{
	struct relay *relay = attach(*state);
	CLOSE int first = debugger(relay);
	CLOSE int second = -1;

	tell(first, "?");
	hears(first, "T05thread:1;");
	second = debugger(relay);
	hears(second, "(closed)");
	tell(first, "?");
	hears(first, "T05thread:1;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(probes_are_hit_and_nobody_else_sees_it),
		TEST(two_probes_at_an_address_are_one_breakpoint),
		TEST(a_probe_that_the_stub_refuses),
		TEST(probes_change_what_is_planted_for_the_rest_of_the_run),
		TEST(probes_are_removed_from_a_guest_that_has_ended),
		TEST(a_probe_that_the_stub_cannot_lift),
		TEST(a_stop_is_told_though_the_stub_refuses_its_registers),
		TEST(a_breakpoint_of_both_stays_until_both_let_go),
		TEST(a_debugger_finds_a_running_guest_standing),
		TEST(a_debugger_that_kills),
		TEST(a_second_debugger_is_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
