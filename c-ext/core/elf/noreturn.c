/* SPDX-License-Identifier: MIT */
#include "elf/noreturn.h"

#include <dwarf.h>
#include <string.h>

#include "base/vector.h"
#include "elf/dwarf.h"

static bool says_noreturn(Dwarf_Abbrev *abbreviation)
{
	size_t count;
	unsigned name, form;

	if (dwarf_getabbrevtag(abbreviation) != DW_TAG_subprogram || dwarf_getattrcnt(abbreviation, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (dwarf_getabbrevattr(abbreviation, i, &name, &form, NULL) == 0 && name == DW_AT_noreturn)
			return true;
	return false;
}

/* Whether a unit describes any function as one that never returns: most do not, and their entries need not be read. */
static bool unit_says_noreturn(Dwarf_Die *unit)
{
	Dwarf_Off offset = 0;
	size_t length;

	for (;;) {
		Dwarf_Abbrev *abbreviation = dwarf_getabbrev(unit, offset, &length);

		if (!abbreviation || abbreviation == DWARF_END_ABBREV)
			return false;
		if (says_noreturn(abbreviation))
			return true;
		offset += length;
	}
}

/* What a compiler splits into a hot and a cold part has ranges, of which the first has the entry. */
static bool begins_at(Dwarf_Die *die, uint64_t address)
{
	Dwarf_Addr base, end, begin;

	if (dwarf_entrypc(die, &begin) != 0 && dwarf_ranges(die, 0, &base, &begin, &end) <= 0)
		return false;
	return begin == address;
}

static bool look_up(struct lines *lines, uint64_t function)
{
	Dwarf_Die die;

	if (!lines->dwarf || !lines_find_unit(lines, function) || !unit_says_noreturn(&lines->unit) ||
	    dwarf_child(&lines->unit, &die) != 0)
		return false;
	do {
		if (dwarf_tag(&die) == DW_TAG_subprogram && begins_at(&die, function))
			return dwarf_hasattr_integrate(&die, DW_AT_noreturn);
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}

/* The number of answers for lower addresses. */
static size_t place_of(const struct noreturn_answers *answers, uint64_t function)
{
	size_t low = 0, high = answers->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (answers->items[middle].function < function)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct cs_error *noreturn_ask(struct lines *lines, uint64_t function, bool *ret)
{
	struct noreturn_answers *answers = &lines->noreturn;
	size_t place = place_of(answers, function);

	if (place == answers->count || answers->items[place].function != function) {
		CS_TRY(VECTOR_ROOM(answers->items, answers->count + 1, answers->capacity));
		memmove(&answers->items[place + 1], &answers->items[place],
			(answers->count - place) * sizeof(*answers->items));
		answers->count++;
		answers->items[place] = (struct noreturn_answer){function, look_up(lines, function)};
	}
	*ret = answers->items[place].never;
	return NULL;
}
