/* SPDX-License-Identifier: MIT */
/* All stages of one function of a small ELF file, and its text in the guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "flow/guest_text.h"
#include "support/elf_image.h"

#define TEXT 0xffffffff81000000u
#define DATA 0xffffffff82000000u

static const uint8_t text[] = {
	0x0f, 0x84, 0x1a, 0,    0,    0, /* 00 je 20: into the cold part */
	0x0f, 0x1f, 0x44, 0,    0,       /* 06 nopl: a static key, to 0d */
	0x90,                            /* 0b nop */
	0xcc,                            /* 0c */
	0xe9, 0x1e, 0,    0,    0,       /* 0d jmp 30: the return thunk */
	0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 0, 0,    0, 0, 0xe8, 0x13, 0, 0, 0, /* 20 call 38: panic */
	0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 0, 0xc3, 0, 0, 0,    0,    0, 0, 0, /* 30 __x86_return_thunk */
	0xf4, 0,    0,    0,    0,    0,    0, 0,                                           /* 38 panic */
	0x0f, 0x31,                                                                         /* 40 rdtsc */
	0x0f, 0x84, 0x08, 0,    0,    0,    /* 42 je 50: into the cold part */
	0x0f, 0x31,                         /* 48 rdtsc */
	0xc3, 0,    0,    0,    0,    0,    /* 4a ret */
	0x90, 0xe9, 0xf2, 0xff, 0xff, 0xff, /* 50 nop; jmp 48 */
};

struct subject {
	struct elf *elf;
	struct analyser *analyser;
	const struct elf_symbol *work;
};

static void put_relative(uint8_t *table, size_t at, uint64_t target)
{
	uint32_t offset = (uint32_t)(target - (DATA + at));

	memcpy(table + at, &offset, 4);
}

static int set_up(void **state)
{
	static struct image image;
	static struct subject subject;
	uint8_t keys[16] = {0};
	uint16_t code, data;
	char path[32];

	put_relative(keys, 0, TEXT + 0x06);
	put_relative(keys, 4, TEXT + 0x0d);
	image_start(&image);
	code = image_section(&image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text, sizeof(text));
	data = image_section(&image, ".data", SHT_PROGBITS, SHF_ALLOC, DATA, keys, sizeof(keys));
	image_symbol(&image, "work", STT_FUNC, code, TEXT, 0x12);
	image_symbol(&image, "work.cold", STT_FUNC, code, TEXT + 0x20, 8);
	image_symbol(&image, "workshop.cold", STT_FUNC, code, TEXT + 0x28, 8);
	image_symbol(&image, "__x86_return_thunk", STT_FUNC, code, TEXT + 0x30, 1);
	image_symbol(&image, "panic", STT_FUNC, code, TEXT + 0x38, 1);
	image_symbol(&image, "measure", STT_FUNC, code, TEXT + 0x40, 0x0b);
	image_symbol(&image, "measure.cold", STT_FUNC, code, TEXT + 0x50, 6);
	image_symbol(&image, "__start___jump_table", STT_NOTYPE, data, DATA, 0);
	image_symbol(&image, "__stop___jump_table", STT_NOTYPE, data, DATA + sizeof(keys), 0);
	image_finish(&image);
	assert_true(image_write(&image, image.used, path));
	assert_null(elf_create(path, &subject.elf));
	unlink(path);
	assert_null(analyser_create(subject.elf, &subject.analyser));
	assert_null(elf_find(subject.elf, "work", NULL, &subject.work));
	*state = &subject;
	return 0;
}

static int tear_down(void **state)
{
	struct subject *subject = *state;

	analyser_destroy(subject->analyser);
	elf_destroy(subject->elf);
	return 0;
}

