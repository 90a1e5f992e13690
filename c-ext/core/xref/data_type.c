/* SPDX-License-Identifier: MIT */
/* Where a field of a variable lies, by DWARF: offset and size, arrays and anonymous members included. */
#include "xref/data_type.h"

#include <dwarf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"
#include "xref/nearest.h"
#include "xref/object.h"
#include "xref/xref_internal.h"

#define DEEPEST_TYPE 32 /* typedefs and anonymous members within each other; hostile DWARF may go round in circles */

/* The expression of a variable at a fixed address: block length 9, DW_OP_addr, the address. */
#define LOCATION_BYTES 10

/* Finds where .debug_info says that a variable lies at `address`. Searching 160 MB of it for those bytes takes
 * 50 ms; reading every unit's entries takes seconds. */
static const uint8_t *find_location(const uint8_t *bytes, size_t size, uint64_t address)
{
	uint8_t pattern[LOCATION_BYTES] = {9, DW_OP_addr};

	memcpy(pattern + 2, &address, sizeof(address));
	return bytes ? memmem(bytes, size, pattern, sizeof(pattern)) : NULL;
}

/* The unit whose bytes include `offset`. */
static bool unit_of(Dwarf *dwarf, Dwarf_Off offset, Dwarf_Die *ret)
{
	Dwarf_Off at = 0, next;
	size_t header;

	while (dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL) == 0) {
		if (offset < next)
			return dwarf_offdie(dwarf, at + header, ret);
		at = next;
	}
	return false;
}

/* The entry whose attributes include the byte at `offset`: the last one that begins before it. */
static bool entry_of(Dwarf_Die *unit, Dwarf_Off offset, Dwarf_Die *ret)
{
	Dwarf_Die entry;
	bool found = false;

	if (dwarf_child(unit, &entry) != 0)
		return false;
	while (dwarf_dieoffset(&entry) <= offset) {
		Dwarf_Die child;

		*ret = entry;
		found = true;
		/* Down where the sibling lies beyond, else along. */
		if (dwarf_siblingof(ret, &entry) == 0 && dwarf_dieoffset(&entry) <= offset)
			continue;
		if (dwarf_child(ret, &child) != 0)
			break;
		entry = child;
	}
	return found && dwarf_tag(ret) == DW_TAG_variable;
}

/* Any unit's declaration of the name will do for its type. Slow: for DWARF that is compressed, or that keeps
 * addresses in a table of their own. */
static bool entry_by_name(Dwarf *dwarf, const char *name, Dwarf_Die *ret)
{
	Dwarf_Off at = 0, next;
	size_t header;

	while (dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die unit, entry;
		bool more = dwarf_offdie(dwarf, at + header, &unit) && dwarf_child(&unit, &entry) == 0;

		for (; more; more = dwarf_siblingof(&entry, &entry) == 0) {
			const char *its_name = dwarf_tag(&entry) == DW_TAG_variable ? dwarf_diename(&entry) : NULL;

			if (its_name && strcmp(its_name, name) == 0) {
				*ret = entry;
				return true;
			}
		}
		at = next;
	}
	return false;
}

/* The type that an entry has, without its typedefs and qualifiers. */
static bool type_of(Dwarf_Die *entry, Dwarf_Die *ret)
{
	Dwarf_Attribute attribute;
	Dwarf_Die type = *entry;

	for (int depth = 0; depth < DEEPEST_TYPE; depth++) {
		if (!dwarf_attr_integrate(&type, DW_AT_type, &attribute) || !dwarf_formref_die(&attribute, ret))
			return false;
		switch (dwarf_tag(ret)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_atomic_type: type = *ret; break;
		default: return true;
		}
	}
	return false;
}

static struct cs_error *variable_type(struct xref *xref, const struct elf_symbol *symbol, Dwarf_Die *ret)
{
	const uint8_t *bytes, *found;
	size_t size;
	Dwarf *dwarf;
	Dwarf_Die unit, variable;

