/* SPDX-License-Identifier: MIT */
/* The error type: what a message says, and who owns it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"

static void message_is_formatted(void **state)
{
	struct cs_error *error = cs_error_create(CS_ERROR_REFUSED, "%s at 0x%x", "no memory is mapped", 0x1000);

	(void)state;
	assert_int_equal(error->code, CS_ERROR_REFUSED);
	assert_string_equal(error->message, "no memory is mapped at 0x1000");
	cs_error_destroy(error);
}

static void system_error_appends_errnos_text(void **state)
{
	struct cs_error *error = cs_error_system(CS_ERROR_CONNECT, ECONNREFUSED, "%s:%d", "localhost", 1234);

	(void)state;
	assert_int_equal(error->code, CS_ERROR_CONNECT);
	assert_string_equal(error->message, "localhost:1234: Connection refused");
	cs_error_destroy(error);
}

/* What a guest says is an argument, never a format. */
static void percent_signs_of_a_guest_are_text(void **state)
{
	struct cs_error *error = cs_error_create(CS_ERROR_PROTOCOL, "it sent \"%s\"", "%s%n");

	(void)state;
	assert_string_equal(error->message, "it sent \"%s%n\"");
	cs_error_destroy(error);
}

static void destroying_nothing_or_the_static_error_does_nothing(void **state)
{
	(void)state;
	cs_error_destroy(NULL);
	cs_error_destroy(&cs_error_no_memory);
	cs_error_destroy(&cs_error_no_memory);
	assert_int_equal(cs_error_no_memory.code, CS_ERROR_NO_MEMORY);
	assert_string_equal(cs_error_no_memory.message, "out of memory");
}

static struct cs_error *pass(struct cs_error *error, int *reached)
{
	CS_TRY(error);
	++*reached;
	return NULL;
}

static void try_returns_an_error_and_goes_on_without(void **state)
{
	struct cs_error *error = cs_error_create(CS_ERROR_STATE, "running");
	int reached = 0;

	(void)state;
	assert_ptr_equal(pass(error, &reached), error);
	assert_int_equal(reached, 0);
	assert_null(pass(NULL, &reached));
	assert_int_equal(reached, 1);
	cs_error_destroy(error);
}

static void taking_a_pointer_leaves_null(void **state)
{
	char text[] = "x";
	char *from = text;
	char *to = TAKE_PTR(from);

	(void)state;
	assert_ptr_equal(to, text);
	assert_null(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_is_formatted),
		cmocka_unit_test(system_error_appends_errnos_text),
		cmocka_unit_test(percent_signs_of_a_guest_are_text),
		cmocka_unit_test(destroying_nothing_or_the_static_error_does_nothing),
		cmocka_unit_test(try_returns_an_error_and_goes_on_without),
		cmocka_unit_test(taking_a_pointer_leaves_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
