/* SPDX-License-Identifier: MIT */
/* What GDB has not negotiated it does not get, and the stub gets its own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "relay/gdb_dialect.h"
#include "support/expect.h"

static const struct gdb_dialect plain;
static const struct gdb_dialect full = {.multiprocess = true, .swbreak = true, .hwbreak = true, .no_resumed = true};

struct translation {
	const char *from;
	const char *to; /* NULL: as it is */
};

static void is(char *found, const struct translation *expected)
{
	FREE char *owned = found;

	if (!expected->to)
		assert_null(owned);
	else
		assert_string_equal(owned ? owned : expected->from, expected->to);
}

static void to_stub(const struct gdb_dialect *client, bool stub_multiprocess, const char *process,
		    const struct translation *expected)
{
	struct gdb_request request;
	char *found = NULL;

	gdb_request_parse(expected->from, &request);
	succeeds(gdb_dialect_request(client, stub_multiprocess, process, &request, expected->from, &found));
	is(found, expected);
}

static void to_client(const struct gdb_dialect *client, enum gdb_request_kind kind, const struct translation *expected)
{
	char *found = NULL;

	succeeds(gdb_dialect_reply(client, kind, expected->from, strlen(expected->from), &found));
	is(found, expected);
}

static void what_a_debugger_says_of_itself(void **state)
{
	struct gdb_dialect dialect;

	(void)state;
	gdb_dialect_read("qSupported:multiprocess+;swbreak+;hwbreak+;no-resumed+;xmlRegisters=i386", &dialect);
	assert_true(dialect.multiprocess && dialect.swbreak && dialect.hwbreak && dialect.no_resumed);
	gdb_dialect_read("qSupported:swbreak+;multiprocess-;multiprocess;hwbreak=+x", &dialect);
	assert_true(dialect.swbreak && !dialect.multiprocess && dialect.hwbreak);
	gdb_dialect_read("qSupported", &dialect);
	assert_false(dialect.multiprocess || dialect.swbreak || dialect.hwbreak);
	gdb_dialect_read("qSupported:", &dialect);
	assert_false(dialect.multiprocess);
}

static void what_is_offered(void **state)
{
	(void)state;
	assert_true(gdb_dialect_carries(&full, true, "multiprocess"));
	assert_false(gdb_dialect_carries(&plain, true, "multiprocess"));
	assert_false(gdb_dialect_carries(&plain, true, "swbreak"));
	assert_false(gdb_dialect_carries(&plain, true, "hwbreak"));
	assert_false(gdb_dialect_carries(&plain, true, "no-resumed"));
	assert_true(gdb_dialect_carries(&full, true, "no-resumed"));
	assert_true(gdb_dialect_carries(&plain, true, "qXfer:features:read"));
	assert_false(gdb_dialect_carries(&plain, true, "qXfer:threads:read"));
	assert_true(gdb_dialect_carries(&plain, false, "qXfer:threads:read"));
	assert_true(gdb_dialect_carries(&full, true, "qXfer:threads:read"));
}

