/* SPDX-License-Identifier: MIT */
#include "elf/inlined.h"

#include <dwarf.h>
#include <string.h>

#include "base/util.h"
#include "elf/dwarf.h"

/* Scopes nest no deeper in what a compiler writes; a file may say what it likes. */
#define DEPTH_MAX 100

struct search {
	struct lines *lines;
	const char *const *names;
	size_t count;
	inlined_visit visit;
	void *context;
};

static bool is_wanted(const struct search *search, const char *name)
{
	if (!search->names)
		return name;
	for (size_t i = 0; name && i < search->count; i++)
		if (!strcmp(search->names[i], name))
			return true;
	return false;
}

/* Where a copy begins: what the compiler says, or the lowest address of its first piece. */
static bool begin_of(Dwarf_Die *copy, uint64_t *ret)
{
	Dwarf_Addr base, end, begin;

	if (dwarf_entrypc(copy, &begin) == 0 || dwarf_ranges(copy, 0, &base, &begin, &end) > 0) {
		*ret = begin;
		return true;
	}
	return false;
}

static void set_call(struct search *search, Dwarf_Die *copy, struct inlined_copy *ret)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t count;

	if (dwarf_formudata(dwarf_attr(copy, DW_AT_call_line, &attribute), &value) == 0 && value <= INT32_MAX)
		ret->line = (int)value;
	if (dwarf_formudata(dwarf_attr(copy, DW_AT_call_file, &attribute), &value) == 0 &&
	    dwarf_getsrcfiles(&search->lines->unit, &files, &count) == 0 && value < count)
		ret->file = dwarf_filesrc(files, value, NULL, NULL);
}

static struct cs_error *take(struct search *search, Dwarf_Die *die, const char *within)
{
	struct inlined_copy copy = {.function = dwarf_diename(die), .within = within};

	if (!within || !is_wanted(search, copy.function) || !begin_of(die, &copy.address))
		return NULL;
	copy.declared = dwarf_decl_file(die);
	set_call(search, die, &copy);
	return search->visit(search->context, &copy);
}

/* `within`: the function whose code it is; NULL outside of any. */
static struct cs_error *walk(struct search *search, Dwarf_Die *parent, const char *within, unsigned depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return NULL;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_inlined_subroutine)
			CS_TRY(take(search, &die, within));
		if (tag == DW_TAG_subprogram)
			CS_TRY(walk(search, &die, dwarf_diename(&die), depth + 1));
		else if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block)
			CS_TRY(walk(search, &die, within, depth + 1));
	} while (dwarf_siblingof(&die, &die) == 0);
	return NULL;
}

/* An abbreviation by which a unit describes a copy of what another unit defines. */
static bool is_foreign_copy(Dwarf_Abbrev *abbreviation)
{
	size_t count;

	if (dwarf_getabbrevtag(abbreviation) != DW_TAG_inlined_subroutine ||
	    dwarf_getattrcnt(abbreviation, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		unsigned name, form;

		if (dwarf_getabbrevattr(abbreviation, i, &name, &form, NULL) == 0 && name == DW_AT_abstract_origin)
			return form == DW_FORM_ref_addr;
	}
	return false;
}

/* Whether a unit inlines functions of other units, as those do that are optimised when they are linked (LTO). */
static bool inlines_foreign(Dwarf_Die *unit)
{
	size_t length;
	Dwarf_Off offset = 0;

	for (;;) {
		Dwarf_Abbrev *abbreviation = dwarf_getabbrev(unit, offset, &length);

		if (!abbreviation || abbreviation == DWARF_END_ABBREV)
			return false;
		if (is_foreign_copy(abbreviation))
			return true;
		offset += length;
	}
}

/* What a unit inlines it knows itself, as a rule: as a definition that may have no code of its own. */
static bool knows_one(const struct search *search, Dwarf_Die *unit)
{
	Dwarf_Die die;

	if (dwarf_child(unit, &die) != 0)
		return false;
	do {
		if (dwarf_tag(&die) == DW_TAG_subprogram && is_wanted(search, dwarf_diename(&die)))
			return true;
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}

struct cs_error *inlined_find(struct lines *lines, const char *const *names, size_t count, inlined_visit visit,
			      void *context)
{
	struct search search = {lines, names, count, visit, context};
	Dwarf_Off offset = 0, next = 0;
	size_t header_size = 0;

	lines->unit_known = false;
	while (lines->dwarf && dwarf_nextcu(lines->dwarf, offset, &next, &header_size, NULL, NULL, NULL) == 0) {
		if (dwarf_offdie(lines->dwarf, offset + header_size, &lines->unit) &&
		    (knows_one(&search, &lines->unit) || inlines_foreign(&lines->unit)))
			CS_TRY(walk(&search, &lines->unit, NULL, 0));
		offset = next;
	}
	return NULL;
}
