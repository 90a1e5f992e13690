/* SPDX-License-Identifier: MIT */
/* Stop replies, errors, thread ids and feature lists, as stubs send them and as they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "rsp/reply.h"

static struct stop_reply parse(const char *payload)
{
	struct stop_reply stop;

	reply_parse_stop(payload, strlen(payload), &stop);
	return stop;
}

struct expected {
	const char *payload;
	enum stop_kind kind;
	uint8_t signal;
	enum stop_cause cause;
	const char *thread;
};

static const struct expected stops[] = {
	{"S05", STOP_SIGNAL, 5, STOP_CAUSE_UNSAID, ""},
	{"T05thread:p01.02;", STOP_SIGNAL, 5, STOP_CAUSE_UNSAID, "p1.2"}, /* QEMU */
	{"T02", STOP_SIGNAL, 2, STOP_CAUSE_UNSAID, ""},
	{"T05hwbreak:;thread:1;", STOP_SIGNAL, 5, STOP_CAUSE_BREAKPOINT, "1"},
	{"T05swbreak:;06:00;thread:p7b.7b;core:1;", STOP_SIGNAL, 5, STOP_CAUSE_BREAKPOINT, "p7b.7b"}, /* gdbserver */
	{"T05watch:ffffffff81000000;thread:01;", STOP_SIGNAL, 5, STOP_CAUSE_WATCHPOINT, "1"},
	{"T05rwatch:1;", STOP_SIGNAL, 5, STOP_CAUSE_WATCHPOINT, ""},
	{"T05awatch:1;thread:2", STOP_SIGNAL, 5, STOP_CAUSE_WATCHPOINT, "2"}, /* no ';' at the end */
	{"T05library:;", STOP_SIGNAL, 5, STOP_CAUSE_OTHER, ""},
	{"T05replaylog:begin;", STOP_SIGNAL, 5, STOP_CAUSE_OTHER, ""},
	{"T05fork:p1.1;", STOP_SIGNAL, 5, STOP_CAUSE_OTHER, ""},
	/* Keys that the manual does not know are to be ignored: such a stop may still be a probe's. */
	{"T05reason:breakpoint;threads:1,2;thread:2;:;", STOP_SIGNAL, 5, STOP_CAUSE_UNSAID, "2"},
	{"T05;;;thread;", STOP_SIGNAL, 5, STOP_CAUSE_UNSAID, ""},
	{"W00", STOP_EXITED, 0, STOP_CAUSE_UNSAID, ""},
	{"W2a;process:1", STOP_EXITED, 0x2a, STOP_CAUSE_UNSAID, ""},
	{"W0;process:ed8", STOP_EXITED, 0, STOP_CAUSE_UNSAID, ""},
	{"Wb", STOP_EXITED, 11, STOP_CAUSE_UNSAID, ""},
	{"X0b", STOP_TERMINATED, 11, STOP_CAUSE_UNSAID, ""},
};

static void stop_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		struct stop_reply stop = parse(stops[i].payload);

		assert_int_equal(stop.kind, stops[i].kind);
		assert_int_equal(stop.signal, stops[i].signal);
		assert_int_equal(stop.cause, stops[i].cause);
		assert_string_equal(stop.thread, stops[i].thread);
	}
}

