/* SPDX-License-Identifier: MIT */
/*
 * The conversation with a stub. All that the stub will say lies in the socket before it is asked, so that
 * nothing here waits; what it was told is read afterwards. Only the tests of time limits have a thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/util.h"
#include "rsp/handshake.h"
#include "rsp/icount.h"
#include "support/expect.h"

struct talk {
	struct stub *stub;
	int far; /* the stub's end */
	char told[8192];
};

static int set_up(void **state)
{
	struct talk *talk = calloc(1, sizeof(*talk));
	int ends[2];

	if (!talk || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
		return -1;
	talk->stub = calloc(1, sizeof(*talk->stub));
	if (!talk->stub)
		return -1;
	talk->stub->fd = ends[0];
	talk->stub->cancel_fd = -1;
	talk->stub->timeout_ms = 1000;
	talk->stub->packet_size = 0x1000;
	talk->stub->no_ack = true;
	talk->stub->address = strdup("test");
	talk->far = ends[1];
	*state = talk;
	return 0;
}

static int tear_down(void **state)
{
	struct talk *talk = *state;

	stub_destroy(talk->stub);
	util_close_fd(&talk->far);
	free(talk);
	return 0;
}

static void say_bytes(struct talk *talk, const char *bytes)
{
	assert_int_equal(send(talk->far, bytes, strlen(bytes), 0), strlen(bytes));
}

static void say(struct talk *talk, const char *payload)
{
	FREE char *frame = NULL;
	size_t length;

	assert_null(packet_frame(payload, strlen(payload), &frame, &length));
	assert_int_equal(send(talk->far, frame, length, 0), length);
}

/* Nothing more will be said. */
static void hang_up(struct talk *talk)
{
	shutdown(talk->far, SHUT_WR);
}

/* What the stub has been told since last asked: payloads with a space behind each, and acknowledgements. */
static const char *told(struct talk *talk)
{
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	char bytes[sizeof(talk->told)];
	ssize_t n = recv(talk->far, bytes, sizeof(bytes), MSG_DONTWAIT);
	size_t length = 0;

	talk->told[0] = '\0';
	for (size_t at = 0, used; n > 0 && at < (size_t)n; at += used) {
		struct packet_item item;

		assert_null(packet_feed(&parser, bytes + at, (size_t)n - at, &used, &item));
		if (item.kind == PACKET_ACK || item.kind == PACKET_NAK)
			length += (size_t)snprintf(talk->told + length, sizeof(talk->told) - length, "%c",
						   item.kind == PACKET_ACK ? '+' : '-');
		else if (item.kind != PACKET_NONE)
			length +=
				(size_t)snprintf(talk->told + length, sizeof(talk->told) - length, "%s ", item.payload);
	}
	return talk->told;
}

static struct cs_error *ask(struct talk *talk, const char *payload, struct stub_reply *reply)
{
	return stub_request(talk->stub, payload, strlen(payload), reply);
}

static void answers(struct talk *talk, const char *payload, const char *expected)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

	succeeds(ask(talk, payload, &reply));
	assert_string_equal(reply.text, expected);
}

/* --- The handshake --- */

static void handshake_asks_for_what_was_advertised(void **state)
{
	struct talk *talk = *state;

	talk->stub->no_ack = false;
	say(talk, "PacketSize=800;QStartNoAckMode+;multiprocess+;qXfer:memory-map:read+");
	say(talk, "OK");
	say(talk, "vCont;c;C;s;S;t;r");
	say(talk, "T05thread:p01.01;");
	say(talk, "E01");
	succeeds(handshake(talk->stub));
	assert_string_equal(told(talk),
			    "qSupported:multiprocess+;swbreak+;hwbreak+;no-resumed+;vContSupported+;xmlRegisters=i386 "
			    "+QStartNoAckMode +vCont? ? g ");
	assert_int_equal(talk->stub->packet_size, 0x800);
	assert_true(talk->stub->no_ack && talk->stub->multiprocess);
	assert_string_equal(talk->stub->vcont, "cCsSr");
	assert_string_equal(stub_feature(talk->stub, "qXfer:memory-map:read"), "+");
	assert_null(stub_feature(talk->stub, "qXfer"));
	assert_int_equal(talk->stub->target->g_size, 164); /* GDB's own layout */
	assert_string_equal(talk->stub->first_stop.text, "T05thread:p01.01;");
}

