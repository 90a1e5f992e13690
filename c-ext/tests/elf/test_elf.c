/* SPDX-License-Identifier: MIT */
/* ELF files: what is read from sound ones, and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "elf/elf.h"
#include "elf/lines.h"
#include "support/elf_image.h"

#define TEXT 0xffffffff81000000u
#define DATA 0xffffffff82000000u
#define NOTES 0xffffffff82400000u

static struct image image;

static void make_image(void)
{
	static const uint8_t text[64] = {0x55, 0xc3};
	static const char banner[] = "Linux version 9.9 (you@there)\n";
	static const uint8_t notes[] = {
		4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 'X', 'Y', 'Z', 0, 1,    2,    3,    0, /* another */
		4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0xde, 0xad, 0xbe, 0xef};
	uint16_t data, code;

	image_start(&image);
	data = image_section(&image, ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, DATA, banner, sizeof(banner));
	code = image_section(&image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text, sizeof(text));
	image_section(&image, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, DATA + 0x1000, NULL, 0x100000);
	image_section(&image, ".notes", SHT_NOTE, SHF_ALLOC, NOTES, notes, sizeof(notes));
	image_symbol(&image, "linux_banner", STT_OBJECT, data, DATA, sizeof(banner));
	image_symbol(&image, "work", STT_FUNC, code, TEXT, 16);
	image_symbol(&image, "label", STT_NOTYPE, code, TEXT + 4, 0);
	image_symbol(&image, "work.cold", STT_FUNC, code, TEXT + 0x20, 4);
	image_symbol(&image, "work.part.0", STT_FUNC, code, TEXT + 0x28, 4);
	image_symbol(&image, "worker", STT_FUNC, code, TEXT + 0x10, 0);
	image_symbol(&image, "work", STT_FUNC, code, TEXT + 0x30, 0x1000);
	image_symbol(&image, "end", STT_FUNC, code, TEXT + 64, 0);
	image_symbol(&image, "nowhere", STT_FUNC, SHN_UNDEF, 0, 0);
	image_finish(&image);
}

static struct cs_error *open_image(size_t size, struct elf **ret)
{
	struct cs_error *error;
	char path[32];

	assert_true(image_write(&image, size, path));
	error = elf_create(path, ret);
	unlink(path);
	return error;
}

static int set_up(void **state)
{
	struct elf *elf;

	make_image();
	assert_null(open_image(image.used, &elf));
	*state = elf;
	return 0;
}

static int tear_down(void **state)
{
	elf_destroy(*state);
	return 0;
}

static void sections_and_bytes(void **state)
{
	struct elf *elf = *state;
	const struct elf_section *sections;
	size_t count;

	sections = elf_sections(elf, &count);
	assert_int_equal(count, 4);
	assert_string_equal(sections[0].name, ".text");
	assert_true(sections[0].executable);
	assert_string_equal(sections[2].name, ".bss");
	assert_false(sections[2].has_bytes);
	assert_int_equal(elf_bytes(elf, TEXT + 1, 1)[0], 0xc3);
	assert_non_null(elf_bytes(elf, TEXT, 64));
	assert_null(elf_bytes(elf, TEXT, 65));
	assert_null(elf_bytes(elf, TEXT + 64, 1));
	assert_null(elf_bytes(elf, TEXT + 1, UINT64_MAX));
	assert_null(elf_bytes(elf, DATA + 0x1000, 1)); /* .bss */
	assert_null(elf_bytes(elf, 0, 1));
	assert_int_equal(elf_bytes_from(elf, TEXT + 1, &count)[0], 0xc3);
	assert_int_equal(count, 63);
	assert_null(elf_bytes_from(elf, DATA + 0x1000, &count));
	assert_non_null(elf_text_section(elf, TEXT + 63));
	assert_null(elf_text_section(elf, DATA));
	assert_true(elf_has_section(elf, ".text"));
	assert_true(elf_has_section(elf, ".symtab")); /* not loaded */
	assert_false(elf_has_section(elf, ".tex"));
	assert_false(elf_is_stripped(elf));
}

static void symbols_in_order(void **state)
{
	static const char *const want[] = {"work",        "label", "worker", "work.cold",
					   "work.part.0", "work",  "end",    "linux_banner"};
	const struct elf_symbol *symbols;
	size_t count;

	assert_null(elf_symbols(*state, &symbols, &count));
	assert_int_equal(count, ARRAY_SIZE(want));
	for (size_t i = 0; i < count; i++)
		assert_string_equal(symbols[i].name, want[i]);
	assert_int_equal(symbols[2].size, 16); /* unknown: up to the next */
	assert_int_equal(symbols[5].size, 16); /* beyond its section: cut */
	assert_false(symbols[1].function);
	assert_false(symbols[1].variable); /* a label */
	assert_true(symbols[0].function);
	assert_false(symbols[0].variable);
	assert_true(symbols[7].variable);
	assert_false(symbols[6].function); /* marks the end of .text */
	assert_true(symbols[0].global);
}

