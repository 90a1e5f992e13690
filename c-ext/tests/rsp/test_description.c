/* SPDX-License-Identifier: MIT */
/* Target descriptions: where each register lies, and what a hostile stub may not do with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "rsp/description.h"

struct annex {
	const char *name;
	const char *text;
};

/* The context is a list of annexes that a NULL name ends. */
static struct cs_error *fetch(void *context, const char *name, char **ret, size_t *ret_length)
{
	for (const struct annex *annex = context; annex->name; annex++)
		if (strcmp(annex->name, name) == 0) {
			*ret = strdup(annex->text);
			*ret_length = strlen(annex->text);
			return NULL;
		}
	return cs_error_create(CS_ERROR_REFUSED, "no annex %s", name);
}

static struct target *read_annexes(const struct annex *annexes)
{
	struct target *target = NULL;

	assert_null(target_create(fetch, (void *)annexes, &target));
	return target;
}

static struct target *read_text(const char *text)
{
	return read_annexes((const struct annex[]){{"target.xml", text}, {NULL, NULL}});
}

static void refused(const struct annex *annexes, enum cs_error_code code)
{
	struct target *target = NULL;
	struct cs_error *error = target_create(fetch, (void *)annexes, &target);

	assert_non_null(error);
	assert_int_equal(error->code, code);
	assert_null(target);
	cs_error_destroy(error);
}

static void refused_text(const char *text)
{
	refused((const struct annex[]){{"target.xml", text}, {NULL, NULL}}, CS_ERROR_PROTOCOL);
}

static void lies_at(const struct target *target, const char *name, size_t offset, uint32_t bits)
{
	const struct target_register *reg = target_find(target, name);

	assert_non_null(reg);
	assert_int_equal(reg->offset, offset);
	assert_int_equal(reg->bits, bits);
}

/* As QEMU does it: the architecture in target.xml, the registers in a file that it includes. */
static void registers_of_an_included_file(void **state)
{
	static const struct annex annexes[] = {
		{"target.xml", "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
			       "<target><architecture>i386:x86-64</architecture>"
			       "<xi:include href=\"core.xml\"/><xi:include href=\"more.xml\"/></target>"},
		{"core.xml",
		 "<feature name=\"org.gnu.gdb.i386.core\">"
		 "<reg name=\"rax\" bitsize=\"64\"/><reg name=\"eflags\" bitsize=\"32\" type=\"x\"/></feature>"},
		{"more.xml",
		 "<feature name=\"f\"><reg name=\"st0\" bitsize=\"80\"/><reg name=\"cr3\" bitsize=\"64\"/></feature>"},
		{NULL, NULL},
	};
	struct target *target = read_annexes(annexes);

	(void)state;
	assert_string_equal(target->architecture, "i386:x86-64");
	assert_int_equal(target->count, 4);
	lies_at(target, "rax", 0, 64);
	lies_at(target, "eflags", 8, 32);
	lies_at(target, "st0", 12, 80);
	lies_at(target, "cr3", 22, 64);
	assert_int_equal(target->g_size, 30);
	assert_null(target_find(target, "cr4"));
	target_destroy(target);
}

/* GDB lays `g` out by register number, without gaps for numbers that are not there. */
static void numbers_decide_the_order(void **state)
{
	struct target *target =
		read_text("<target><reg name=\"c\" bitsize=\"16\" regnum=\"900\"/>"
			  "<reg name=\"d\" bitsize=\"8\"/>"
			  "<reg name=\"a\" bitsize=\"32\" regnum=\"1\"/><reg name=\"b\" bitsize=\"1\"/></target>");

	(void)state;
	lies_at(target, "a", 0, 32);
	lies_at(target, "b", 4, 1);
	lies_at(target, "c", 5, 16);
	lies_at(target, "d", 7, 8);
	assert_int_equal(target_find(target, "d")->number, 901);
	assert_int_equal(target->g_size, 8);
	target_destroy(target);
}

static void description_without_registers_is_legal(void **state)
{
	struct target *target = read_text("<target><architecture>i386</architecture></target>");

	(void)state;
	assert_string_equal(target->architecture, "i386");
	assert_int_equal(target->count, 0);
	assert_int_equal(target->g_size, 0);
	target_destroy(target);
}

static void names_are_cut_not_overrun(void **state)
{
	char text[512];
	struct target *target;

	(void)state;
	snprintf(text, sizeof(text),
		 "<target><architecture>%0100d</architecture><reg name=\"%0100d\" bitsize=\"8\"/></target>", 1, 2);
	target = read_text(text);
	assert_in_range(strlen(target->architecture), 0, TARGET_NAME_MAX - 1);
	assert_int_equal(strlen(target->registers[0].name), TARGET_NAME_MAX - 1);
	target_destroy(target);
}

static void what_is_no_description(void **state)
{
	(void)state;
	refused_text("");
	refused_text("OK");
	refused_text("<target>");
	refused_text("<target></feature>");
	refused_text("<target>&nothing;</target>");
	refused_text("<target><reg bitsize=\"8\"/></target>");
	refused_text("<target><reg name=\"a\"/></target>");
	refused_text("<target><reg name=\"a\" bitsize=\"8\"/>"); /* cut off behind a register */
}

static void sizes_that_no_register_has(void **state)
{
	static const char *const sizes[] = {"-1", "-64", "4097", "4294967360", "99999999999999999999",
					    "0",  "",    "x",    "64x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char text[128];

		snprintf(text, sizeof(text), "<target><reg name=\"a\" bitsize=\"%s\"/></target>", sizes[i]);
		refused_text(text);
	}
}