/* A stub that knows nothing of the last twenty years. */
static void handshake_with_an_old_stub(void **state)
{
	struct talk *talk = *state;

	talk->stub->no_ack = false;
	say(talk, "");
	say(talk, "");
	say(talk, "S05");
	say(talk, "E01");
	succeeds(handshake(talk->stub));
	assert_int_equal(talk->stub->packet_size, 400);
	assert_int_equal(talk->stub->feature_count, 0);
	assert_false(talk->stub->no_ack);
	assert_string_equal(talk->stub->vcont, "");
}

static void packet_sizes_that_cannot_be_meant(void **state)
{
	static const struct {
		const char *said;
		size_t used;
	} sizes[] = {
		{"PacketSize=40", 64},
		{"PacketSize=3f", 400},
		{"PacketSize=0", 400},
		{"PacketSize=", 400},
		{"PacketSize=x", 400},
		{"PacketSize+", 400},
		{"PacketSize=ffffffffffffffff", PACKET_MAX},
		{"PacketSize=fffffffffffffffff", 400}, /* does not fit */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		void *fresh;
		struct talk *talk;

		assert_int_equal(set_up(&fresh), 0);
		talk = fresh;
		say(talk, sizes[i].said);
		say(talk, "");
		say(talk, "S05");
		say(talk, "E01");
		succeeds(handshake(talk->stub));
		assert_int_equal(talk->stub->packet_size, sizes[i].used);
		tear_down(&fresh);
	}
}

/* GDB does without vCont where it lacks one of the four. */
static void half_a_vcont_is_none(void **state)
{
	struct talk *talk = *state;

	say(talk, "");
	say(talk, "vCont;c;s;t");
	say(talk, "S05");
	say(talk, "E01");
	succeeds(handshake(talk->stub));
	assert_string_equal(talk->stub->vcont, "");
}

static void who_does_not_say_why_the_guest_stands_is_no_stub(void **state)
{
	struct talk *talk = *state;

	say(talk, "");
	say(talk, "");
	say(talk, "E01");
	fails(handshake(talk->stub), CS_ERROR_PROTOCOL, "E01");
}

static void description_comes_in_pieces(void **state)
{
	struct talk *talk = *state;

	say(talk, "PacketSize=48;qXfer:features:read+");
	say(talk, "");
	say(talk, "S05");
	say(talk, "m<target><reg name=\"rip\" ");
	say(talk, "mbitsize=\"64\"/>");
	say(talk, "l</target>");
	succeeds(handshake(talk->stub));
	assert_int_equal(talk->stub->target->count, 1);
	assert_non_null(strstr(told(talk), "qXfer:features:read:target.xml:0,40 "
					   "qXfer:features:read:target.xml:18,40 "
					   "qXfer:features:read:target.xml:26,40 "));
}

