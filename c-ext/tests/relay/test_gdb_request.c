/* SPDX-License-Identifier: MIT */
/* What GDB asks for, by its packets, and what a stub's reply makes of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "relay/gdb_request.h"

static struct gdb_request parse(const char *payload)
{
	struct gdb_request request;

	gdb_request_parse(payload, &request);
	return request;
}

struct expected {
	const char *payload;
	enum gdb_request_kind kind;
};

static void kinds(void **state)
{
	static const struct expected all[] = {
		{"qSupported", GDB_FEATURES},
		{"qSupported:multiprocess+;swbreak+", GDB_FEATURES},
		{"QStartNoAckMode", GDB_NO_ACK},
		{"vCont?", GDB_VCONT_ACTIONS},
		{"?", GDB_WHY_STOPPED},
		{"QNonStop:1", GDB_NOT_OFFERED},
		{"vMustReplyEmpty", GDB_NOT_OFFERED},
		{"qRcmd,696e666f", GDB_MONITOR},
		{"qC", GDB_CURRENT_THREAD},
		{"qCRC:1000,4", GDB_QUESTION},
		{"qfThreadInfo", GDB_THREADS},
		{"qsThreadInfo", GDB_THREADS},
		{"Hgp1.1", GDB_CHOOSE_THREAD},
		{"Z0,1000,1", GDB_BREAKPOINT},
		{"z1,ffffffff81000000,1", GDB_BREAKPOINT},
		{"Z2,1000,8", GDB_WATCHPOINT},
		{"z4,1000,1", GDB_WATCHPOINT},
		{"Z5,1000,1", GDB_QUESTION},
		{"Z0", GDB_QUESTION},
		{"Z", GDB_QUESTION},
		{"Z0,", GDB_QUESTION},
		{"Z0,g,1", GDB_QUESTION},
		{"D", GDB_DETACH},
		{"D;1", GDB_DETACH},
		{"vKill;1", GDB_KILL},
		{"vKill", GDB_KILL},
		{"vKillAll", GDB_QUESTION},
		{"k", GDB_KILL_UNANSWERED},
		{"R00", GDB_RESTART},
		{"vRun;6c73", GDB_START},
		{"vAttach;1", GDB_START},
		{"vCont;c", GDB_RESUME},
		{"c", GDB_RESUME},
		{"C05;1000", GDB_RESUME},
		{"s1000", GDB_RESUME},
		{"S05", GDB_RESUME},
		{"bc", GDB_REVERSE},
		{"bs", GDB_REVERSE},
		{"b115200", GDB_QUESTION},
		{"F0,0", GDB_FILE_ANSWER},
		{"g", GDB_QUESTION},
		{"m1000,4", GDB_QUESTION},
		{"T1", GDB_QUESTION},
		{"vFile:open:2f,0,0", GDB_QUESTION},
		{"vStopped", GDB_QUESTION},
		{"!", GDB_QUESTION},
		{"", GDB_QUESTION},
		{"\x03", GDB_QUESTION},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(parse(all[i].payload).kind, all[i].kind);
}

static void what_stands_in_a_request(void **state)
{
	(void)state;
	assert_true(parse("Z1,ffffffff81000000,1").insert);
	assert_false(parse("z0,10,1;X1,0").insert);
	assert_int_equal(parse("Z1,ffffffff81000000,1").address, 0xffffffff81000000u);
	assert_int_equal(parse("Z1,10,1").type, '1');
	assert_int_equal(parse("z4,8000,20").length, 0x20);
	assert_int_equal(parse("Z2,8000,x").kind, GDB_QUESTION);
	assert_int_equal(parse("Hgp01.02").purpose, 'g');
	assert_string_equal(parse("Hgp01.02").thread, "p1.2");
	assert_string_equal(parse("Hc-1").thread, "-1");
	assert_string_equal(parse("Hg").thread, "");
	assert_string_equal(parse("H").thread, "");
	assert_string_equal(parse("D;01").process, "1");
	assert_string_equal(parse("vKill;A410").process, "a410");
	assert_string_equal(parse("D").process, "");
	assert_string_equal(parse("D;").process, "");
	assert_string_equal(parse("D;what").process, "");
}

static void what_is_awaited(void **state)
{
	(void)state;
	assert_false(gdb_request_asks(GDB_NOTHING) || gdb_request_resumes(GDB_NOTHING));
	for (enum gdb_request_kind kind = GDB_FEATURES; kind <= GDB_START; kind++)
		assert_true(gdb_request_asks(kind) != gdb_request_resumes(kind));
	assert_true(gdb_request_resumes(GDB_RESUME) && gdb_request_resumes(GDB_START) &&
		    gdb_request_resumes(GDB_REVERSE));
}

struct judged {
	enum gdb_request_kind kind;
	const char *reply;
	enum gdb_outcome outcome;
};

static void replies_are_judged_by_what_was_asked(void **state)
{
	static const struct judged all[] = {
		{GDB_KILL, "OK", GDB_KILLED},
		{GDB_KILL, "X09", GDB_KILLED}, /* the end itself, where OK was expected */
		{GDB_KILL, "X09;process:1", GDB_KILLED},
		{GDB_KILL, "", GDB_HOLDS}, /* unknown: GDB now sends `k` */
		{GDB_KILL, "E01", GDB_HOLDS},
		{GDB_KILL, "E.not today", GDB_HOLDS},
		{GDB_DETACH, "OK", GDB_DETACHED},
		{GDB_DETACH, "", GDB_HOLDS},
		{GDB_DETACH, "E01", GDB_HOLDS},
		{GDB_DETACH, "W00", GDB_ENDED},
		{GDB_KILL_UNANSWERED, "OK", GDB_KILLED},
		{GDB_KILL_UNANSWERED, "W00", GDB_KILLED}, /* QEMU */
		{GDB_KILL_UNANSWERED, "", GDB_UNSETTLED}, /* bhyve */
		{GDB_KILL_UNANSWERED, "E01", GDB_UNSETTLED},
		{GDB_KILL_UNANSWERED, "1234", GDB_HOLDS}, /* late: of a question before */
		{GDB_QUESTION, "OK", GDB_HOLDS},
		{GDB_QUESTION, "", GDB_HOLDS},
		{GDB_QUESTION, "W00", GDB_ENDED},
		{GDB_QUESTION, "X0b;process:1", GDB_ENDED},
		{GDB_BREAKPOINT, "E22", GDB_HOLDS},
		{GDB_RESUME, "W00", GDB_HOLDS}, /* is what it waits for */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(gdb_request_judge(all[i].kind, all[i].reply, strlen(all[i].reply)), all[i].outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(what_stands_in_a_request),
		cmocka_unit_test(what_is_awaited),
		cmocka_unit_test(replies_are_judged_by_what_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
