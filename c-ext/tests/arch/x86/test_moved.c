/* SPDX-License-Identifier: MIT */
/* Text of an image that was moved as a whole, against the file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/moved.h"

static const uint8_t original[] = {
	0x48, 0xc7, 0xc7, 0x80, 0x11, 0x22, 0x82, /* mov $0xffffffff82221180,%rdi */
	0x65, 0x8b, 0x05, 0x10, 0x20, 0x03, 0x7e, /* mov %gs:0x7e032010(%rip),%eax: a per-CPU variable */
	0x48, 0xb8, 0x00, 0x10, 0x00, 0x81, 0xff, 0xff, 0xff, 0xff, /* movabs $0xffffffff81001000,%rax */
	0x0f, 0x1f, 0x44, 0x00, 0x00,                               /* nopl */
	0xc3,                                                       /* ret */
};

/* Where the fields are, and whether the offset is added. */
static const struct {
	size_t at;
	bool added;
} fields[] = {{3, true}, {10, false}, {16, true}};

static struct placement by(uint64_t offset)
{
	return (struct placement){offset, 0xffffffff81000000, 0xffffffff82ffffff};
}

static void move(uint8_t *bytes, uint32_t offset)
{
	memcpy(bytes, original, sizeof(original));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint32_t value;

		memcpy(&value, bytes + fields[i].at, sizeof(value));
		value += fields[i].added ? offset : -offset;
		memcpy(bytes + fields[i].at, &value, sizeof(value));
	}
}

/* All that KASLR chooses from. */
static void every_place(void **state)
{
	uint8_t bytes[sizeof(original)];

	(void)state;
	for (uint32_t offset = 0; offset < 1u << 30; offset += 2u << 20) {
		struct placement placement = by(offset);

		move(bytes, offset);
		moved_back(arch_at(0), &placement, original, bytes, sizeof(bytes));
		assert_memory_equal(bytes, original, sizeof(original));
	}
}

static void other_text_stays(void **state)
{
	const struct placement placement = by(0x1a000000);
	uint8_t bytes[sizeof(original)];
	uint8_t expected[sizeof(original)];

	(void)state;
	move(bytes, 0x1a000000);
	memcpy(bytes + 24, "\xe9\x10\x00\x00\x00", 5); /* a static key */
	bytes[3] ^= 1;                                 /* another address than the file's */
	memcpy(expected, original, sizeof(original));
	memcpy(expected + 24, bytes + 24, 5);
	memcpy(expected + 3, bytes + 3, 4);
	moved_back(arch_at(0), &placement, original, bytes, sizeof(bytes));
	assert_memory_equal(bytes, expected, sizeof(bytes));
}

/* The piece ends in the midst of a field. */
static void a_piece(void **state)
{
	const struct placement placement = by(0x1a000000);
	uint8_t bytes[sizeof(original)];

	(void)state;
	move(bytes, 0x1a000000);
	moved_back(arch_at(0), &placement, original, bytes, 6);
	assert_memory_equal(bytes, original, 6);
	assert_int_equal(bytes[6], original[6] + 0x1a);
	moved_back(arch_at(0), &placement, original, bytes, 7);
	assert_memory_equal(bytes, original, 7);
}

static void an_instruction(void **state)
{
	const struct placement placement = by(0x1a000000);
	const struct insn jump = {.arch = arch_at(0),
				  .address = 0xffffffff81000010,
				  .target = 0xffffffff81000000,
				  .length = 2,
				  .bytes = {0xeb, 0xee}};
	struct insn load = {.arch = arch_at(0), .address = 0xffffffff81000020, .length = 7};
	uint8_t bytes[sizeof(original)];
	struct insn moved;

	(void)state;
	moved = moved_insn(&placement, &jump, jump.bytes);
	assert_true(moved.address == 0xffffffff9b000010 && moved.target == 0xffffffff9b000000);
	memcpy(load.bytes, original, 7);
	move(bytes, 0x1a000000);
	assert_true(moved_holds(&placement, &load, bytes));
	moved = moved_insn(&placement, &load, bytes);
	assert_memory_equal(moved.bytes, bytes, 7);
	assert_true(moved.target == 0);
	bytes[2] = 0xc6;
	assert_false(moved_holds(&placement, &load, bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place),
		cmocka_unit_test(other_text_stays),
		cmocka_unit_test(a_piece),
		cmocka_unit_test(an_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