static void symbols_by_name(void **state)
{
	const struct elf_symbol *found = NULL;

	assert_null(elf_find(*state, "work", found, &found));
	assert_int_equal(found->address, TEXT);
	assert_null(elf_find(*state, "work", found, &found));
	assert_int_equal(found->address, TEXT + 0x30);
	assert_null(elf_find(*state, "work", found, &found));
	assert_null(found);
	assert_null(elf_find(*state, "absent", NULL, &found));
	assert_null(found);
	for (size_t i = 0; i < 4; i++) {
		assert_null(elf_find_variant(*state, "work", found, &found));
		assert_non_null(found);
		assert_int_equal(elf_base_name_length(found->name), 4);
	}
	assert_null(elf_find_variant(*state, "work", found, &found));
	assert_null(found);
}

static void symbols_by_address(void **state)
{
	const struct elf_symbol *found;

	assert_null(elf_symbol_at(*state, TEXT + 15, &found));
	assert_string_equal(found->name, "work");
	assert_null(elf_symbol_at(*state, TEXT + 4, &found)); /* the label is inside */
	assert_string_equal(found->name, "work");
	assert_null(elf_symbol_at(*state, TEXT + 0x21, &found));
	assert_string_equal(found->name, "work.cold");
	assert_null(elf_symbol_at(*state, TEXT + 0x25, &found)); /* between two */
	assert_null(found);
	assert_null(elf_symbol_at(*state, 0, &found));
	assert_null(found);
}

static void names_of_parts(void **state)
{
	(void)state;
	assert_int_equal(elf_base_name_length("tsc_init"), 8);
	assert_int_equal(elf_base_name_length("tsc_init.isra.0.cold"), 8);
	assert_int_equal(elf_base_name_length("tsc_init.constprop.0"), 8);
	assert_int_equal(elf_base_name_length(".cold"), 5);
	assert_true(elf_is_cold_part("f.cold"));
	assert_true(elf_is_cold_part("f.part.0.cold.3"));
	assert_false(elf_is_cold_part("f.coldest"));
	assert_false(elf_is_cold_part("f.part.0"));
}

static void identity(void **state)
{
	static const uint8_t want[] = {0xde, 0xad, 0xbe, 0xef};
	const struct elf_section *notes = elf_build_id_notes(*state);
	const char *banner;
	size_t size;
	const uint8_t *bytes = elf_build_id(*state, &size);

	assert_int_equal(size, sizeof(want));
	assert_memory_equal(bytes, want, sizeof(want));
	assert_int_equal(notes->address, NOTES);
	assert_null(elf_banner(*state, &banner));
	assert_string_equal(banner, "Linux version 9.9 (you@there)");
}

/* What is not loaded says who the file is, and not where a guest has that too. */
static void build_ids_of_two_sections(void **state)
{
	static const uint8_t other[] = {4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0x11, 0, 0, 0};
	static const uint8_t loaded[] = {4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0x22, 0, 0, 0};
	struct elf *elf;
	size_t size;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		image_start(&image);
		image_section(&image, ".note.other", SHT_NOTE, 0, 0, other, sizeof(other));
		if (i)
			image_section(&image, ".notes", SHT_NOTE, SHF_ALLOC, NOTES, loaded, sizeof(loaded));
		image_section(&image, ".note.last", SHT_NOTE, SHF_ALLOC, NOTES + 0x1000, i ? other : NULL, 0);
		image_finish(&image);
		assert_null(open_image(image.used, &elf));
		assert_int_equal(elf_build_id(elf, &size)[0], i ? 0x22 : 0x11);
		assert_int_equal(size, 1);
		assert_true(i ? elf_build_id_notes(elf)->address == NOTES : !elf_build_id_notes(elf));
		elf_destroy(elf);
	}
}

static void a_build_id_among_damaged_notes(void **state)
{
	uint8_t notes[] = {4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0x11, 0x22, 0, 0};
	size_t size;

	(void)state;
	assert_ptr_equal(elf_find_build_id(notes, sizeof(notes), &size), notes + 16);
	assert_int_equal(size, 2);
	assert_non_null(elf_find_build_id(notes, 18, &size));
	for (size_t cut = 0; cut < 18; cut++)
		assert_null(elf_find_build_id(notes, cut, &size));
	notes[7] = 0x80; /* 2 GB of description */
	assert_null(elf_find_build_id(notes, sizeof(notes), &size));
	memset(notes, 0xff, 12);
	assert_null(elf_find_build_id(notes, sizeof(notes), &size));
}