/* All that the relay plants and works out is x86-64's. */
static void guests_of_other_machines_are_refused(void **state)
{
	static const struct {
		const char *features;
		const char *reply; /* to the next request: the description's or the registers' */
		size_t digits;     /* of registers, where there is no reply */
		const char *said;  /* NULL: it is an x86-64 */
	} guests[] = {
		{"qXfer:features:read+", "l<target><architecture>aarch64</architecture></target>", 0, "aarch64"},
		{"qXfer:features:read+",
		 "l<target><architecture>i386</architecture><reg name=\"eip\" bitsize=\"32\"/></target>", 0,
		 "guest is i386;"},
		{"qXfer:features:read+", "l<target><reg name=\"eip\" bitsize=\"32\"/></target>", 0, "guest is i386;"},
		{"qXfer:features:read+", "l<target><reg name=\"x0\" bitsize=\"64\"/></target>", 0, "aarch64"},
		{"qXfer:features:read+", "l<target><reg name=\"pc\" bitsize=\"64\"/></target>", 0,
		 "no program counter of those"},
		{"", NULL, 2 * 312, "guest is i386;"},
		{"", NULL, 2 * 788, "aarch64"},
		{"", NULL, 2 * 164, NULL},
		{"", NULL, 2 * 608, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		char registers[2048] = "";
		void *fresh;
		struct talk *talk;

		assert_int_equal(set_up(&fresh), 0);
		talk = fresh;
		memset(registers, '0', guests[i].digits);
		say(talk, guests[i].features);
		say(talk, "");
		say(talk, "S05");
		say(talk, guests[i].reply ? guests[i].reply : registers);
		if (guests[i].said)
			fails(handshake(talk->stub), CS_ERROR_REFUSED, guests[i].said);
		else
			succeeds(handshake(talk->stub));
		tear_down(&fresh);
	}
}

static void description_that_does_not_come(void **state)
{
	static const char *const replies[] = {"", "E00", "m", "xyz", "OK", "l"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		void *fresh;
		struct talk *talk;

		assert_int_equal(set_up(&fresh), 0);
		talk = fresh;
		say(talk, "qXfer:features:read+");
		say(talk, "");
		say(talk, "S05");
		say(talk, replies[i]);
		fails(handshake(talk->stub), CS_ERROR_PROTOCOL, "target.xml");
		tear_down(&fresh);
	}
}

/* The name of an included file is the stub's own: it must not smuggle in a second packet. */
static void included_names_stay_inside_their_packet(void **state)
{
	struct talk *talk = *state;

	say(talk, "qXfer:features:read+");
	say(talk, "");
	say(talk, "S05");
	say(talk, "l<target><xi:include href=\"x}\00300}\004k\"/></target>"); /* x#00$k, escaped */
	fails(handshake(talk->stub), CS_ERROR_PROTOCOL, "x#00$k");
	assert_null(strstr(told(talk), "k "));
}

/* --- Replies --- */

static void output_before_a_reply_is_skipped(void **state)
{
	struct talk *talk = *state;

	say(talk, "O48690a");
	say(talk, "O");
	say(talk, "QC1");
	answers(talk, "qC", "QC1");
}

static void notifications_and_noise_are_skipped(void **state)
{
	struct talk *talk = *state;

	say_bytes(talk, "++%Stop:T05#99xyz\003$QC1#c5");
	answers(talk, "qC", "QC1");
}

static void reply_is_decoded_and_kept_raw(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	say(talk, "0*\"}]");
	succeeds(ask(talk, "m0,4", &reply));
	assert_string_equal(reply.text, "000000}");
	assert_int_equal(reply.length, 7);
	assert_string_equal(reply.raw, "0*\"}]");
	assert_int_equal(reply.raw_length, 5);
}

static void acknowledgements_are_kept_up(void **state)
{
	struct talk *talk = *state;

	talk->stub->no_ack = false;
	say_bytes(talk, "+$QC1#c5+$QC2#c6");
	answers(talk, "qC", "QC1");
	answers(talk, "qC", "QC2");
	assert_string_equal(told(talk), "qC +qC +");
}

static void damaged_packets_are_asked_for_again(void **state)
{
	struct talk *talk = *state;

	talk->stub->no_ack = false;
	say_bytes(talk, "-$QC1#00$QC1#c5");
	answers(talk, "qC", "QC1");
	assert_string_equal(told(talk), "qC qC -+"); /* our own sent again, theirs refused, theirs taken */
}

static void without_acknowledgements_damage_is_the_end(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	say_bytes(talk, "$QC1#00");
	fails(ask(talk, "qC", &reply), CS_ERROR_PROTOCOL, "checksum");
	assert_null(reply.text);
}

static void a_stub_that_refuses_everything_is_given_up(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	talk->stub->no_ack = false;
	say_bytes(talk, "-------------------");
	fails(ask(talk, "qC", &reply), CS_ERROR_PROTOCOL, "damaged");
}

static void encodings_that_are_none(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	say(talk, "a*");
	fails(ask(talk, "qC", &reply), CS_ERROR_PROTOCOL, "repeat");
}

static void the_end_of_the_connection(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	say_bytes(talk, "$QC"); /* in mid-packet */
	hang_up(talk);
	fails(ask(talk, "qC", &reply), CS_ERROR_CLOSED, "test: the stub closed the connection");
}

static void what_speaks_another_language_is_no_stub(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	say_bytes(talk, "HTTP/1.1 400 Bad Request\r\n\r\n");
	hang_up(talk);
	fails(ask(talk, "qC", &reply), CS_ERROR_PROTOCOL, "no gdbstub");
}

static void requests_longer_than_the_stub_takes_are_not_sent(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;
	FREE char *text = NULL;

	talk->stub->packet_size = 64;
	fails(ask(talk, "qSearch:memory:0123456789012345678901234567890123456789012345678901234567890123456789",
		  &reply),
	      CS_ERROR_ARGUMENT, "longer");
	fails(stub_monitor(talk->stub, "0123456789012345678901234567890", &text), CS_ERROR_ARGUMENT, "longer");
	assert_string_equal(told(talk), "");
}

static void commands_are_judged(void **state)
{
	struct talk *talk = *state;

	say(talk, "OK");
	say(talk, "E22");
	say(talk, "");
	succeeds(stub_command(talk->stub, "Z%d,%x,1", 1, 0x1000));
	fails(stub_command(talk->stub, "Z0,1000,1"), CS_ERROR_REFUSED, "\"Z0,1000,1\" (E22)");
	fails(stub_command(talk->stub, "QNonStop:1"), CS_ERROR_REFUSED, "not supported");
	assert_string_equal(told(talk), "Z1,1000,1 Z0,1000,1 QNonStop:1 ");
}

static void errors_quote_no_more_than_a_line(void **state)
{
	struct talk *talk = *state;
	char words[1001];
	struct cs_error *error;

	memset(words, 'x', 1000);
	words[1000] = '\0';
	say(talk, words);
	error = stub_command(talk->stub, "M%s", words);
	assert_non_null(error);
	assert_in_range(strlen(error->message), 1, 200);
	cs_error_destroy(error);
}

/* --- Memory and registers --- */

static void memory_is_read_in_pieces(void **state)
{
	struct talk *talk = *state;
	uint8_t bytes[20];

	talk->stub->packet_size = 64; /* 16 bytes at a time */
	say(talk, "000102030405060708090a0b0c0d0e0f");
	say(talk, "1011"); /* less than asked for */
	say(talk, "1213");
	succeeds(stub_read(talk->stub, 0xffffffff81000000, bytes, sizeof(bytes)));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], i);
	assert_string_equal(told(talk), "mffffffff81000000,10 mffffffff81000010,4 mffffffff81000012,2 ");
}