static void numbers_that_no_register_has(void **state)
{
	static const char *const numbers[] = {"-1", "4294967296", "99999999999999999999", "", "x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char text[128];

		snprintf(text, sizeof(text), "<target><reg name=\"a\" bitsize=\"8\" regnum=\"%s\"/></target>",
			 numbers[i]);
		refused_text(text);
	}
}

static void includes_end_somewhere(void **state)
{
	static const struct annex itself[] = {{"target.xml", "<target><xi:include href=\"target.xml\"/></target>"},
					      {NULL, NULL}};
	static const struct annex circle[] = {
		{"target.xml", "<target><xi:include href=\"a\"/></target>"},
		{"a", "<f><xi:include href=\"b\"/></f>"},
		{"b", "<f><xi:include href=\"a\"/></f>"},
		{NULL, NULL},
	};
	static const struct annex missing[] = {{"target.xml", "<target><xi:include href=\"none\"/></target>"},
					       {NULL, NULL}};
	static const struct annex broken[] = {
		{"target.xml", "<target><xi:include href=\"a\"/></target>"}, {"a", "<f"}, {NULL, NULL}};

	(void)state;
	refused(itself, CS_ERROR_PROTOCOL);
	refused(circle, CS_ERROR_PROTOCOL);
	refused(missing, CS_ERROR_REFUSED);
	refused(broken, CS_ERROR_PROTOCOL);
}

static void thousands_of_registers_are_refused(void **state)
{
	static const char each[] = "<reg name=\"r\" bitsize=\"8\"/>";
	size_t count = 4096;
	FREE char *text = malloc(64 + (count + 1) * sizeof(each));
	struct target *target;
	size_t n;

	(void)state;
	assert_non_null(text);
	n = (size_t)sprintf(text, "<target>");
	for (size_t i = 0; i < count; i++)
		n += (size_t)sprintf(text + n, "%s", each);
	sprintf(text + n, "</target>");
	target = read_text(text);
	assert_int_equal(target->count, count);
	assert_int_equal(target->g_size, count);
	target_destroy(target);

	sprintf(text + n, "%s</target>", each);
	refused_text(text);
}

/* "A billion laughs": a short text that entities blow up. */
static void entity_bomb_is_refused(void **state)
{
	char text[4096];
	size_t n = (size_t)sprintf(text, "<!DOCTYPE target [<!ENTITY e0 \"ha ha ha ha ha ha ha ha\">");

	(void)state;
	for (int i = 1; i < 12; i++) {
		n += (size_t)sprintf(text + n, "<!ENTITY e%d \"", i);
		for (int j = 0; j < 12; j++)
			n += (size_t)sprintf(text + n, "&e%d;", i - 1);
		n += (size_t)sprintf(text + n, "\">");
	}
	sprintf(text + n, "]><target><architecture>&e11;</architecture></target>");
	refused_text(text);
}

/* Nothing but what the stub was asked for is ever read. */
static void files_of_this_machine_are_not_read(void **state)
{
	struct target *target = read_text("<!DOCTYPE target [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>"
					  "<target><architecture>a&f;b</architecture></target>");

	(void)state;
	assert_string_equal(target->architecture, "ab");
	target_destroy(target);
}

static void gdbs_own_layout(void **state)
{
	struct target *target = NULL;

	(void)state;
	assert_null(target_create_assumed(arch_at(0), &target));
	lies_at(target, "rax", 0, 64);
	lies_at(target, "r15", 120, 64);
	lies_at(target, "rip", 128, 64);
	lies_at(target, "eflags", 136, 32);
	lies_at(target, "gs", 160, 32);
	assert_int_equal(target->g_size, 164);
	target_destroy(target);
	target_destroy(NULL);
}

static void values_are_little_endian_and_inside_the_reply(void **state)
{
	static const uint8_t g[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	struct target_register reg = {.bits = 64, .offset = 1};

	(void)state;
	assert_true(target_value(&reg, g, sizeof(g)) == 0x0908070605040302);
	assert_true(target_value(&reg, g, 9) == 0x0908070605040302);
	assert_true(target_value(&reg, g, 8) == 0); /* the reply is too short */
	reg.bits = 12;
	assert_true(target_value(&reg, g, sizeof(g)) == 0x0302);
	reg.bits = 128;
	reg.offset = 2;
	assert_true(target_value(&reg, g, sizeof(g)) == 0x0a09080706050403);
	reg.offset = SIZE_MAX;
	assert_true(target_value(&reg, g, sizeof(g)) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_of_an_included_file),
		cmocka_unit_test(numbers_decide_the_order),
		cmocka_unit_test(description_without_registers_is_legal),
		cmocka_unit_test(names_are_cut_not_overrun),
		cmocka_unit_test(what_is_no_description),
		cmocka_unit_test(sizes_that_no_register_has),
		cmocka_unit_test(numbers_that_no_register_has),
		cmocka_unit_test(includes_end_somewhere),
		cmocka_unit_test(thousands_of_registers_are_refused),
		cmocka_unit_test(entity_bomb_is_refused),
		cmocka_unit_test(files_of_this_machine_are_not_read),
		cmocka_unit_test(gdbs_own_layout),
		cmocka_unit_test(values_are_little_endian_and_inside_the_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
