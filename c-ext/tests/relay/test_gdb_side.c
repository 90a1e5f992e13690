/* SPDX-License-Identifier: MIT */
/* A debugger's connection, without a relay: what it waits for, what it says and when that counts, and its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/gdb_side.h"

struct test {
	struct client client;
	int debugger;
	unsigned gone;
	_Atomic uint64_t sent;
};

static void count(void *context)
{
	++*(unsigned *)context;
}

static int set_up(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	int fds[2];

	if (!test || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	client_init(&test->client, 300);
	test->client.gone = count;
	test->client.gone_context = &test->gone;
	test->client.sent = &test->sent;
	client_begin(&test->client, fds[0]);
	test->debugger = fds[1];
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;

	client_close(&test->client);
	client_clear(&test->client);
	close(test->debugger);
	free(test);
	return 0;
}

static void says(struct test *test, const char *bytes)
{
	assert_int_equal(send(test->debugger, bytes, strlen(bytes), 0), strlen(bytes));
	client_read(&test->client);
}

/* All that has come so far. */
static void hears(struct test *test, const char *expected)
{
	char text[256] = "";
	ssize_t n = recv(test->debugger, text, sizeof(text) - 1, 0);

	assert_string_equal(n > 0 ? text : n == 0 || errno != EAGAIN ? "(closed)" : "", expected);
}

static void asks(struct test *test, const char *payload)
{
	struct gdb_request request;

	gdb_request_parse(payload, &request);
	client_note_pending(&test->client, &request);
}

static void what_is_under_way_has_a_kind(void **state)
{
	struct test *test = *state;

	assert_false(client_awaits_reply(&test->client) || client_awaits_stop(&test->client));
	asks(test, "m1000,4");
	assert_true(client_awaits_reply(&test->client));
	assert_false(client_awaits_stop(&test->client));
	asks(test, "vCont;c");
	assert_true(client_awaits_stop(&test->client));
	assert_false(client_awaits_reply(&test->client));
	client_note_answered(&test->client);
	assert_int_equal(test->client.pending.kind, PENDING_NOTHING);
	assert_int_equal(test->client.pending.request.kind, GDB_NOTHING);
}

/* The answer to its question is no answer to the next debugger's; a stop is the guest's, whoever hears of it. */
static void a_reply_outlives_who_asked_for_it_and_a_stop_does_not(void **state)
{
	struct test *test = *state;

	asks(test, "m1000,4");
	client_close(&test->client);
	assert_true(client_awaits_reply(&test->client));
	client_note_answered(&test->client);
	assert_int_equal(test->gone, 1);
	client_close(&test->client);
	assert_int_equal(test->gone, 1);
}

static void nor_is_a_stop_awaited_by_nobody(void **state)
{
	struct test *test = *state;

	asks(test, "c");
	client_close(&test->client);
	assert_int_equal(test->client.pending.kind, PENDING_NOTHING);
	assert_true(test->client.left);
}

static void packets_wait_for_what_is_under_way(void **state)
{
	struct test *test = *state;
	struct packet_item item;

	asks(test, "m1000,4");
	says(test, "$g#67");
	assert_false(client_next(&test->client, false, &item));
	client_note_answered(&test->client);
	assert_true(client_next(&test->client, false, &item));
	assert_string_equal(item.payload, "g");
	hears(test, "+");
	assert_false(client_next(&test->client, false, &item));
}

static void while_the_guest_runs_only_an_interrupt_and_file_io_count(void **state)
{
	struct test *test = *state;
	struct packet_item item;

	says(test, "\x03$F0#76$g#67");
	assert_true(client_next(&test->client, true, &item));
	assert_int_equal(item.kind, PACKET_INTERRUPT);
	assert_true(client_next(&test->client, true, &item));
	assert_string_equal(item.payload, "F0");
	assert_false(client_next(&test->client, true, &item));
	assert_true(client_next(&test->client, false, &item));
	assert_string_equal(item.payload, "g");
}

static void a_damaged_packet_is_asked_for_again(void **state)
{
	struct test *test = *state;
	struct packet_item item;

	says(test, "$g#00");
	assert_false(client_next(&test->client, false, &item));
	hears(test, "-");
	client_say(&test->client, "OK");
	hears(test, "$OK#9a");
	says(test, "-");
	assert_false(client_next(&test->client, false, &item));
	hears(test, "$OK#9a");
	assert_int_equal(test->sent, 1);
}

