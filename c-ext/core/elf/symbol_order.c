/* SPDX-License-Identifier: MIT */
/*
 * A kernel's 100,000 symbols in the order of their addresses: a radix sort of their numbers. Neither the symbols nor
 * their addresses are copied: what this saves is memory that is touched for the first time, which costs more than
 * the sorting, and many times more where the machine is itself a guest.
 */
#include <elf.h>
#include <string.h>

#include "base/util.h"
#include "elf/elf_internal.h"

#define DIGIT_BITS 11
#define DIGITS 6 /* of 64 bits */
#define VALUES (1u << DIGIT_BITS)

static uint64_t address_of(const void *table, uint32_t index)
{
	uint64_t address;

	memcpy(&address, (const char *)table + index * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_value),
	       sizeof(address));
	return address;
}

static uint32_t digit_of(uint64_t address, unsigned digit)
{
	return (uint32_t)(address >> (digit * DIGIT_BITS)) % VALUES;
}

/* How many have each value of each digit. */
static void count_digits(const void *table, const uint32_t *indices, size_t count, uint32_t (*counts)[VALUES])
{
	for (size_t i = 0; i < count; i++) {
		uint64_t address = address_of(table, indices[i]);

		for (unsigned digit = 0; digit < DIGITS; digit++)
			counts[digit][digit_of(address, digit)]++;
	}
}

static void sort_by_digit(const void *table, unsigned digit, uint32_t *places, const uint32_t *from, uint32_t *to,
			  size_t count)
{
	uint32_t before = 0;

	for (size_t value = 0; value < VALUES; value++) {
		uint32_t here = places[value];

		places[value] = before;
		before += here;
	}
	for (size_t i = 0; i < count; i++)
		to[places[digit_of(address_of(table, from[i]), digit)]++] = from[i];
}

struct cs_error *elf_order_symbols(const void *table, uint32_t *indices, size_t count)
{
	FREE uint32_t *other = malloc((count + 1) * sizeof(*other));
	FREE uint32_t(*counts)[VALUES] = calloc(DIGITS, sizeof(*counts));
	uint32_t *from = indices, *to = other;

	if (!other || !counts)
		return &cs_error_no_memory;
	count_digits(table, indices, count, counts);
	for (unsigned digit = 0; count && digit < DIGITS; digit++) {
		uint32_t *sorted = to;

		if (counts[digit][digit_of(address_of(table, indices[0]), digit)] == count)
			continue; /* one value for all */
		sort_by_digit(table, digit, counts[digit], from, to, count);
		to = from;
		from = sorted;
	}
	if (from != indices)
		memcpy(indices, from, count * sizeof(*indices));
	return NULL;
}