static void segments(void **state)
{
	Elf64_Phdr headers[] = {
		{.p_type = PT_NOTE, .p_vaddr = 0x10},
		{.p_type = PT_LOAD, .p_vaddr = TEXT, .p_paddr = 0x1000000, .p_filesz = 0x2000, .p_memsz = 0x3000},
		{.p_type = PT_LOAD, .p_vaddr = DATA, .p_paddr = 0x2000000, .p_filesz = 0x10},
	};
	struct elf_segment segment;
	Elf64_Ehdr header;
	struct elf *elf;

	(void)state;
	make_image();
	memcpy(&header, image.bytes, sizeof(header));
	header.e_phoff = image.used;
	header.e_phnum = 3;
	header.e_phentsize = sizeof(Elf64_Phdr);
	memcpy(image.bytes, &header, sizeof(header));
	memcpy(image.bytes + image.used, headers, sizeof(headers));
	image.used += sizeof(headers);
	assert_null(open_image(image.used, &elf));
	assert_true(elf_segment(elf, 0, &segment));
	assert_true(segment.address == TEXT && segment.physical == 0x1000000 && segment.size == 0x2000);
	assert_true(elf_segment(elf, 1, &segment));
	assert_int_equal(segment.physical, 0x2000000);
	assert_false(elf_segment(elf, 2, &segment));
	elf_destroy(elf);
	assert_null(open_image(image.used - 1, &elf)); /* cut off: there are none */
	assert_false(elf_segment(elf, 1, &segment));
	elf_destroy(elf);
}

static void no_debug_information(void **state)
{
	struct lines *lines;
	struct line line;

	assert_null(lines_create(*state, &lines));
	assert_int_equal(lines_at(lines, TEXT, &line, 1), 0);
	lines_destroy(lines);
	lines_destroy(NULL);
	elf_destroy(NULL);
}

static void expect_refusal(size_t size, enum cs_error_code code, const char *part)
{
	struct elf *elf = NULL;
	struct cs_error *error = open_image(size, &elf);

	assert_non_null(error);
	assert_int_equal(error->code, code);
	assert_non_null(strstr(error->message, part));
	assert_null(strchr(error->message, '\n'));
	cs_error_destroy(error);
}

static void what_is_no_guest(void **state)
{
	(void)state;
	make_image();
	image.bytes[EI_CLASS] = ELFCLASS32;
	expect_refusal(image.used, CS_ERROR_FORMAT, "32-bit");
	make_image();
	image.bytes[offsetof(Elf64_Ehdr, e_machine)] = EM_AARCH64;
	expect_refusal(image.used, CS_ERROR_FORMAT, "aarch64");
	make_image();
	image.bytes[offsetof(Elf64_Ehdr, e_type)] = ET_REL;
	expect_refusal(image.used, CS_ERROR_FORMAT, "not linked yet");
	make_image();
	image.bytes[1] = 'e';
	expect_refusal(image.used, CS_ERROR_FORMAT, "not an ELF file");
	expect_refusal(0, CS_ERROR_FORMAT, "not an ELF file");
	make_image();
	memset(image.bytes + offsetof(Elf64_Ehdr, e_shoff), 0, 8);
	expect_refusal(image.used, CS_ERROR_FORMAT, "no section headers");
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	make_image();
	for (size_t size = EI_NIDENT; size < image.used; size++)
		expect_refusal(size, CS_ERROR_FORMAT, "truncated");
}

static void a_section_beyond_the_end(void **state)
{
	Elf64_Ehdr header;
	uint64_t huge = UINT64_MAX - 8;

	(void)state;
	make_image();
	memcpy(&header, image.bytes, sizeof(header));
	memcpy(image.bytes + header.e_shoff + sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size), &huge, 8);
	expect_refusal(image.used, CS_ERROR_FORMAT, "section .data lies beyond");
}

static void files_that_cannot_be_read(void **state)
{
	struct elf *elf;
	struct cs_error *error = elf_create("/nonexistent/vmlinux", &elf);

	(void)state;
	assert_int_equal(error->code, CS_ERROR_SYSTEM);
	assert_non_null(strstr(error->message, "/nonexistent/vmlinux"));
	cs_error_destroy(error);
	error = elf_create("/tmp", &elf);
	assert_int_equal(error->code, CS_ERROR_FORMAT);
	assert_non_null(strstr(error->message, "not a regular file"));
	cs_error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sections_and_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(symbols_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(symbols_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(symbols_by_address, set_up, tear_down),
		cmocka_unit_test(names_of_parts),
		cmocka_unit_test_setup_teardown(identity, set_up, tear_down),
		cmocka_unit_test(build_ids_of_two_sections),
		cmocka_unit_test(a_build_id_among_damaged_notes),
		cmocka_unit_test(segments),
		cmocka_unit_test_setup_teardown(no_debug_information, set_up, tear_down),
		cmocka_unit_test(what_is_no_guest),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_section_beyond_the_end),
		cmocka_unit_test(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
