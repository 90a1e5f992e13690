/* SPDX-License-Identifier: MIT */
#include "xref/scan.h"

#include <stdbool.h>
#include <string.h>

#include "base/util.h"

/* gcc and clang both turn this into whatever vectors they may use. */
#define LANES 8
typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t truths __attribute__((vector_size(4 * LANES)));

#define BLOCK (4 * LANES)           /* positions looked at in one step */
#define BLOCK_BYTES (BLOCK + 4 - 1) /* bytes that these positions reach */

/* What a relative value is relative to: in data itself; in code the instruction's end, which lies after the value's
 * 4 bytes and at most 4 of an immediate. */
#define FURTHEST_ORIGIN 8

struct range {
	uint32_t relative_low, relative_span; /* of value + address of the value */
	uint32_t absolute_low, absolute_span; /* of the value itself */
};

static struct range range_create(uint64_t low, uint64_t high)
{
	uint64_t span = high - low;

	/* A range of 4 GiB or more holds every 32-bit value. */
	if (span + FURTHEST_ORIGIN >= UINT32_MAX)
		return (struct range){0, UINT32_MAX, 0, UINT32_MAX};
	return (struct range){
		.relative_low = (uint32_t)low - FURTHEST_ORIGIN,
		.relative_span = (uint32_t)span + FURTHEST_ORIGIN,
		.absolute_low = (uint32_t)low,
		.absolute_span = (uint32_t)span,
	};
}

static bool holds(const struct range *range, uint32_t value, uint32_t position)
{
	return value + position - range->relative_low < range->relative_span ||
	       value - range->absolute_low < range->absolute_span;
}

/* Whether any of the BLOCK positions is a candidate. Four passes, for a value may begin at any byte. */
static inline __attribute__((always_inline)) bool block_holds(const struct range *range, const uint8_t *bytes,
							      uint32_t position)
{
	static const lanes steps = {0, 4, 8, 12, 16, 20, 24, 28};
	truths found = {0};
	uint64_t halves[sizeof(found) / sizeof(uint64_t)], any = 0;

	for (uint32_t phase = 0; phase < 4; phase++) {
		lanes values;

		memcpy(&values, bytes + phase, sizeof(values));
		found |= values + steps + (position + phase - range->relative_low) < range->relative_span;
		found |= values - range->absolute_low < range->absolute_span;
	}
	memcpy(halves, &found, sizeof(halves));
	for (size_t i = 0; i < ARRAY_SIZE(halves); i++)
		any |= halves[i];
	return any;
}

/* The first block at or after `at` with a candidate; where none is, what is left is less than a block. */
static inline __attribute__((always_inline)) size_t next_block(struct range range, const uint8_t *bytes, size_t size,
							       uint32_t address, size_t at)
{
	while (size - at >= BLOCK_BYTES && !block_holds(&range, bytes + at, address + (uint32_t)at))
		at += BLOCK;
	return at;
}

/* With what every x86-64, or another machine, has. */
static size_t find_block_anywhere(struct range range, const uint8_t *bytes, size_t size, uint32_t address, size_t at)
{
	return next_block(range, bytes, size, address, at);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static size_t find_block_avx2(struct range range, const uint8_t *bytes, size_t size,
							      uint32_t address, size_t at)
{
	return next_block(range, bytes, size, address, at);
}
#endif

static size_t find_block(struct range range, const uint8_t *bytes, size_t size, uint32_t address, size_t at)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return find_block_avx2(range, bytes, size, address, at);
#endif
	return find_block_anywhere(range, bytes, size, address, at);
}

static struct cs_error *visit_block(const struct range *range, const uint8_t *bytes, size_t begin, size_t end,
				    uint32_t address, scan_visit visit, void *context)
{
	for (size_t at = begin; at < end; at++) {
		uint32_t value;

		memcpy(&value, bytes + at, sizeof(value));
		if (holds(range, value, address + (uint32_t)at))
			CS_TRY(visit(context, at));
	}
	return NULL;
}

struct cs_error *scan_candidates(const uint8_t *bytes, size_t size, uint64_t address, uint64_t low, uint64_t high,
				 scan_visit visit, void *context)
{
	struct range range = range_create(low, high);
	uint32_t base = (uint32_t)address;
	size_t at = 0;

	for (;; at += BLOCK) {
		at = find_block(range, bytes, size, base, at);
		if (size - at < BLOCK_BYTES)
			break;
		CS_TRY(visit_block(&range, bytes, at, at + BLOCK, base, visit, context));
	}
	if (size - at < sizeof(uint32_t))
		return NULL;
	return visit_block(&range, bytes, at, size - sizeof(uint32_t) + 1, base, visit, context);
}
