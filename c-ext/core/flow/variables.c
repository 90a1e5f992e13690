/* SPDX-License-Identifier: MIT */
#include "flow/variables.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "elf/dwarf.h"

/* A place that a variable may be in. */
struct place {
	uint64_t address;
	unsigned reg;   /* DWARF's number */
	bool in_memory; /* at `displacement` from what the register holds */
	int64_t displacement;
	bool frame_known;
	int64_t frame; /* the displacement, from the function's frame base */
};

/* --- The function around an address --- */

static bool find_function(struct lines *lines, uint64_t address)
{
	Dwarf_Die child;

	if (lines->function_known && dwarf_haspc(&lines->function, address) > 0)
		return true;
	lines->function_known = false;
	if (!lines->dwarf || !lines_find_unit(lines, address) || dwarf_child(&lines->unit, &child) != 0)
		return false;
	do {
		if (dwarf_tag(&child) != DW_TAG_subprogram || dwarf_haspc(&child, address) <= 0)
			continue;
		lines->function = child;
		lines->function_known = true;
		return true;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/* The scope within another that holds the address; false where none does. */
static bool inner_scope(Dwarf_Die *scope, uint64_t address, Dwarf_Die *ret)
{
	Dwarf_Die child;

	if (dwarf_child(scope, &child) != 0)
		return false;
	do {
		int tag = dwarf_tag(&child);

		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
		    dwarf_haspc(&child, address) > 0) {
			*ret = child;
			return true;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/* --- Places --- */

/* DW_OP_breg0 … 31 have the register in their code; libdw tells them as DW_OP_bregx in frames only. */
static bool is_based(const Dwarf_Op *op, unsigned reg)
{
	return op->atom == DW_OP_breg0 + reg || (op->atom == DW_OP_bregx && op->number == reg);
}

static int64_t offset_of(const Dwarf_Op *op)
{
	return (int64_t)(op->atom == DW_OP_bregx ? op->number2 : op->number);
}

static bool is_register(const Dwarf_Op *op, unsigned reg)
{
	return op->atom == DW_OP_reg0 + reg || (op->atom == DW_OP_regx && op->number == reg);
}

/* Where a stack slot lies from the function's frame base: DW_OP_fbreg counts from there (DWARF 5, section 2.6.1.1.1).
 * gcc says DW_OP_call_frame_cfa, clang the frame pointer. A slot that is reached by another register is not known. */
static void set_frame(struct lines *lines, struct place *place)
{
	Dwarf_Attribute base;
	Dwarf_Op *ops;
	size_t count;
	unsigned reg;
	int64_t offset;

	if (!dwarf_attr(&lines->function, DW_AT_frame_base, &base) ||
	    dwarf_getlocation_addr(&base, place->address, &ops, &count, 1) != 1 || count != 1)
		return;
	if (ops[0].atom == DW_OP_call_frame_cfa) {
		if (!lines_frame(lines, place->address, &reg, &offset) || reg != place->reg)
			return;
	} else if (is_register(&ops[0], place->reg)) {
		offset = 0;
	} else if (is_based(&ops[0], place->reg)) {
		offset = offset_of(&ops[0]);
	} else {
		return;
	}
	place->frame_known = true;
	place->frame = place->displacement - offset;
}

static bool is_there(const struct place *place, const Dwarf_Op *ops, size_t count)
{
	if (!place->in_memory) {
		if (count == 2)
			return ops[1].atom == DW_OP_stack_value && is_based(&ops[0], place->reg) &&
			       offset_of(&ops[0]) == 0;
		return count == 1 && is_register(&ops[0], place->reg);
	}
	if (count != 1)
		return false;
	if (ops[0].atom == DW_OP_fbreg)
		return place->frame_known && (int64_t)ops[0].number == place->frame;
	return is_based(&ops[0], place->reg) && offset_of(&ops[0]) == place->displacement;
}

/* The variable of one scope that is in a place. */
static const char *variable_of(Dwarf_Die *scope, const struct place *place)
{
	Dwarf_Attribute location;
	Dwarf_Die child;
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_child(scope, &child) != 0)
		return NULL;
	do {
		int tag = dwarf_tag(&child);

		if (tag != DW_TAG_variable && tag != DW_TAG_formal_parameter)
			continue;
		if (dwarf_attr(&child, DW_AT_location, &location) &&
		    dwarf_getlocation_addr(&location, place->address, &ops, &count, 1) == 1 &&
		    is_there(place, ops, count) && dwarf_diename(&child))
			return dwarf_diename(&child);
	} while (dwarf_siblingof(&child, &child) == 0);
	return NULL;
}

static const char *find(struct lines *lines, struct place *place)
{
	const char *found = NULL;
	Dwarf_Die scope;

	if (!find_function(lines, place->address))
		return NULL;
	if (place->in_memory)
		set_frame(lines, place);
	scope = lines->function;
	do {
		const char *here = variable_of(&scope, place);

		found = here ? here : found;
	} while (inner_scope(&scope, place->address, &scope));
	return found;
}

bool variables_none_returned(struct lines *lines, uint64_t address)
{
	Dwarf_Attribute type;

	return find_function(lines, address) && !dwarf_attr_integrate(&lines->function, DW_AT_type, &type);
}

const char *variables_in_register(struct lines *lines, uint64_t address, int reg)
{
	struct place place = {.address = address};

	if (reg < 0 || (unsigned)reg >= lines->arch->general_count)
		return NULL;
	place.reg = lines->arch->dwarf[reg];
	return find(lines, &place);
}

const char *variables_in_slot(struct lines *lines, uint64_t address, int base, int64_t displacement)
{
	struct place place = {.address = address, .in_memory = true, .displacement = displacement};

	if (base < 0 || (unsigned)base >= lines->arch->general_count)
		return NULL;
	place.reg = lines->arch->dwarf[base];
	return find(lines, &place);
}

/* --- Comparisons --- */

/* The general registers that change from an instruction on, up to a block's branch. */
static uint32_t changed_since(struct insn_decoder *decoder, const struct cfg *cfg, uint32_t block, uint32_t insn)
{
	const struct cfg_block *at = &cfg->blocks[block];
	uint32_t changed = 0;
	struct operands operands;

	for (uint32_t i = insn; i + 1 < at->insn + at->insn_count; i++) {
		operands_of(decoder, &cfg->insns[i].insn, &operands);
		changed |= operands.written;
	}
	return changed;
}

/* A variable's range often ends with the comparison, its last use; where its place has not changed since, that is as
 * good. */
static const char *name_of(struct lines *lines, const struct operand *operand, uint64_t comparison, uint64_t branch,
			   uint32_t changed)
{
	const char *name;

	if (operand->reg >= 0) {
		name = changed >> operand->reg & 1 ? NULL : variables_in_register(lines, comparison, operand->reg);
		return name ? name : variables_in_register(lines, branch, operand->reg);
	}
	if (operand->memory.base < 0 || operand->memory.index >= 0 || changed >> operand->memory.base & 1)
		return NULL;
	return variables_in_slot(lines, comparison, operand->memory.base, operand->memory.displacement);
}

size_t variables_compared(struct lines *lines, struct insn_decoder *decoder, const struct cfg *cfg, uint32_t block,
			  struct variable *ret)
{
	uint32_t comparison = cfg_comparison(cfg, block);
	struct operand operands[OPERAND_MAX];
	uint32_t changed;
	size_t count, found = 0;

	if (comparison == CFG_NONE)
		return 0;
	count = operands_list(decoder, &cfg->insns[comparison].insn, operands);
	changed = changed_since(decoder, cfg, block, comparison);
	for (size_t i = 0; i < count; i++) {
		const char *name = name_of(lines, &operands[i], cfg->insns[comparison].insn.address,
					   cfg_last(cfg, block)->insn.address, changed);

		if (!name || (i && !strcmp(operands[i].text, operands[i - 1].text)))
			continue;
		memcpy(ret[found].operand, operands[i].text, sizeof(ret[found].operand));
		ret[found++].name = name;
	}
	return found;
}