	CS_TRY(object_dwarf(xref->object, &dwarf, &bytes, &size));
	if (!dwarf)
		return cs_error_create(CS_ERROR_NOT_FOUND, "%s has no DWARF: give %s+OFFSET instead of a field",
				       elf_path(xref->elf), symbol->name);
	found = find_location(bytes, size, symbol->address);
	if (found && unit_of(dwarf, (Dwarf_Off)(found - bytes), &unit) &&
	    entry_of(&unit, (Dwarf_Off)(found - bytes), &variable) && type_of(&variable, ret))
		return NULL;
	if (entry_by_name(dwarf, symbol->name, &variable) && type_of(&variable, ret))
		return NULL;
	return cs_error_create(CS_ERROR_NOT_FOUND, "the DWARF of %s does not know the type of %s: give %s+OFFSET",
			       elf_path(xref->elf), symbol->name, symbol->name);
}

static uint64_t number_of(Dwarf_Die *entry, unsigned int attribute_name, uint64_t otherwise)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr_integrate(entry, attribute_name, &attribute) || dwarf_formudata(&attribute, &value) != 0)
		return otherwise;
	return value;
}

/* A member's first byte and how many it occupies, bit-fields too. */
static void member_extent(Dwarf_Die *member, Dwarf_Die *type, uint64_t *offset_ret, uint64_t *size_ret)
{
	uint64_t bit = number_of(member, DW_AT_data_bit_offset, UINT64_MAX);
	uint64_t bits = number_of(member, DW_AT_bit_size, 0);
	Dwarf_Word size;

	*offset_ret = number_of(member, DW_AT_data_member_location, 0);
	*size_ret = dwarf_aggregate_size(type, &size) == 0 ? size : 0;
	if (bit != UINT64_MAX) {
		*offset_ret = bit / 8;
		*size_ret = (bit % 8 + bits + 7) / 8;
	}
}

/* Finds a member by name, inside anonymous structs and unions too. */
static bool find_member(Dwarf_Die *type, const char *name, uint64_t *offset_ret, Dwarf_Die *ret, int depth)
{
	Dwarf_Die member;

	if (depth == DEEPEST_TYPE || dwarf_child(type, &member) != 0)
		return false;
	do {
		const char *its_name = dwarf_diename(&member);
		Dwarf_Die inner;

		if (dwarf_tag(&member) != DW_TAG_member)
			continue;
		if (its_name && strcmp(its_name, name) == 0) {
			*ret = member;
			return true;
		}
		if (!its_name && type_of(&member, &inner) && find_member(&inner, name, offset_ret, ret, depth + 1)) {
			*offset_ret += number_of(&member, DW_AT_data_member_location, 0);
			return true;
		}
	} while (dwarf_siblingof(&member, &member) == 0);
	return false;
}

#define MOST_MEMBERS 512 /* more are not looked at when a name is misspelt */

struct member_names {
	const char *names[MOST_MEMBERS];
	size_t count;
};

static const char *member_name(const void *context, size_t i)
{
	return ((const struct member_names *)context)->names[i];
}

static struct cs_error *no_member(Dwarf_Die *type, const char *name)
{
	struct member_names known = {.count = 0};
	const char *type_name = dwarf_diename(type);
	FREE char *nearest = NULL;
	Dwarf_Die member;

	if (dwarf_child(type, &member) == 0) {
		do
			if (known.count < MOST_MEMBERS)
				known.names[known.count++] = dwarf_diename(&member);
		while (dwarf_siblingof(&member, &member) == 0);
	}
	nearest = nearest_names(name, member_name, &known, known.count);
	if (!nearest)
		return &cs_error_no_memory;
	return cs_error_create(CS_ERROR_NOT_FOUND, "%s has no field %s%s", type_name ? type_name : "the type", name,
			       nearest);
}

/* How far the path has come: the bytes from `low` on have this type. */
struct place {
	struct xref_target *target;
	Dwarf_Die type;
	size_t dimension; /* how many indices of an array type have been used */
};

static struct cs_error *enter_member(struct place *place, const char *name)
{
	Dwarf_Die member;
	uint64_t anonymous = 0, offset, size;
	int tag = dwarf_tag(&place->type);

	if (tag != DW_TAG_structure_type && tag != DW_TAG_union_type && tag != DW_TAG_class_type)
		return cs_error_create(CS_ERROR_ARGUMENT, "no field %s: what stands before it is not a struct", name);
	if (!find_member(&place->type, name, &anonymous, &member, 0))
		return no_member(&place->type, name);
	if (!type_of(&member, &place->type))
		return cs_error_create(CS_ERROR_NOT_FOUND, "the DWARF does not give the type of the field %s", name);
	member_extent(&member, &place->type, &offset, &size);
	place->target->low += anonymous + offset;
	place->target->high = place->target->low + size;
	place->dimension = 0;
	return NULL;
}

