/* SPDX-License-Identifier: MIT */
#include "elf/dwarf.h"

#include <dwarf.h>

#include "base/util.h"

struct cs_error *lines_create(struct elf *elf, struct lines **ret)
{
	struct lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return &cs_error_no_memory;
	lines->arch = elf_arch(elf);
	lines->elf = elf_handle(elf);
	lines->dwarf = dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL);
	aranges_init(&lines->aranges, lines->elf);
	*ret = lines;
	return NULL;
}

void lines_destroy(struct lines *lines)
{
	if (!lines)
		return;
	dwarf_cfi_end(lines->eh_frame);
	dwarf_end(lines->dwarf);
	free(lines->noreturn.items);
	free(lines);
}

/* By .debug_aranges. */
static bool ask_table(struct lines *lines, uint64_t address)
{
	Dwarf_Off offset, next;
	size_t header_size;

	return aranges_find(&lines->aranges, address, &offset) &&
	       dwarf_nextcu(lines->dwarf, offset, &next, &header_size, NULL, NULL, NULL) == 0 &&
	       dwarf_offdie(lines->dwarf, offset + header_size, &lines->unit) && dwarf_haspc(&lines->unit, address) > 0;
}

/* Without .debug_aranges (clang writes none) each unit's own ranges have to be asked. */
static bool search_units(struct lines *lines, uint64_t address)
{
	Dwarf_Off offset = 0, next = 0;
	size_t header_size = 0;

	while (dwarf_nextcu(lines->dwarf, offset, &next, &header_size, NULL, NULL, NULL) == 0) {
		if (dwarf_offdie(lines->dwarf, offset + header_size, &lines->unit) &&
		    dwarf_haspc(&lines->unit, address) > 0)
			return true;
		offset = next;
	}
	return false;
}

bool lines_find_unit(struct lines *lines, uint64_t address)
{
	if (lines->unit_known && dwarf_haspc(&lines->unit, address) > 0)
		return true;
	lines->unit_known = ask_table(lines, address) || dwarf_addrdie(lines->dwarf, address, &lines->unit) ||
			    search_units(lines, address);
	return lines->unit_known;
}

static bool frame_of(Dwarf_CFI *table, uint64_t address, unsigned *reg, int64_t *offset)
{
	FREE Dwarf_Frame *frame = NULL;
	Dwarf_Op *ops;
	size_t count;

	if (!table || dwarf_cfi_addrframe(table, address, &frame) != 0 || dwarf_frame_cfa(frame, &ops, &count) != 0 ||
	    count != 1 || ops[0].atom != DW_OP_bregx || ops[0].number > UINT8_MAX)
		return false;
	*reg = (unsigned)ops[0].number;
	*offset = (int64_t)ops[0].number2;
	return true;
}

bool lines_frame(struct lines *lines, uint64_t address, unsigned *reg, int64_t *offset)
{
	if (!lines->frames_known) {
		lines->frames_known = true;
		lines->debug_frame = dwarf_getcfi(lines->dwarf);
		lines->eh_frame = dwarf_getcfi_elf(lines->elf);
	}
	return frame_of(lines->debug_frame, address, reg, offset) || frame_of(lines->eh_frame, address, reg, offset);
}

/* The position that a line table gives an address. */
static void set_position(struct lines *lines, uint64_t address, struct line *line)
{
	Dwarf_Line *source = dwarf_getsrc_die(&lines->unit, address);

	line->file = source ? dwarf_linesrc(source, NULL, NULL) : NULL;
	if (!source || dwarf_lineno(source, &line->line) != 0)
		line->line = 0;
}

/* Where an inlined function was called from. */
static void set_call_site(struct lines *lines, Dwarf_Die *inlined, struct line *line)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t count;

	line->file = NULL;
	line->line = 0;
	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &value) == 0 && value <= INT32_MAX)
		line->line = (int)value;
	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) == 0 &&
	    dwarf_getsrcfiles(&lines->unit, &files, &count) == 0 && value < count)
		line->file = dwarf_filesrc(files, value, NULL, NULL);
}

/* The scopes around an address as they nest in the code. dwarf_getscopes() alone goes on, after an inlined function,
 * with what lies around that function's definition. */
static int enclosing_scopes(struct lines *lines, uint64_t address, Dwarf_Die **ret)
{
	FREE Dwarf_Die *found = NULL;

	if (dwarf_getscopes(&lines->unit, address, &found) <= 0)
		return 0;
	return dwarf_getscopes_die(&found[0], ret);
}

size_t lines_at(struct lines *lines, uint64_t address, struct line *ret, size_t limit)
{
	FREE Dwarf_Die *scopes = NULL;
	size_t level = 0;
	int count;

	if (!lines->dwarf || !limit || !lines_find_unit(lines, address))
		return 0;
	ret[0] = (struct line){.function = NULL};
	set_position(lines, address, &ret[0]);
	count = enclosing_scopes(lines, address, &scopes);
	for (int i = 0; i < count; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		ret[level].function = dwarf_diename(&scopes[i]);
		ret[level].inlined = tag == DW_TAG_inlined_subroutine;
		if (tag == DW_TAG_subprogram || level + 1 == limit)
			break;
		ret[++level] = (struct line){.function = NULL};
		set_call_site(lines, &scopes[i], &ret[level]);
	}
	return ret[0].file || ret[0].function ? level + 1 : 0;
}

bool lines_position(struct lines *lines, uint64_t address, struct line *ret)
{
	*ret = (struct line){.function = NULL};
	if (lines->dwarf && lines_find_unit(lines, address))
		set_position(lines, address, ret);
	return ret->file;
}
