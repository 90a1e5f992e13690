/* SPDX-License-Identifier: MIT */
/* Framing from literal bytes: every kind of item, cut anywhere; escapes; run lengths; the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "rsp/packet.h"

/* Feeds `text` in pieces of `piece` bytes; the items as text, such as "+ $OK -". */
static void items_of(const char *bytes, size_t length, size_t piece, char *to, size_t room)
{
	static const char *const signs[] = {
		[PACKET_NONE] = "", [PACKET_DATA] = "$", [PACKET_CORRUPT] = "!",    [PACKET_NOTIFICATION] = "%",
		[PACKET_ACK] = "+", [PACKET_NAK] = "-",  [PACKET_INTERRUPT] = "^C", [PACKET_GARBAGE] = "?",
	};
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	size_t n = 0;

	to[0] = '\0';
	for (size_t at = 0; at < length;) {
		size_t size = length - at < piece ? length - at : piece;
		struct packet_item item;
		size_t used;

		assert_null(packet_feed(&parser, bytes + at, size, &used, &item));
		assert_in_range(used, 1, size);
		at += used;
		if (item.kind == PACKET_NONE)
			continue;
		n += (size_t)snprintf(to + n, room - n, "%s%s%.*s", n ? " " : "", signs[item.kind], (int)item.length,
				      item.length ? item.payload : "");
	}
}

struct stream {
	const char *bytes;
	const char *items;
};

static const struct stream streams[] = {
	{"+$OK#9a", "+ $OK"},
	{"$#00", "$"},
	{"$#01", "!"},
	{"$OK#9A", "$OK"}, /* upper-case digits */
	{"-+\003", "- + ^C"},
	{"%Stop:T05#0c", "!Stop:T05"},
	{"%Stop#a6", "%Stop"},
	{"xy$S05#b8z", "?x ?y $S05 ?z"},
	{"$OK#9b+", "!OK +"},
	{"$OK#9g", "!OK"}, /* no digit: in either place, and where the other one is right */
	{"$OK#ga", "!OK"},
	{"$OK#gg", "!OK"},
	{"$abc$OK#9a", "$OK"}, /* the sender began anew */
	{"%Sto$OK#9a", "$OK"},
	{"$OK#$S05#b8", "!OK ?0 ?5 ?# ?b ?8"}, /* digits cut off: what follows is lost, and asked for again */
	{"#9a", "?# ?9 ?a"},
};

static void items_are_the_same_however_the_bytes_arrive(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		for (size_t piece = 1; piece <= strlen(streams[i].bytes); piece++) {
			char items[128];

			items_of(streams[i].bytes, strlen(streams[i].bytes), piece, items, sizeof(items));
			assert_string_equal(items, streams[i].items);
		}
}

static void payload_may_hold_nul_bytes(void **state)
{
	static const char bytes[] = "$a\0b#c3";
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	struct packet_item item;
	size_t used;

	(void)state;
	assert_null(packet_feed(&parser, bytes, sizeof(bytes) - 1, &used, &item));
	assert_int_equal(item.kind, PACKET_DATA);
	assert_int_equal(item.length, 3);
	assert_memory_equal(item.payload, "a\0b", 4); /* with the NUL behind it */
}

/* A parser that has seen a `$` and `length` times the letter a. */
static struct cs_error *feed_letters(struct packet_parser *parser, size_t length)
{
	FREE char *letters = malloc(length);
	struct packet_item item;
	size_t used;

	assert_non_null(letters);
	memset(letters, 'a', length);
	assert_null(packet_feed(parser, "$", 1, &used, &item));
	return packet_feed(parser, letters, length, &used, &item);
}

static void longest_payload_is_taken_and_no_longer_one(void **state)
{
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	struct cs_error *error;
	struct packet_item item;
	size_t used;

	(void)state;
	assert_null(feed_letters(&parser, PACKET_MAX));
	assert_null(packet_feed(&parser, "#00", 3, &used, &item)); /* 'a' times 2^20 is 0 modulo 256 */
	assert_int_equal(item.kind, PACKET_DATA);
	assert_int_equal(item.length, PACKET_MAX);
	assert_int_equal(item.payload[item.length], '\0');

	error = feed_letters(&parser, PACKET_MAX + 1);
	assert_non_null(error);
	assert_int_equal(error->code, CS_ERROR_PROTOCOL);
	cs_error_destroy(error);
}

static void frame_of(const char *payload, const char *expected)
{
	FREE char *frame = NULL;
	size_t length;

	assert_null(packet_frame(payload, strlen(payload), &frame, &length));
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(frame, expected, length);
}

static void frames_carry_the_checksum(void **state)
{
	(void)state;
	frame_of("", "$#00");
	frame_of("OK", "$OK#9a");
	frame_of("vCont;c", "$vCont;c#a8");
	assert_int_equal(packet_checksum("\xff\xff", 2), 0xfe);
}