static void threads_get_their_process(void **state)
{
	static const struct translation all[] = {
		{"Hg1", "Hgp7b.1"},
		{"Hg0", NULL},
		{"Hc-1", NULL},
		{"Hgp7b.1", NULL},
		{"Hg", NULL},
		{"H", NULL},
		{"T1f", "Tp7b.1f"},
		{"qThreadExtraInfo,2", "qThreadExtraInfo,p7b.2"},
		{"qGetTLSAddr:2,10,0", "qGetTLSAddr:p7b.2,10,0"},
		{"vCont;c", NULL},
		{"vCont;s:1;c", "vCont;s:p7b.1;c"},
		{"vCont;C05:1;s:2;c:-1", "vCont;C05:p7b.1;s:p7b.2;c:-1"},
		{"vCont;", NULL},
		{"vCont;s:", NULL},
		{"vCont?", NULL},
		{"D", "D;7b"},
		{"D;a410", "D;7b"}, /* GDB's own number, for want of one */
		{"vKill;a410", "vKill;7b"},
		{"k", NULL},
		{"m1,1", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		to_stub(&plain, true, "7b", &all[i]);
	to_stub(&plain, true, "", &(struct translation){"Hg1", NULL});
	to_stub(&plain, true, "", &(struct translation){"D", NULL});
	to_stub(&full, true, "7b", &(struct translation){"D;1", NULL});
	to_stub(&full, true, "7b", &(struct translation){"vKill;1", NULL});
}

static void threads_lose_their_process(void **state)
{
	static const struct translation all[] = {
		{"Hgp1.2", "Hg2"},
		{"Hgp1", "Hg-1"},
		{"Hg2", NULL},
		{"Tp1.2", "T2"},
		{"vCont;s:p1.1;c:p1.-1", "vCont;s:1;c:-1"},
		{"D;1", NULL},
		{"vKill;1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		to_stub(&full, false, "", &all[i]);
}

static void replies_without_processes(void **state)
{
	static const struct translation stops[] = {
		{"T05thread:p1.1;", "T05thread:1;"},
		{"T05thread:p01.01;", "T05thread:01;"},
		{"T05swbreak:;06:00;thread:p7b.7c;core:1;", "T0506:00;thread:7c;core:1;"},
		{"T05hwbreak:;thread:1", "T05thread:1"},
		{"T05watch:1000;thread:p1.1;", "T05watch:1000;thread:1;"},
		{"T05threads:p1.1,p1.2;thread:p1.2", "T05threads:1,2;thread:2"},
		{"T05fork:p2.2;thread:p1.1;", "T05fork:2;thread:1;"},
		{"T05thread:1;", NULL},
		{"T05thread:", NULL},
		{"T05;;;", NULL},
		{"T05", NULL},
		{"S05", NULL},
		{"W3;process:1", "W3"},
		{"W03;process:1", "W03"},
		{"X09;process:1", "X09"},
		{"W00", NULL},
		{"w00;p1.2", "w00;2"},
		{"w00", NULL},
		{"N", "E.No unwaited-for children left."},
		{"E01", NULL},
		{"OK", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		to_client(&plain, GDB_RESUME, &stops[i]);
		to_client(&full, GDB_RESUME, &(struct translation){stops[i].from, NULL});
	}
	to_client(&plain, GDB_CURRENT_THREAD, &(struct translation){"QCp1.1", "QC1"});
	to_client(&plain, GDB_CURRENT_THREAD, &(struct translation){"QC1", NULL});
	to_client(&plain, GDB_CURRENT_THREAD, &(struct translation){"QC", NULL});
	to_client(&plain, GDB_THREADS, &(struct translation){"mp1.1,p1.2,p1.a", "m1,2,a"});
	to_client(&plain, GDB_THREADS, &(struct translation){"m1,2", NULL});
	to_client(&plain, GDB_THREADS, &(struct translation){"m", NULL});
	to_client(&plain, GDB_THREADS, &(struct translation){"l", NULL});
	to_client(&plain, GDB_QUESTION, &(struct translation){"mp1.1", NULL}); /* not an id */
	to_client(&plain, GDB_DETACH, &(struct translation){"OK", NULL});
}

static void each_reason_for_itself(void **state)
{
	struct gdb_dialect client = {.multiprocess = true, .hwbreak = true};

	(void)state;
	to_client(&client, GDB_RESUME, &(struct translation){"T05swbreak:;thread:p1.1;", "T05thread:p1.1;"});
	to_client(&client, GDB_RESUME, &(struct translation){"T05hwbreak:;thread:p1.1;", NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_debugger_says_of_itself), cmocka_unit_test(what_is_offered),
		cmocka_unit_test(threads_get_their_process),      cmocka_unit_test(threads_lose_their_process),
		cmocka_unit_test(replies_without_processes),      cmocka_unit_test(each_reason_for_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