static void a_reply_asked_for_again_and_again_is_given_up(void **state)
{
	struct test *test = *state;

	says(test, "+--");
	assert_false(client_gave_up(&test->client));
	says(test, "---");
	assert_true(client_gave_up(&test->client));
	says(test, "-$g#67");
	assert_true(client_gave_up(&test->client));
}

/* GDB 13.1 aborts where its connection ends while it looks at a stop. */
static void a_guest_lost_at_a_stop_is_kept_up(void **state)
{
	struct test *test = *state;

	test->client.judging = true;
	asks(test, "g");
	client_lose_guest(&test->client, true);
	assert_true(test->client.fd >= 0 && test->client.orphaned_at);
	hears(test, "$E01#a6");
}

static void else_gdb_is_lost_with_it(void **state)
{
	struct test *test = *state;

	asks(test, "g");
	client_lose_guest(&test->client, true);
	assert_int_equal(test->client.fd, -1);
	hears(test, "(closed)");
}

static void nor_is_one_told_that_has_resumed_it_or_lets_it_go(void **state)
{
	static const char *const asked[] = {"vCont;c", "D", "k"};
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		int fds[2];

		client_close(&test->client);
		close(test->debugger);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		client_begin(&test->client, fds[0]);
		test->debugger = fds[1];
		test->client.judging = true;
		asks(test, asked[i]);
		client_lose_guest(&test->client, true);
		assert_int_equal(test->client.fd, -1);
		hears(test, "(closed)");
		client_note_answered(&test->client);
	}
}

static void one_that_wants_no_acknowledgements_gets_none(void **state)
{
	struct test *test = *state;
	struct packet_item item;

	test->client.no_ack = true;
	says(test, "$g#67");
	assert_true(client_next(&test->client, false, &item));
	hears(test, "");
	says(test, "$g#00");
	assert_false(client_next(&test->client, false, &item));
	hears(test, "");
}

/* Whether a debugger may come while another is there is seen from whether that one has hung up. */
static void the_next_one_waits_for_the_last_words_of_one_who_hangs_up(void **state)
{
	struct test *test = *state;

	assert_true(client_may_come(&test->client));
	shutdown(test->debugger, SHUT_WR);
	assert_false(client_may_come(&test->client));
	client_close(&test->client);
	assert_true(client_may_come(&test->client));
	assert_false(client_gave_up(&test->client));
}

static void a_debugger_is_kept_waiting_by_a_byte_now_and_then(void **state)
{
	struct test *test = *state;

	client_keep_waiting(&test->client);
	hears(test, ""); /* it has asked nothing */
	test->client.answering = true;
	client_keep_waiting(&test->client);
	client_keep_waiting(&test->client);
	hears(test, "+");
	asks(test, "c");
	test->client.spoken_at = 0;
	client_keep_waiting(&test->client);
	hears(test, ""); /* for a stop it waits without end */
}

static void what_a_debugger_left_is_known_to_the_next(void **state)
{
	struct test *test = *state;
	int fds[2];

	client_say(&test->client, "OK");
	client_close(&test->client);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	client_begin(&test->client, fds[0]);
	close(fds[1]);
	assert_true(test->client.left);
	assert_int_equal(test->sent, 1);
	assert_int_equal(test->client.timeout_ms, 300);
	client_read(&test->client);
	assert_int_equal(test->client.fd, -1);
	assert_int_equal(test->gone, 2);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_under_way_has_a_kind),
		TEST(a_reply_outlives_who_asked_for_it_and_a_stop_does_not),
		TEST(nor_is_a_stop_awaited_by_nobody),
		TEST(packets_wait_for_what_is_under_way),
		TEST(while_the_guest_runs_only_an_interrupt_and_file_io_count),
		TEST(a_damaged_packet_is_asked_for_again),
		TEST(a_reply_asked_for_again_and_again_is_given_up),
		TEST(a_guest_lost_at_a_stop_is_kept_up),
		TEST(else_gdb_is_lost_with_it),
		TEST(nor_is_one_told_that_has_resumed_it_or_lets_it_go),
		TEST(one_that_wants_no_acknowledgements_gets_none),
		TEST(the_next_one_waits_for_the_last_words_of_one_who_hangs_up),
		TEST(a_debugger_is_kept_waiting_by_a_byte_now_and_then),
		TEST(what_a_debugger_left_is_known_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