static void memory_that_cannot_be_read(void **state)
{
	static const char *const replies[] = {"E14", "", "0", "000", "0102030405", "xx", "OK"};
	struct talk *talk = *state;
	uint8_t bytes[4];

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		say(talk, replies[i]);
		fails(stub_read(talk->stub, 0x1000, bytes, sizeof(bytes)), CS_ERROR_REFUSED, "0x1000");
	}
}

/* The first address that cannot be read is the one that is named. */
static void memory_that_ends_at_a_page(void **state)
{
	struct talk *talk = *state;
	uint8_t bytes[8];

	say(talk, "E14");
	say(talk, "01020304");
	say(talk, "E14");
	fails(stub_read(talk->stub, 0x1ffc, bytes, sizeof(bytes)), CS_ERROR_REFUSED, "0x2000");
	assert_string_equal(told(talk), "m1ffc,8 m1ffc,4 m2000,4 ");
}

static void memory_is_written_in_pieces(void **state)
{
	static const uint8_t bytes[18] = {0xff, '#', '$', '}', '*'};
	struct talk *talk = *state;

	talk->stub->packet_size = 64;
	say(talk, "OK");
	say(talk, "OK");
	succeeds(stub_write(talk->stub, 0x1000, bytes, sizeof(bytes)));
	assert_string_equal(told(talk), "M1000,10:ff23247d2a0000000000000000000000 M1010,2:0000 ");
	say(talk, "E01");
	fails(stub_write(talk->stub, 0x1000, bytes, 1), CS_ERROR_REFUSED, "E01");
}

static void registers_that_cannot_be_read_are_zero(void **state)
{
	struct talk *talk = *state;
	FREE uint8_t *bytes = NULL;
	size_t length;

	say(talk, "01xxxx02");
	succeeds(stub_read_registers(talk->stub, &bytes, &length));
	assert_int_equal(length, 4);
	assert_memory_equal(bytes, "\1\0\0\2", 4);
}

