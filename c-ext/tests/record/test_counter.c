/* SPDX-License-Identifier: MIT */
/* Entry counters: what they count, what is recorded of them, and what is not. */
#include "support/trace_support.h"

#include "record/counter.h"
#include "support/peer.h"

static const uint64_t walk[] = {0x1000, 0x2000, 0x1004, 0x2000, 0x1008, 0x2000, 0x3000, 0};

struct counted {
	struct peer peer;
	struct relay *relay;
	struct counters *counters;
};

/* Answers that are not about counters, but "QEMU's instruction count is 77" for the last one. */
static const struct peer_answer answers[] = {
	{"Z0,bad", "E22"},
	{"Z1,bad", "E22"},
	{"qRcmd,696e666f207265706c6179", "696e737472756374696f6e20636f756e74203d203737"},
	{NULL, NULL},
};

static struct counted *set_up(void)
{
	struct counted *counted = calloc(1, sizeof(*counted));

	assert_non_null(counted);
	counted->peer.walk = walk;
	counted->peer.answers = answers;
	peer_start(&counted->peer);
	succeed(relay_create(counted->peer.path, 5000, 5000, NULL, &counted->relay));
	succeed(counters_create(counted->relay, &counted->counters));
	return counted;
}

static void tear_down(struct counted *counted)
{
	relay_stop(counted->relay);
	counters_destroy(counted->counters);
	relay_destroy(counted->relay);
	peer_stop(&counted->peer);
	free(counted);
}

static const struct placement in_place;

static int add(struct counted *counted, uint64_t address, const char *name)
{
	int number = 0;

	succeed(counters_add(counted->counters, (struct link_address){address}, &in_place, name, &number));
	return number;
}

static void run_to_the_end(struct counted *counted)
{
	FREE char *stop = NULL;

	succeed(relay_resume(counted->relay, NULL));
	succeed(relay_wait(counted->relay, 5000, &stop));
	assert_string_equal(stop ? stop : "(none)", "W00");
}

struct wanted {
	int number;
	struct counter counter;
};

static int take(const struct counter *counter, void *context)
{
	struct wanted *wanted = context;

	if (counter->number != wanted->number)
		return 0;
	wanted->counter = *counter;
	return 1;
}

static struct counter counter_of(struct counted *counted, int number)
{
	struct wanted wanted = {.number = number};

	assert_int_equal(counters_each(counted->counters, take, &wanted), 1);
	return wanted.counter;
}

static int number_of(const struct counter *counter, void *context)
{
	*(int *)context = *(int *)context * 10 + counter->number;
	return 0;
}

static void counts_and_first_hits(void **state)
{
	struct counted *counted = set_up();
	int twice = add(counted, 0x2000, "read_clock");
	int never = add(counted, 0x9000, "never");
	struct counter counter;

	(void)state;
	run_to_the_end(counted);
	counter = counter_of(counted, twice);
	assert_int_equal(counter.hits, 3);
	assert_string_equal(counter.name, "read_clock");
	assert_true(counter.planted);
	assert_true(counter.first_run_ns >= 0 && (uint64_t)counter.first_run_ns <= relay_run_ns(counted->relay));
	assert_int_equal(counter.first_cpu, 0);
	assert_int_equal(counter.first_icount, RECORD_UNKNOWN); /* it is no replay */
	counter = counter_of(counted, never);
	assert_int_equal(counter.hits, 0);
	assert_int_equal(counter.first_run_ns, RECORD_UNKNOWN);
	assert_int_equal(counter.first_cpu, RECORD_UNKNOWN);
	tear_down(counted);
}

static void first_hit_of_a_replay_has_its_instruction_count(void **state)
{
	struct counted *counted = set_up();
	int number = add(counted, 0x2000, "f");

	(void)state;
	relay_set_replay(counted->relay, true);
	counters_set_replay(counted->counters, true);
	run_to_the_end(counted);
	assert_int_equal(counter_of(counted, number).first_icount, 77);
	assert_int_equal(counter_of(counted, number).hits, 3);
	tear_down(counted);
}

static void removed_counters_keep_their_counts(void **state)
{
	struct counted *counted = set_up();
	int number = add(counted, 0x2000, "f");

	(void)state;
	succeed(counters_remove(counted->counters, number));
	succeed(counters_remove(counted->counters, number));
	assert_false(counter_of(counted, number).planted);
	run_to_the_end(counted);
	assert_int_equal(counter_of(counted, number).hits, 0);
	fails(counters_remove(counted->counters, 0), CS_ERROR_NOT_FOUND, "no counter 0");
	fails(counters_remove(counted->counters, 2), CS_ERROR_NOT_FOUND, "no counter 2");
	tear_down(counted);
}

/* It would look like a function that was never reached. */
static void a_counter_that_cannot_be_planted_is_none(void **state)
{
	struct counted *counted = set_up();
	int numbers = 0;
	int number = 0;

	(void)state;
	add(counted, 0x2000, "one");
	fails(counters_add(counted->counters, (struct link_address){0xbad}, &in_place, "two", &number),
	      CS_ERROR_REFUSED, "bad");
	add(counted, 0x3000, "three");
	assert_int_equal(counters_each(counted->counters, number_of, &numbers), 0);
	assert_int_equal(numbers, 13);
	tear_down(counted);
}

static void counts_are_recorded(void **state)
{
	struct directory *directory = *state;
	struct store *store = start(directory->trace);
	struct counted *counted = set_up();
	int number = 0;

	add(counted, 0x2000, "f");
	add(counted, 0x9000, "never");
	fails(counters_add(counted->counters, (struct link_address){0xbad}, &in_place, "refused", &number),
	      CS_ERROR_REFUSED, "bad");
	succeed(counters_set_store(counted->counters, store));
	run_to_the_end(counted);
	succeed(counters_set_store(counted->counters, NULL)); /* writes what is pending */
	tear_down(counted);
	succeed(store_close(store, true, "the guest ended"));
	store_destroy(store);
	assert_int_equal(look(directory->trace, "SELECT count(*) FROM counter"), 2);
	assert_int_equal(look(directory->trace, "SELECT hits FROM counter WHERE function = 'f'"), 3);
	assert_int_equal(look(directory->trace, "SELECT hits FROM counter WHERE function = 'never'"), 0);
	assert_int_equal(look(directory->trace, "SELECT first_run_ns IS NULL FROM counter WHERE function = 'never'"),
			 1);
}

static void nothing_is_legal_to_release(void **state)
{
	(void)state;
	counters_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_first_hits),
		cmocka_unit_test(first_hit_of_a_replay_has_its_instruction_count),
		cmocka_unit_test(removed_counters_keep_their_counts),
		cmocka_unit_test(a_counter_that_cannot_be_planted_is_none),
		TRACE_TEST(counts_are_recorded),
		cmocka_unit_test(nothing_is_legal_to_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
