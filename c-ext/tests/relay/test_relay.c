/* SPDX-License-Identifier: MIT */
/*
 * The relay seen from C: its thread, the calls into it, and that nothing waits without end. What each kind of
 * stub and GDB make of it is in plugin/tests/test_relay_*.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "relay/relay.h"
#include "support/expect.h"
#include "support/peer.h"

#define TIMEOUT_MS 300 /* of a request: what some tests have to wait for */
#define LONG_MS 5000   /* what none waits for unless it fails */

static const uint64_t walk[] = {0x1000, 0x2000, 0x1004, 0x2000, 0x1008, 0x2000, 0x3000, 0};

struct test {
	struct peer peer;
	struct relay *relay;
};

static int set_up(void **state)
{
	struct test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	test->peer.walk = walk;
	peer_start(&test->peer);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;

	relay_destroy(test->relay);
	peer_stop(&test->peer);
	free(test);
	return 0;
}

static struct relay *attach(struct test *test)
{
	succeeds(relay_create(test->peer.path, LONG_MS, TIMEOUT_MS, NULL, &test->relay));
	return test->relay;
}

static void stops_with(struct relay *relay, const char *expected)
{
	FREE char *stop = NULL;

	succeeds(relay_wait(relay, LONG_MS, &stop));
	assert_string_equal(stop ? stop : "(none)", expected);
}

static struct cs_error *nothing(struct stub *stub, void *context)
{
	(void)stub;
	++*(int *)context;
	return NULL;
}

static struct cs_error *call(struct relay *relay)
{
	int called = 0;
	struct cs_error *error = relay_call(relay, nothing, &called);

	assert_int_equal(called, !error);
	return error;
}

/* --- A debugger --- */

/* Connects in GDB's place, and says that it does without acknowledgements. */
static int debugger(struct relay *relay)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", relay_socket_path(relay));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void tell(int fd, const char *payload)
{
	FREE char *frame = NULL;
	size_t length;

	assert_null(packet_frame(payload, strlen(payload), &frame, &length));
	/* The relay may have closed the connection already. */
	assert_true(send(fd, frame, length, MSG_NOSIGNAL) == (ssize_t)length || errno == EPIPE);
}

/* The next payload; "(closed)" at the end. */
static void hears(int fd, const char *expected)
{
	char text[1024] = "";
	size_t n = 0;
	struct pollfd at = {.fd = fd, .events = POLLIN};

	/* A byte at a time: what follows belongs to the next question. */
	while (poll(&at, 1, LONG_MS) == 1 && recv(fd, text + n, 1, 0) == 1 && n < sizeof(text) - 1) {
		if (text[0] == '$')
			n++;
		if (n > 3 && text[n - 3] == '#') {
			text[n - 3] = '\0';
			assert_string_equal(text + 1, expected);
			return;
		}
	}
	assert_string_equal("(closed)", expected);
}

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
	struct probe probe = {.address = 0x2000};
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
	struct probe probe = {.address = 0x2000};
	FREE char *reason = NULL;

	succeeds(relay_add_probe(relay, &probe));
	succeeds(relay_detach(relay));
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
	reason = relay_reason(relay);
	assert_string_equal(reason, "detached; the guest runs on");
	assert_non_null(strstr(test->peer.log, "z0,2000,1 D "));
}

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
	struct counting first = {.probe = {.address = 0x2000, .hit = count}};
	struct counting second = {.probe = {.address = 0x2000, .hit = count}};
	struct counting never = {.probe = {.address = 0x9000, .hit = count}};
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
	struct probe first = {.address = 0x2000};
	struct probe second = {.address = 0x2000};

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
	struct probe probe = {.address = 0x2000};
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
	struct counting later = {.probe = {.address = 0x3000, .hit = count}};
	struct counting once = {.probe = {.address = 0x2000, .hit = count}, .relay = relay, .then = &later.probe};

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
	struct counting counting = {.probe = {.address = 0x2000, .hit = count}};
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
	struct counting again = {.probe = {.address = 0x2000, .hit = count}};
	struct relay *relay;

	test->peer.answers = answers;
	relay = attach(test);
	assert_non_null(counting);
	counting->probe = (struct probe){.address = 0x2000, .hit = count};
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
	struct counting counting = {.probe = {.address = 0x2000, .hit = count}};

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
	struct counting counting = {.probe = {.address = 0x2000, .hit = count}};

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

/* --- Nothing waits without end --- */

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

/* --- From several threads --- */

static void *keep_calling(void *context)
{
	struct cs_error *error;

	while (!(error = call(context)))
		;
	assert_int_equal(error->code, CS_ERROR_CLOSED);
	cs_error_destroy(error);
	return NULL;
}

static void calls_of_all_threads_return_when_the_relay_stops(void **state)
{
	struct relay *relay = attach(*state);
	const struct timespec pause = {.tv_nsec = 20000000};
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_calling, relay), 0);
	nanosleep(&pause, NULL);
	relay_stop(relay);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void tick(void *context)
{
	++*(int *)context;
}

static void ticks_come_while_the_guest_runs_and_at_the_end(void **state)
{
	struct test *test = *state;
	struct relay *relay;
	FREE char *stop = NULL;
	int ticks = 0;
	int others = 0;
	struct relay_tick one = {.call = tick, .context = &ticks};
	struct relay_tick other = {.call = tick, .context = &others};

	test->peer.runs_on = true;
	relay = attach(test);
	relay_add_tick(relay, &other);
	relay_add_tick(relay, &one);
	succeeds(relay_resume(relay, NULL));
	succeeds(relay_wait(relay, 350, &stop));
	relay_remove_tick(relay, &one);
	relay_remove_tick(relay, &one);
	assert_in_range(ticks, 1, 4);
	assert_in_range(others, ticks, 5);
	ticks = 0;
	others = 0;
	relay_stop(relay);
	assert_in_range(others, 1, 2);
	assert_int_equal(ticks, 0);
}