static void registers_that_are_not_told(void **state)
{
	static const char *const replies[] = {"", "E01", "0", "012", "OK", "g0"};
	struct talk *talk = *state;

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		uint8_t *bytes = NULL;
		size_t length;

		say(talk, replies[i]);
		fails(stub_read_registers(talk->stub, &bytes, &length), CS_ERROR_REFUSED, "registers");
		assert_null(bytes);
	}
}

/* --- Monitor commands --- */

static void monitor_prints(struct talk *talk, const char *expected)
{
	FREE char *text = NULL;

	succeeds(stub_monitor(talk->stub, "info", &text));
	assert_string_equal(text, expected);
	assert_string_equal(told(talk), "qRcmd,696e666f ");
}

static void monitor_output(void **state)
{
	struct talk *talk = *state;
	char *text = NULL;

	say(talk, "O4869");
	say(talk, "O21");
	say(talk, "OK");
	monitor_prints(talk, "Hi!");
	say(talk, "4869"); /* some stubs answer with the text itself */
	monitor_prints(talk, "Hi");
	say(talk, "OK");
	monitor_prints(talk, "");
	say(talk, "");
	fails(stub_monitor(talk->stub, "info", &text), CS_ERROR_REFUSED, "info");
	say(talk, "E01");
	fails(stub_monitor(talk->stub, "info", &text), CS_ERROR_REFUSED, "info");
	assert_null(text);
}

static void say_hex(struct talk *talk, const char *text)
{
	char hex[512];

	packet_hex(text, strlen(text), hex);
	say(talk, hex);
}

static void instruction_count_of_a_replay(void **state)
{
	struct talk *talk = *state;
	uint64_t count = 0;

	say_hex(talk, "Replaying execution 'F': instruction count = 18446744073709551615\r\n");
	succeeds(replay_instructions(talk->stub, &count));
	assert_true(count == UINT64_MAX);
	say_hex(talk, "Record/replay is not active\r\n");
	fails(replay_instructions(talk->stub, &count), CS_ERROR_REFUSED, "not active");
	say_hex(talk, "instruction count = many");
	fails(replay_instructions(talk->stub, &count), CS_ERROR_PROTOCOL, "many");
}

/* --- Many at once --- */

static void pipeline_keeps_the_order(void **state)
{
	static const char *const requests[] = {"m0,1", "m1,1", "m2,1"};
	struct stub_reply replies[3];
	struct talk *talk = *state;

	for (int acks = 0; acks < 2; acks++) {
		talk->stub->no_ack = !acks;
		say(talk, "00");
		say(talk, "01");
		say(talk, "02");
		succeeds(stub_pipeline(talk->stub, requests, 3, replies));
		assert_string_equal(told(talk), acks ? "m0,1 +m1,1 +m2,1 +" : "m0,1 m1,1 m2,1 ");
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(replies[i].text[1], '0' + (int)i);
			stub_reply_clear(&replies[i]);
		}
	}
}

static void pipeline_that_breaks_off_leaves_the_rest_empty(void **state)
{
	static const char *const requests[] = {"m0,1", "m1,1", "m2,1"};
	struct stub_reply replies[3];
	struct talk *talk = *state;

	say(talk, "00");
	hang_up(talk);
	fails(stub_pipeline(talk->stub, requests, 3, replies), CS_ERROR_CLOSED, "closed");
	assert_string_equal(replies[0].text, "00");
	assert_null(replies[1].text);
	assert_null(replies[2].text);
	stub_reply_clear(&replies[0]);
}

/* --- Time limits --- */

/* Says the same for ever, until its socket is closed. */
struct flood {
	int fd;
	const char *bytes;
};

static void *pour(void *context)
{
	const struct flood *flood = context;
	struct pollfd at = {.fd = flood->fd, .events = POLLOUT};

	while (send(flood->fd, flood->bytes, strlen(flood->bytes), MSG_NOSIGNAL) > 0 || errno == EAGAIN)
		poll(&at, 1, -1);
	return NULL;
}

static void a_silent_stub_costs_the_time_limit(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;

	talk->stub->timeout_ms = 20;
	fails(ask(talk, "qC", &reply), CS_ERROR_TIMEOUT, "20 ms");
}