static void all_stages(void **state)
{
	const struct subject *subject = *state;
	const uint64_t panic = TEXT + 0x38;
	const struct analysis_options options = {
		.hints = {.noreturn = &panic, .noreturn_count = 1},
		.plan = {.probe_returns = true, .allow_patched = true},
	};
	struct analysis *analysis;
	const struct cfg *cfg;

	assert_null(analysis_create(subject->analyser, subject->work, &options, &analysis));
	cfg = analysis->cfg;
	assert_string_equal(analysis->symbol.name, "work");
	assert_int_equal(cfg->block_count, 5);
	assert_int_equal(cfg->blocks[cfg_block_at(cfg, TEXT + 0x20)].exits, CFG_NEVER_RETURNS);
	assert_int_equal(cfg->blocks[cfg_block_at(cfg, TEXT + 0x0d)].exits, CFG_RETURNS);
	assert_int_equal(cfg->blocks[cfg_block_at(cfg, TEXT + 0x06)].next_count, 2);
	assert_true(analysis->plan->determined);
	assert_int_equal(analysis->windows->count, 0);
	analysis_destroy(analysis);
	analysis_destroy(NULL);
	analyser_destroy(NULL);
}

static void parts_of_a_function(void **state)
{
	const struct subject *subject = *state;
	struct analysis_range ranges[ANALYSIS_MAX_RANGES];
	size_t count;

	assert_null(analysis_ranges(subject->analyser, subject->work, ranges, ANALYSIS_MAX_RANGES, &count));
	assert_int_equal(count, 2);
	assert_int_equal(ranges[0].start, TEXT);
	assert_int_equal(ranges[0].end, TEXT + 0x12);
	assert_int_equal(ranges[1].start, TEXT + 0x20);
	assert_null(analysis_ranges(subject->analyser, subject->work, ranges, 1, &count));
	assert_int_equal(count, 1);
}

/* What the guest's memory holds takes the place of the file's bytes. */
static void text_of_the_guest(void **state)
{
	const struct subject *subject = *state;
	uint8_t bytes[0x12];
	struct analysis_text own = {.address = TEXT, .bytes = bytes, .size = sizeof(bytes)};
	struct analysis_options options = {.text = &own, .text_count = 1};
	struct analysis *analysis;
	uint64_t different;

	memcpy(bytes, text, sizeof(bytes));
	assert_null(analysis_compare(subject->analyser, &own, &different));
	assert_true(different == UINT64_MAX);
	memcpy(bytes + 6, "\xe9\x02\x00\x00\x00", 5); /* the key is on: jmp 0d */
	assert_null(analysis_compare(subject->analyser, &own, &different));
	assert_true(different == UINT64_MAX);
	bytes[0x0b] = 0xc3; /* not text that Linux patches */
	assert_null(analysis_compare(subject->analyser, &own, &different));
	assert_true(different == TEXT + 0x0b);
	assert_null(analysis_create(subject->analyser, subject->work, &options, &analysis));
	assert_int_equal(analysis->cfg->blocks[cfg_block_at(analysis->cfg, TEXT + 0x0b)].exits, CFG_RETURNS);
	analysis_destroy(analysis);
}

static void text_that_the_file_lacks(void **state)
{
	const struct subject *subject = *state;
	const struct analysis_text nowhere = {.address = 0x1000, .bytes = text, .size = 4};
	const struct elf_symbol symbol = {.name = "ghost", .address = 0x1000, .size = 4, .function = true};
	const struct analysis_options options = {.text_count = 0};
	struct analysis *analysis;
	uint64_t different;
	struct cs_error *error = analysis_compare(subject->analyser, &nowhere, &different);

	assert_int_equal(error->code, CS_ERROR_FORMAT);
	cs_error_destroy(error);
	error = analysis_create(subject->analyser, &symbol, &options, &analysis);
	assert_int_equal(error->code, CS_ERROR_FORMAT);
	cs_error_destroy(error);
}

/* Between two reads of a clock, split-off parts included, whichever byte of the instruction is named. */
static void places_in_windows(void **state)
{
	const struct subject *subject = *state;
	static const struct {
		uint64_t address;
		bool inside;
	} places[] = {
		{TEXT + 0x40, false}, {TEXT + 0x42, true}, {TEXT + 0x45, true},  {TEXT + 0x48, true},
		{TEXT + 0x4a, false}, {TEXT + 0x50, true}, {TEXT + 0x0b, false}, {TEXT + 0x1f, false},
		{DATA, false},        {0x1000, false},
	};
	bool inside;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_null(analysis_in_window(subject->analyser, places[i].address, NULL, &inside));
		assert_int_equal(inside, places[i].inside);
	}
}

