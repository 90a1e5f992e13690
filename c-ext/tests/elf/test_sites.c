/* SPDX-License-Identifier: MIT */
/* Linux's tables of patched text, from small ELF files that hold some entries of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "elf/sites.h"
#include "support/elf_image.h"

#define TEXT 0xffffffff81000000u
#define DATA 0xffffffff82000000u

static struct image image;

/* A table in the making: bytes at DATA + used. */
struct table {
	uint8_t bytes[256];
	size_t used;
};

static void put(struct table *table, uint64_t value, size_t size)
{
	memcpy(table->bytes + table->used, &value, size);
	table->used += size;
}

/* The offset of a place in the text from where it is stored. */
static void put_relative(struct table *table, uint64_t target)
{
	put(table, target - (DATA + table->used), 4);
}

static struct sites *read_sites(const uint8_t *text, size_t size, const struct table *table, const char *start,
				const char *stop)
{
	struct cs_error *error;
	struct sites *sites;
	struct elf *elf;
	uint16_t data;
	char path[32];

	image_start(&image);
	image_section(&image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text, size);
	data = image_section(&image, ".data", SHT_PROGBITS, SHF_ALLOC, DATA, table->bytes, table->used);
	image_symbol(&image, start, STT_NOTYPE, data, DATA, 0);
	image_symbol(&image, stop, STT_NOTYPE, data, DATA + table->used, 0);
	image_finish(&image);
	assert_true(image_write(&image, image.used, path));
	error = elf_create(path, &elf);
	unlink(path);
	assert_null(error);
	assert_null(sites_create(elf, &sites));
	elf_destroy(elf);
	return sites;
}

static const uint8_t plain[64] = {0x90};

static void alternatives_of_three_ages(void **state)
{
	static const size_t sizes[] = {12, 13, 14};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct table table = {.used = 0};
		struct sites *sites;

		for (uint64_t k = 0; k < 3; k++) {
			put_relative(&table, TEXT + 8 * k);
			put_relative(&table, TEXT + 48);
			put(&table, 0x123, sizes[i] == 14 ? 4 : 2);
			put(&table, 5, 1);
			put(&table, k, 1);
			if (sizes[i] == 13)
				put(&table, 0, 1);
		}
		sites = read_sites(plain, sizeof(plain), &table, "__alt_instructions", "__alt_instructions_end");
		assert_int_equal(sites->unread_count, 0);
		assert_int_equal(sites->count, 3);
		assert_int_equal(sites->items[2].address, TEXT + 16);
		assert_int_equal(sites->items[2].target, TEXT + 48);
		assert_int_equal(sites->items[2].length, 5);
		assert_int_equal(sites->items[2].extent, 2);
		assert_int_equal(sites->items[2].kind, SITE_ALTERNATIVE);
		sites_destroy(sites);
	}
}

static void static_keys_of_two_ages(void **state)
{
	static const uint8_t text[64] = {0x66, 0x90, 0xeb, 0x10, 0xe9, 1, 0, 0, 0}; /* nop; jmp; jmp */
	struct table relative = {.used = 0}, absolute = {.used = 0};
	const struct table *const tables[] = {&relative, &absolute};

	(void)state;
	for (uint64_t k = 0; k < 3; k++) {
		put_relative(&relative, TEXT + 2 * k);
		put_relative(&relative, TEXT + 32);
		put(&relative, 0x99, 8);
		put(&absolute, TEXT + 2 * k, 8);
		put(&absolute, TEXT + 32, 8);
		put(&absolute, 0x99, 8);
	}
	for (size_t i = 0; i < 2; i++) {
		struct sites *sites =
			read_sites(text, sizeof(text), tables[i], "__start___jump_table", "__stop___jump_table");

		assert_int_equal(sites->count, 3);
		assert_int_equal(sites->items[0].length, 2);
		assert_int_equal(sites->items[1].length, 2);
		assert_int_equal(sites->items[2].length, 5);
		assert_int_equal(sites->items[2].target, TEXT + 32);
		sites_destroy(sites);
	}
}

static void lists_of_calls_and_jumps(void **state)
{
	static const uint8_t text[64] = {0xe8, 0, 0, 0, 0, 0x2e, 0xe8, 0, 0, 0, 0, 0x0f, 0x84, 0, 0, 0, 0};
	static const struct {
		const char *start, *stop;
		enum site_kind kind;
		bool pairs;
	} lists[] = {
		{"__return_sites", "__return_sites_end", SITE_RETURN, false},
		{"__retpoline_sites", "__retpoline_sites_end", SITE_RETPOLINE, false},
		{"__start_static_call_sites", "__stop_static_call_sites", SITE_STATIC_CALL, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		static const uint64_t at[] = {0, 5, 11};
		static const uint32_t lengths[] = {5, 6, 6};
		struct table table = {.used = 0};
		struct sites *sites;

		for (size_t k = 0; k < 3; k++) {
			put_relative(&table, TEXT + at[k]);
			if (lists[i].pairs)
				put(&table, 0, 4);
		}
		sites = read_sites(text, sizeof(text), &table, lists[i].start, lists[i].stop);
		assert_int_equal(sites->count, 3);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(sites->items[k].address, TEXT + at[k]);
			assert_int_equal(sites->items[k].length, lengths[k]);
			assert_int_equal(sites->items[k].kind, lists[i].kind);
		}
		sites_destroy(sites);
	}
}