static void so_does_one_that_never_stops_talking(void **state)
{
	static const char *const talks[] = {"+", "$O#4f", "$O48#bb", "%Stop#a6"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
		uint64_t began = util_now_ns();
		struct flood flood;
		struct talk *talk;
		pthread_t thread;
		void *fresh;
		bool got;

		assert_int_equal(set_up(&fresh), 0);
		talk = fresh;
		talk->stub->timeout_ms = 50;
		talk->stub->packets_received = 1; /* noise before the first packet is another matter */
		flood = (struct flood){talk->far, talks[i]};
		assert_int_equal(pthread_create(&thread, NULL, pour, &flood), 0);
		fails(ask(talk, "qC", &reply), CS_ERROR_TIMEOUT, "50 ms");
		succeeds(stub_receive(talk->stub, 0, &reply, &got)); /* a mere look comes back too */
		assert_true(util_now_ns() - began < 5000000000u);
		shutdown(talk->stub->fd, SHUT_RDWR);
		pthread_join(thread, NULL);
		tear_down(&fresh);
	}
}

static void a_wait_can_be_given_up(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	CLOSE int cancel = eventfd(1, EFD_CLOEXEC);
	struct talk *talk = *state;

	talk->stub->cancel_fd = cancel;
	talk->stub->timeout_ms = 60000;
	fails(ask(talk, "qC", &reply), CS_ERROR_TIMEOUT, "interrupted");
}

static void a_look_finds_what_is_there(void **state)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct talk *talk = *state;
	bool got;

	succeeds(stub_receive(talk->stub, 0, &reply, &got));
	assert_false(got);
	say_bytes(talk, "$T05#b9$W0");
	succeeds(stub_receive(talk->stub, 0, &reply, &got));
	assert_true(got);
	assert_string_equal(reply.text, "T05");
	assert_true(stub_has_input(talk->stub));
	stub_reply_clear(&reply);
	succeeds(stub_receive(talk->stub, 0, &reply, &got));
	assert_false(got);
	say_bytes(talk, "0#b7");
	succeeds(stub_receive(talk->stub, 0, &reply, &got));
	assert_true(got);
	assert_string_equal(reply.text, "W00");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(handshake_asks_for_what_was_advertised),
		TEST(handshake_with_an_old_stub),
		cmocka_unit_test(packet_sizes_that_cannot_be_meant),
		TEST(half_a_vcont_is_none),
		TEST(who_does_not_say_why_the_guest_stands_is_no_stub),
		TEST(description_comes_in_pieces),
		cmocka_unit_test(guests_of_other_machines_are_refused),
		cmocka_unit_test(description_that_does_not_come),
		TEST(included_names_stay_inside_their_packet),
		TEST(output_before_a_reply_is_skipped),
		TEST(notifications_and_noise_are_skipped),
		TEST(reply_is_decoded_and_kept_raw),
		TEST(acknowledgements_are_kept_up),
		TEST(damaged_packets_are_asked_for_again),
		TEST(without_acknowledgements_damage_is_the_end),
		TEST(a_stub_that_refuses_everything_is_given_up),
		TEST(encodings_that_are_none),
		TEST(the_end_of_the_connection),
		TEST(what_speaks_another_language_is_no_stub),
		TEST(requests_longer_than_the_stub_takes_are_not_sent),
		TEST(commands_are_judged),
		TEST(errors_quote_no_more_than_a_line),
		TEST(memory_is_read_in_pieces),
		TEST(memory_that_cannot_be_read),
		TEST(memory_that_ends_at_a_page),
		TEST(memory_is_written_in_pieces),
		TEST(registers_that_cannot_be_read_are_zero),
		TEST(registers_that_are_not_told),
		TEST(monitor_output),
		TEST(instruction_count_of_a_replay),
		TEST(pipeline_keeps_the_order),
		TEST(pipeline_that_breaks_off_leaves_the_rest_empty),
		TEST(a_silent_stub_costs_the_time_limit),
		cmocka_unit_test(so_does_one_that_never_stops_talking),
		TEST(a_wait_can_be_given_up),
		TEST(a_look_finds_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