/* `n` given: the payload holds NUL bytes. */
static void decodes_to(const char *payload, const char *expected, size_t n)
{
	FREE char *text = NULL;
	size_t length;

	assert_null(packet_decode(payload, strlen(payload), &text, &length));
	assert_int_equal(length, n);
	assert_memory_equal(text, expected, n + 1);
}

static void escapes_and_run_lengths_are_undone(void **state)
{
	(void)state;
	decodes_to("", "", 0);
	decodes_to("0* ", "0000", 4);      /* the manual's example: ' ' is 3 more */
	decodes_to("x*\"y", "xxxxxxy", 7); /* '"' is 5 more: 6 and 7 would be '#' and '$' */
	decodes_to("0* * ", "0000000", 7); /* a run of a run */
	decodes_to("}\003}\004}]}\n", "#$}*", 4);
	decodes_to("} ", "", 1);        /* an escaped NUL */
	decodes_to("}\n* ", "****", 4); /* an escaped byte, repeated */
	decodes_to("a}\003* b", "a####b", 6);
}

static void longest_run_is_97_more(void **state)
{
	FREE char *text = NULL;
	size_t length;

	(void)state;
	assert_null(packet_decode("0*~", 3, &text, &length));
	assert_int_equal(length, 98);
	assert_int_equal(strspn(text, "0"), 98);
}

static void broken_encodings_are_errors(void **state)
{
	static const char *const broken[] = {"}", "ab}", "*", "* ", "a*", "a*\037", "a*\177", "a*\200", "a*\377", "*~"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct cs_error *error;
		FREE char *text = NULL;
		size_t length = 0;

		error = packet_decode(broken[i], strlen(broken[i]), &text, &length);
		assert_non_null(error);
		assert_int_equal(error->code, CS_ERROR_PROTOCOL);
		assert_null(text);
		cs_error_destroy(error);
	}
}

/* A small packet must not grow to gigabytes. */
static void bomb_of_run_lengths_is_refused(void **state)
{
	size_t size = 2 * (PACKET_MAX / 97) + 3;
	FREE char *bomb = malloc(size);
	struct cs_error *error;
	FREE char *text = NULL;
	size_t length;

	(void)state;
	assert_non_null(bomb);
	bomb[0] = '0';
	for (size_t i = 1; i < size; i++)
		bomb[i] = i % 2 ? '*' : '~';
	error = packet_decode(bomb, size, &text, &length);
	assert_non_null(error);
	assert_int_equal(error->code, CS_ERROR_PROTOCOL);
	cs_error_destroy(error);
}

static void every_byte_survives_escape_and_decode(void **state)
{
	FREE char *escaped = NULL;
	FREE char *decoded = NULL;
	char all[256];
	size_t length;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	assert_null(packet_escape(all, sizeof(all), &escaped, &length));
	assert_int_equal(length, 256 + 4);
	assert_null(memchr(escaped, '$', length));
	assert_null(memchr(escaped, '#', length));
	assert_null(memchr(escaped, '*', length));
	assert_null(packet_decode(escaped, length, &decoded, &length));
	assert_int_equal(length, 256);
	assert_memory_equal(decoded, all, 256);
}

static void hex_digits_both_ways(void **state)
{
	uint8_t bytes[3];
	char text[7];

	(void)state;
	assert_true(packet_unhex("00fFa5", 6, bytes));
	assert_memory_equal(bytes, "\x00\xff\xa5", 3);
	packet_hex(bytes, 3, text);
	assert_string_equal(text, "00ffa5");
	assert_true(packet_unhex("", 0, bytes));
	assert_false(packet_unhex("0", 1, bytes));
	assert_false(packet_unhex("0g", 2, bytes));
	assert_false(packet_unhex("xx", 2, bytes));
}

struct number {
	const char *text;
	bool valid;
	uint64_t value;
	size_t used;
};

static void hex_numbers(void **state)
{
	static const struct number numbers[] = {
		{"0", true, 0, 1},
		{"1f,2", true, 0x1f, 2},
		{"FFffFFffFFffFFff;", true, UINT64_MAX, 16},
		{"10000000000000000", false, 0, 0}, /* 2^64 */
		{"", false, 0, 0},
		{"-1", false, 0, 0},
		{" 1", false, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *at = numbers[i].text;
		uint64_t value;

		assert_int_equal(packet_hex_number(&at, &value), numbers[i].valid);
		assert_int_equal(at - numbers[i].text, numbers[i].used);
		if (numbers[i].valid)
			assert_int_equal(value, numbers[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_the_same_however_the_bytes_arrive),
		cmocka_unit_test(payload_may_hold_nul_bytes),
		cmocka_unit_test(longest_payload_is_taken_and_no_longer_one),
		cmocka_unit_test(frames_carry_the_checksum),
		cmocka_unit_test(escapes_and_run_lengths_are_undone),
		cmocka_unit_test(longest_run_is_97_more),
		cmocka_unit_test(broken_encodings_are_errors),
		cmocka_unit_test(bomb_of_run_lengths_is_refused),
		cmocka_unit_test(every_byte_survives_escape_and_decode),
		cmocka_unit_test(hex_digits_both_ways),
		cmocka_unit_test(hex_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