static void what_is_no_stop(void **state)
{
	static const char *const others[] = {"",    "OK", "S", "S5",          "Sxx", "T0",      "E01",
					     "O41", "N",  "W", "W;process:1", "X0x", "vCont;c", "s05"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(parse(others[i]).kind, STOP_NONE);
}

static void registers_come_along(void **state)
{
	struct stop_reply stop = parse("T0506:0102030405060708090a;10:f0FF;7:;8:0;9:xx;fffffffff:00;thread:1;");

	(void)state;
	assert_int_equal(stop.registers, 2);
	assert_int_equal(stop.registers_sent[0].number, 6);
	assert_int_equal(stop.registers_sent[0].size, 8); /* cut */
	assert_memory_equal(stop.registers_sent[0].bytes, "\1\2\3\4\5\6\7\10", 8);
	assert_int_equal(stop.registers_sent[1].number, 0x10);
	assert_int_equal(stop.registers_sent[1].size, 2);
	assert_memory_equal(stop.registers_sent[1].bytes, "\xf0\xff", 2);
	assert_string_equal(stop.thread, "1");
}

static void hundreds_of_pairs_lose_nothing_that_matters(void **state)
{
	char text[4096] = "T05";
	size_t n = 3;
	struct stop_reply stop;

	(void)state;
	for (unsigned i = 0; i < 400; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%x:01;", i);
	snprintf(text + n, sizeof(text) - n, "watch:10;thread:p1.3;");
	stop = parse(text);
	assert_int_equal(stop.registers, REPLY_REGISTERS_MAX);
	assert_int_equal(stop.cause, STOP_CAUSE_WATCHPOINT);
	assert_string_equal(stop.thread, "p1.3");
}

static void errors(void **state)
{
	int number = 0;

	(void)state;
	assert_true(reply_is_error("E22", 3, &number));
	assert_int_equal(number, 0x22);
	assert_true(reply_is_error("E.no such register", 18, &number));
	assert_int_equal(number, -1);
	assert_true(reply_is_error("E.", 2, &number));
	assert_false(reply_is_error("", 0, &number));
	assert_false(reply_is_error("E", 1, &number));
	assert_false(reply_is_error("E1", 2, &number));
	assert_false(reply_is_error("Exy", 3, &number));
	assert_false(reply_is_error("E0102", 5, &number)); /* two bytes of memory */
	assert_false(reply_is_error("OK", 2, &number));
}

struct thread {
	const char *said;
	const char *kept;
	unsigned cpu;
};

static void thread_ids(void **state)
{
	static const struct thread threads[] = {
		{"p01.01", "p1.1", 0},
		{"p1.a", "p1.a", 9},
		{"p01.0A", "p1.a", 9}, /* one id, in whatever case */
		{"p0.0", "p0.0", 0},
		{"p000.000", "p0.0", 0},
		{"p-1.-1", "p-1.-1", 0},
		{"-1", "-1", 0},
		{"0", "0", 0},
		{"04", "4", 3},
		{"100", "100", 255},
		{"p1.1001", "p1.1001", 0}, /* no machine has 4097 vCPUs: a process's thread id */
		{"p1.1000", "p1.1000", 4095},
		{"pffffffffffffffff.ffffffffffffffff", "pffffffffffffffff.ffffffffffffffff", 0},
		{"p11111111111111111111.22222222222222222222", "", 0}, /* too long */
		{"1;2", "", 0},
		{"main", "", 0},
		{"\x1b[31m", "", 0},
		{"", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		char kept[REPLY_THREAD_MAX];

		reply_copy_thread(threads[i].said, strlen(threads[i].said), kept);
		assert_string_equal(kept, threads[i].kept);
		assert_int_equal(reply_thread_cpu(kept), threads[i].cpu);
	}
}

/* `name` or `name value`, each in brackets. */
static void fields_are(const char *text, const char *expected)
{
	const char *at = text;
	struct reply_field field;
	char found[256] = "";
	size_t n = 0;

	while (reply_next_field(&at, text + strlen(text), &field))
		n += (size_t)snprintf(found + n, sizeof(found) - n, "[%.*s%s%.*s]", (int)field.name_length, field.name,
				      field.value ? " " : "", (int)field.value_length, field.value ? field.value : "");
	assert_string_equal(found, expected);
}

static void feature_lists(void **state)
{
	(void)state;
	fields_are("", "");
	fields_are("PacketSize=1000;qXfer:features:read+;multiprocess-;vCont?",
		   "[PacketSize 1000][qXfer:features:read +][multiprocess -][vCont ?]");
	fields_are("c;C;s;S", "[c][C][s][S]");
	fields_are("a=", "[a ]");
	fields_are("a=b=c+", "[a b=c+]");
	fields_are(";;a+;", "[][][a +]");
	fields_are("=x;+", "[ x][ +]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_replies),
		cmocka_unit_test(what_is_no_stop),
		cmocka_unit_test(registers_come_along),
		cmocka_unit_test(hundreds_of_pairs_lose_nothing_that_matters),
		cmocka_unit_test(errors),
		cmocka_unit_test(thread_ids),
		cmocka_unit_test(feature_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
