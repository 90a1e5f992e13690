/* SPDX-License-Identifier: MIT */
/* The relay called from several threads, and its end beside them. */
#include "support/relay_fixture.h"

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
	struct owner owner = {.retired = {release_owner, &owner, NULL}, .probe = {.address = {0x9000}}};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