static void fixups_and_bugs(void **state)
{
	static const uint8_t text[64] = {0x0f, 0x0b, 0x0f, 0x0b};
	struct table fixups = {.used = 0}, bugs = {.used = 0};
	struct sites *sites;

	(void)state;
	put_relative(&fixups, TEXT + 7);
	put_relative(&fixups, TEXT + 9);
	put(&fixups, 3, 4);
	sites = read_sites(text, sizeof(text), &fixups, "__start___ex_table", "__stop___ex_table");
	assert_int_equal(sites->count, 1);
	assert_int_equal(sites->items[0].kind, SITE_FIXUP);
	assert_int_equal(sites->items[0].target, TEXT + 9);
	assert_false(site_is_patched(sites->items[0].kind));
	sites_destroy(sites);
	for (uint64_t warning = 0; warning < 2; warning++) {
		put_relative(&bugs, TEXT + 2 * warning);
		put(&bugs, 0, 4);
		put(&bugs, 77, 2);
		put(&bugs, warning, 2);
	}
	sites = read_sites(text, sizeof(text), &bugs, "__start___bug_table", "__stop___bug_table");
	assert_int_equal(sites->items[0].kind, SITE_BUG);
	assert_int_equal(sites->items[1].kind, SITE_WARN);
	sites_destroy(sites);
}

static void empty_entries_are_left_out(void **state)
{
	struct table locks = {.used = 0}, mcount = {.used = 0};
	struct sites *sites;

	(void)state;
	put_relative(&locks, TEXT + 3);
	put(&locks, 0, 8);
	sites = read_sites(plain, sizeof(plain), &locks, "__smp_locks", "__smp_locks_end");
	assert_int_equal(sites->count, 1);
	assert_int_equal(sites->items[0].kind, SITE_LOCK);
	sites_destroy(sites);
	put(&mcount, 0, 8);
	put(&mcount, TEXT + 16, 8);
	sites = read_sites(plain, sizeof(plain), &mcount, "__start_mcount_loc", "__stop_mcount_loc");
	assert_int_equal(sites->count, 1);
	assert_int_equal(sites->items[0].address, TEXT + 16);
	sites_destroy(sites);
}

static void a_table_of_another_form_is_named(void **state)
{
	struct table table = {.used = 0};
	struct sites *sites;

	(void)state;
	put(&table, 0x1234567, 8);
	put(&table, 0x7654321, 4);
	sites = read_sites(plain, sizeof(plain), &table, "__start___ex_table", "__stop___ex_table");
	assert_int_equal(sites->count, 0);
	assert_int_equal(sites->unread_count, 1);
	assert_string_equal(sites->unread[0], "fixups");
	sites_destroy(sites);
	sites_destroy(NULL);
}

static void those_that_touch_a_range(void **state)
{
	struct site items[] = {
		{.address = 0x1000, .length = 5, .kind = SITE_RETURN},
		{.address = 0x1010, .length = 0, .kind = SITE_FIXUP},
		{.address = 0x1010, .length = 200, .kind = SITE_ALTERNATIVE},
		{.address = 0x1020, .length = 1, .kind = SITE_LOCK},
	};
	const struct sites sites = {.items = items, .count = ARRAY_SIZE(items)};
	size_t count;

	(void)state;
	assert_ptr_equal(sites_between(&sites, 0x1004, 0x1005, &count), &items[0]);
	assert_int_equal(count, 1);
	sites_between(&sites, 0x1005, 0x1010, &count);
	assert_int_equal(count, 0);
	assert_ptr_equal(sites_between(&sites, 0x1010, 0x1011, &count), &items[1]);
	assert_int_equal(count, 2);
	assert_ptr_equal(sites_between(&sites, 0x10c0, 0x10c4, &count), &items[2]); /* deep inside a long one */
	sites_between(&sites, 0x2000, 0x3000, &count);
	assert_int_equal(count, 0);
	assert_null(sites_between(NULL, 0, 1, &count));
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alternatives_of_three_ages), cmocka_unit_test(static_keys_of_two_ages),
		cmocka_unit_test(lists_of_calls_and_jumps),   cmocka_unit_test(fixups_and_bugs),
		cmocka_unit_test(empty_entries_are_left_out), cmocka_unit_test(a_table_of_another_form_is_named),
		cmocka_unit_test(those_that_touch_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