/* A guest's memory from TEXT on; what lies elsewhere is not mapped. */
struct memory {
	uint8_t bytes[sizeof(text)];
	size_t mapped;
	struct placement place;
};

static struct cs_error *read_memory(void *context, struct run_address address, void *buffer, size_t size)
{
	const struct memory *memory = context;
	uint64_t at = address.value - TEXT - memory->place.offset;

	if (at > memory->mapped || size > memory->mapped - at)
		return cs_error_create(CS_ERROR_REFUSED, "not mapped");
	memcpy(buffer, memory->bytes + at, size);
	return NULL;
}

static struct analysis *analyse(const struct subject *subject, struct memory *memory, uint64_t different, size_t parts)
{
	const struct analysis_options options = {.text_count = 0};
	struct analysis *analysis;
	struct guest_text read;

	assert_null(guest_text_read(subject->analyser, subject->work, &memory->place, read_memory, memory, &read));
	assert_int_equal(read.count, parts);
	assert_true(read.different == different);
	assert_null(guest_text_analyse(subject->analyser, subject->work, &read, &options, &analysis));
	guest_text_release(&read);
	return analysis;
}

static const struct insn *insn_of(const struct analysis *analysis, uint64_t address)
{
	uint32_t index = cfg_insn_at(analysis->cfg, address);

	assert_true(index != CFG_NONE);
	return &analysis->cfg->insns[index].insn;
}

static void as_it_is_in_memory(void **state)
{
	struct memory memory = {.mapped = sizeof(text)};
	struct analysis *analysis;

	memcpy(memory.bytes, text, sizeof(text));
	memcpy(memory.bytes + 6, "\xe9\x02\x00\x00\x00", 5); /* a static key is on: jmp 0d */
	analysis = analyse(*state, &memory, UINT64_MAX, 2);
	assert_int_equal(insn_of(analysis, TEXT + 6)->kind, INSN_JUMP);
	analysis_destroy(analysis);
	memory.bytes[1] = 0x85; /* jne for je: another build */
	analysis = analyse(*state, &memory, TEXT + 1, 2);
	assert_int_equal(insn_of(analysis, TEXT)->condition, INSN_NOT_EQUAL);
	analysis_destroy(analysis);
}

/* int3 at the entry, where a debugger has put it, and on a place that the kernel is just rewriting. */
static void breakpoints_are_no_code(void **state)
{
	struct memory memory = {.mapped = sizeof(text)};
	struct analysis *analysis;

	memcpy(memory.bytes, text, sizeof(text));
	memory.bytes[0] = 0xcc;
	memcpy(memory.bytes + 6, "\xcc\x02\x00\x00\x00", 5);
	analysis = analyse(*state, &memory, UINT64_MAX, 2);
	assert_int_equal(insn_of(analysis, TEXT)->condition, INSN_EQUAL);
	assert_int_equal(insn_of(analysis, TEXT + 6)->kind, INSN_NOP);
	analysis_destroy(analysis);
}

static void memory_without_code(void **state)
{
	struct memory memory = {.mapped = 0x12}; /* the cold part is not there */
	struct analysis *analysis;

	memset(memory.bytes, 0xff, sizeof(memory.bytes));
	analysis = analyse(*state, &memory, TEXT, 1);
	assert_int_equal(insn_of(analysis, TEXT)->condition, INSN_EQUAL); /* the ELF's */
	analysis_destroy(analysis);
	memory.mapped = 0;
	analysis = analyse(*state, &memory, UINT64_MAX, 0);
	assert_int_equal(analysis->cfg->block_count, 5);
	analysis_destroy(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_stages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(parts_of_a_function, set_up, tear_down),
		cmocka_unit_test_setup_teardown(text_of_the_guest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(text_that_the_file_lacks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(places_in_windows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_it_is_in_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(breakpoints_are_no_code, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_without_code, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