static void *waits(void *context)
{
	FREE char *stop = NULL;
	struct cs_error *error = relay_wait(context, 60000, &stop);

	return error;
}

static void stopped_beside_those_who_wait(void **state)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	struct test *test = *state;
	struct relay *relay;
	pthread_t waiting[3];

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(pthread_create(&waiting[i], NULL, waits, relay), 0);
	nanosleep(&pause, NULL);
	relay_stop(relay);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		void *error = NULL;

		pthread_join(waiting[i], &error);
		fails(error, CS_ERROR_CLOSED, "closed");
	}
}

static void *stops(void *context)
{
	relay_stop(context);
	return NULL;
}

static void several_stop_it_at_once(void **state)
{
	struct relay *relay = attach(*state);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, stops, relay), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(relay_state(relay), RELAY_CLOSED);
}

struct owner {
	struct relay_retired retired;
	struct probe probe;
	int released;
};

static void release_owner(void *context)
{
	++((struct owner *)context)->released;
}

static void visit_owner(void *context, probe_visitor *visit, void *argument)
{
	visit(argument, &((struct owner *)context)->probe);
}

/* What probes belong to outlives them, however its owner, the relay and the guest end. */
static void what_is_planted_is_released_with_the_relay(void **state)
{
	struct owner owner = {.retired = {release_owner, &owner, NULL}, .probe = {.address = 0x9000}};
	struct relay_statistics statistics;
	struct test *test = *state;
	struct relay *relay;

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_add_probe(relay, &owner.probe));
	succeeds(relay_add_probe(relay, &owner.probe)); /* lifted once all the same */
	succeeds(relay_remove_probe(relay, &owner.probe));
	relay_get_statistics(relay, &statistics);
	assert_int_equal(statistics.probes, 0);
	succeeds(relay_add_probe(relay, &owner.probe));
	relay_retire(relay_hold(relay), false, &owner.retired);
	assert_int_equal(owner.released, 1);
	succeeds(relay_resume(relay, NULL));
	fails(relay_remove_probes(relay, visit_owner, &owner), CS_ERROR_STATE, "running");
	relay_retire(relay_hold(relay), true, &owner.retired);
	assert_int_equal(owner.released, 1);
	relay_stop(relay);
	assert_int_equal(owner.released, 2);
	succeeds(relay_remove_probes(relay, visit_owner, &owner));
	relay_retire(relay_hold(relay), true, &owner.retired);
	assert_int_equal(owner.released, 3);
}

static void the_last_reference_ends_it(void **state)
{
	struct owner owner = {.retired = {release_owner, &owner, NULL}};
	struct test *test = *state;
	struct relay *relay;

	test->peer.runs_on = true;
	relay = attach(test);
	succeeds(relay_resume(relay, NULL));
	relay_hold(relay);
	relay_destroy(relay);
	assert_int_equal(relay_state(relay), RELAY_RUNNING);
	test->relay = NULL;
	relay_retire(relay, true, &owner.retired); /* gives the last one back */
	assert_int_equal(owner.released, 1);
}

/* Without its thread, and perhaps with locks that nobody gives back. */
static void a_child_by_fork_leaves_the_guest_alone(void **state)
{
	struct relay *relay = attach(*state);
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		struct cs_error *error = call(relay);
		bool closed = error && error->code == CS_ERROR_CLOSED && relay_state(relay) == RELAY_CLOSED;

		cs_error_destroy(error);
		relay_stop(relay);
		relay_destroy(relay);
		_exit(closed ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(relay_state(relay), RELAY_STOPPED);
	assert_int_equal(access(relay_socket_path(relay), F_OK), 0);
	succeeds(call(relay));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(socket_is_private_and_goes_away),
		TEST(stopping_twice_and_asking_after),
		TEST(a_stub_that_never_answers),
		TEST(attaching_can_be_given_up),
		TEST(an_address_where_nothing_listens),
		TEST(a_guest_runs_to_its_end),
		TEST(a_running_guest_is_asked_nothing),
		TEST(an_idle_guest_is_interrupted),
		TEST(detaching_lifts_the_probes_first),
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
		TEST(calls_do_not_wait_for_what_gdb_never_gets),
		TEST(nor_for_a_stub_that_is_gone_in_mid_request),
		TEST(a_guest_that_is_lost_then_is_lost_when_it_is_resumed),
		TEST(or_after_a_while),
		TEST(once_the_user_was_told_gdb_learns_of_it_at_once),
		TEST(a_debugger_that_reads_nothing_is_let_go),
		TEST(a_stub_that_floods_does_not_hold_the_relay),
		TEST(guest_time_ends_with_the_connection),
		TEST(calls_of_all_threads_return_when_the_relay_stops),
		TEST(ticks_come_while_the_guest_runs_and_at_the_end),
		TEST(stopped_beside_those_who_wait),
		TEST(several_stop_it_at_once),
		TEST(what_is_planted_is_released_with_the_relay),
		TEST(the_last_reference_ends_it),
		TEST(a_child_by_fork_leaves_the_guest_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