/* The number of elements of each dimension from `first` on, multiplied. */
static uint64_t elements_from(Dwarf_Die *array, size_t first)
{
	uint64_t product = 1;
	Dwarf_Die range;
	size_t i = 0;

	if (dwarf_child(array, &range) != 0)
		return 1;
	do {
		uint64_t count = number_of(&range, DW_AT_count, number_of(&range, DW_AT_upper_bound, 0) + 1);

		if (dwarf_tag(&range) == DW_TAG_subrange_type && i++ >= first)
			product *= count;
	} while (dwarf_siblingof(&range, &range) == 0);
	return product;
}

static size_t dimensions_of(Dwarf_Die *array)
{
	size_t count = 0;
	Dwarf_Die range;

	if (dwarf_child(array, &range) != 0)
		return 0;
	do
		count += dwarf_tag(&range) == DW_TAG_subrange_type;
	while (dwarf_siblingof(&range, &range) == 0);
	return count;
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* An index in a register may choose any element: what repeats is the outermost array, at all strides used. */
static void note_repetition(struct xref_target *target, uint64_t array_low, uint64_t array_high, uint64_t stride)
{
	if (target->stride <= 1) {
		target->repeat_low = array_low;
		target->repeat_high = array_high;
		target->stride = stride;
	} else {
		target->stride = greatest_common_divisor(target->stride, stride);
	}
}

static struct cs_error *enter_element(struct place *place, uint64_t index)
{
	struct xref_target *target = place->target;
	uint64_t low = target->low, high = target->high, stride;
	Dwarf_Die element;
	Dwarf_Word size;

	if (dwarf_tag(&place->type) != DW_TAG_array_type || !type_of(&place->type, &element) ||
	    dwarf_aggregate_size(&element, &size) != 0)
		return cs_error_create(CS_ERROR_ARGUMENT, "[%" PRIu64 "]: what stands before it is not an array",
				       index);
	stride = size * elements_from(&place->type, place->dimension + 1);
	if (!stride || index >= (high - low) / stride)
		return cs_error_create(CS_ERROR_ARGUMENT, "[%" PRIu64 "]: the array has %" PRIu64 " elements", index,
				       stride ? (high - low) / stride : 0);
	note_repetition(target, low, high, stride);
	target->low += index * stride;
	target->high = target->low + stride;
	if (++place->dimension == dimensions_of(&place->type)) {
		place->type = element;
		place->dimension = 0;
	}
	return NULL;
}

/* Takes one ".name" or "[index]" off the path. */
static struct cs_error *enter(struct place *place, char **path)
{
	char *begin = *path + 1;
	char *end = begin + strcspn(begin, **path == '[' ? "]" : ".[");
	char separator = *end;
	unsigned long long index;

	if (**path == '[') {
		errno = 0;
		index = strtoull(begin, path, 0);
		if (errno || *path != end || end == begin || separator != ']')
			return cs_error_create(CS_ERROR_ARGUMENT, "'[%s' is no index: give [NUMBER]", begin);
		*path = end + 1;
		return enter_element(place, index);
	}
	if (**path != '.' || end == begin)
		return cs_error_create(CS_ERROR_ARGUMENT, "'%s' is no field: give .name or [index]", *path);
	*end = '\0';
	CS_TRY(enter_member(place, begin));
	*end = separator;
	*path = end;
	return NULL;
}

struct cs_error *xref_narrow(struct xref *xref, const char *path, struct xref_target *target)
{
	FREE char *copy = strdup(path);
	char *rest = copy;
	struct place place = {.target = target};

	if (!copy)
		return &cs_error_no_memory;
	CS_TRY(variable_type(xref, target->symbol, &place.type));
	while (*rest)
		CS_TRY(enter(&place, &rest));
	if (target->low < target->whole_low || target->high > target->whole_high || target->low >= target->high)
		return cs_error_create(CS_ERROR_FORMAT, "%s: DWARF places it outside the %" PRIu64 " bytes of %s", path,
				       target->whole_high - target->whole_low, target->symbol->name);
	if (target->stride <= 1) {
		target->repeat_low = target->low;
		target->repeat_high = target->high;
	}
	return NULL;
}
