/* SPDX-License-Identifier: MIT */
#include "xref/code_search.h"

#include <string.h>

#include "base/util.h"
#include "xref/object.h"
#include "xref/scan.h"
#include "xref/walk.h"
#include "xref/xref_internal.h"

struct search {
	struct xref *xref;
	const struct xref_target *target;
	struct xref_sites *sites;
	struct walk walk;
};

static bool overlaps(uint64_t low, uint64_t width, uint64_t range_low, uint64_t range_high)
{
	return low < range_high && low + width > range_low;
}

/* With a register added, the access may begin any number of strides away. */
static bool reaches(const struct xref_target *target, uint64_t address, uint64_t width)
{
	uint64_t distance;

	if (!overlaps(address, width, target->repeat_low, target->repeat_high))
		return false;
	if (target->stride <= 1)
		return true;
	/* In unsigned arithmetic, a remainder of a negative difference needs the stride added. */
	distance = address >= target->low ? (address - target->low) % target->stride
					  : target->stride - 1 - (target->low - address - 1) % target->stride;
	return distance < target->high - target->low || distance + width > target->stride;
}

/* Whether a memory operand at `address` is the target, given how it is addressed. */
static bool matches(const struct xref_target *target, const struct shape *shape, uint64_t address)
{
	if (shape->access == SHAPE_ADDRESS)
		return address >= target->whole_low && address < target->whole_high;
	if (shape->memory == SHAPE_REGISTER || shape->indexes_bits)
		return reaches(target, address, shape->width);
	return overlaps(address, shape->width, target->low, target->high);
}

static uint64_t operand_address(const struct shape *shape, const uint8_t *bytes, uint64_t address)
{
	uint64_t displacement = (uint64_t)shape_displacement(shape, bytes);

	return shape->memory == SHAPE_RELATIVE ? address + shape->length + displacement : displacement;
}

/* Small numbers are addresses only where a segment or a relocation says so. */
static struct cs_error *is_address(struct search *search, const struct shape *shape, uint64_t field, bool *ret)
{
	*ret = !search->target->zero_based || (shape && (shape->memory == SHAPE_RELATIVE || shape->per_cpu));
	return *ret ? NULL : object_is_relocated(search->xref->object, field, ret);
}

/* Whether the instruction's memory operand is the target. */
static struct cs_error *examine_memory(struct search *search, const struct shape *shape, uint64_t operand,
				       uint64_t address, bool *found)
{
	/* A register with a short displacement, or none, names no variable. */
	if (!shape->access || shape->displacement_size < 4 || !matches(search->target, shape, operand))
		return NULL;
	return is_address(search, shape, address + shape->displacement_at, found);
}

/* Whether the instruction's immediate is an address in the target. */
static struct cs_error *examine_immediate(struct search *search, const struct shape *shape, const uint8_t *bytes,
					  uint64_t address, bool *found)
{
	const struct xref_target *target = search->target;
	uint64_t value = (uint64_t)shape_immediate(shape, bytes);

	if (shape->immediate_size < 4 || shape->branches || value < target->whole_low || value >= target->whole_high)
		return NULL;
	return is_address(search, NULL, address + shape->immediate_at, found);
}

static struct cs_error *examine(struct search *search, size_t offset, const struct shape *shape)
{
	const uint8_t *bytes = search->walk.bytes + offset;
	uint64_t address = search->walk.address + offset;
	bool in_memory = false, immediate = false;
	struct xref_site site = {
		.address = address,
		.target = operand_address(shape, bytes, address),
		.indexed = shape->memory == SHAPE_REGISTER,
	};

	CS_TRY(examine_memory(search, shape, site.target, address, &in_memory));
	CS_TRY(examine_immediate(search, shape, bytes, address, &immediate));
	if (!in_memory && !immediate)
		return NULL;
	/* Both, where an empty list is made to point at itself. */
	if (in_memory)
		site.access = shape->access;
	if (immediate)
		site.access |= SHAPE_ADDRESS;
	if (!in_memory) {
		site.target = (uint64_t)shape_immediate(shape, bytes);
		site.indexed = false;
	}
	return xref_sites_add(search->sites, site);
}

/* A candidate for a small address is only worth decoding where it may be a per-CPU operand's, with a relocation on it,
 * or when it is meant relative to the instruction, which makes it a large negative number. */
static struct cs_error *is_plausible(struct search *search, size_t offset, bool *ret)
{
	const uint8_t *bytes = search->walk.bytes;
	uint32_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	*ret = !search->target->zero_based || value >= UINT32_C(0x40000000);
	*ret = *ret || elf_arch(search->xref->elf)->may_be_per_cpu(bytes, offset);
	return *ret ? NULL : object_is_relocated(search->xref->object, search->walk.address + offset, ret);
}

static struct cs_error *visit_code(void *context, size_t offset)
{
	struct search *search = context;
	struct shape shape;
	size_t begin;
	bool plausible;

	if (offset < search->walk.at)
		return NULL; /* in an instruction seen already */
	CS_TRY(is_plausible(search, offset, &plausible));
	if (!plausible)
		return NULL;
	walk_skip_to(&search->walk, offset);
	while (search->walk.at <= offset && walk_next(&search->walk, &begin, &shape))
		if (search->walk.at > offset && begin <= offset)
			return examine(search, begin, &shape);
	return NULL;
}

static struct cs_error *search_section(struct search *search, const struct elf_section *section)
{
	const struct xref_target *target = search->target;
	const uint8_t *bytes = elf_bytes(search->xref->elf, section->address, section->size);
	uint64_t widest = elf_arch(search->xref->elf)->widest_operand;
	uint64_t low = target->whole_low - widest;

	if (!bytes)
		return NULL;
	/* An operand may begin before the range and reach into it. One before address 0 would be one at the top of the
	 * address space. */
	if (target->whole_low < widest)
		low = 0;
	walk_begin(&search->walk, search->xref, section, bytes);
	return scan_candidates(bytes, section->size, section->address, low, target->whole_high, visit_code, search);
}

struct cs_error *xref_accesses(struct xref *xref, const struct xref_target *target, struct xref_sites *ret)
{
	struct search search = {.xref = xref, .target = target, .sites = ret};
	size_t count;
	const struct elf_section *sections = elf_sections(xref->elf, &count);

	for (size_t i = 0; i < count; i++)
		if (sections[i].executable && sections[i].has_bytes)
			CS_TRY(search_section(&search, &sections[i]));
	return NULL;
}
