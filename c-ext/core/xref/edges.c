/* SPDX-License-Identifier: MIT */
/* The edges of the call graph: one walk over all text, one pass over all data. */
#include "xref/edges.h"

#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "xref/pointers.h"
#include "xref/walk.h"
#include "xref/xref_internal.h"

struct collector {
	const struct xref *xref;
	const uint32_t *node;
	struct edges *calls, *pointers;
	uint64_t low, high; /* where sections are; per-CPU offsets and other small numbers are not addresses */
	uint64_t text_low, text_high; /* where code is */
};

static struct cs_error *add(struct edges *edges, struct edge edge)
{
	CS_TRY(VECTOR_ROOM(edges->items, edges->count + 1, edges->capacity));
	edges->items[edges->count++] = edge;
	return NULL;
}

/* How far a symbol reaches. A size-less one that is global marks a table; a local one is a label (.LC2). */
static uint64_t reach_of(const struct elf_symbol *symbol)
{
	return symbol->size ? symbol->size : symbol->global ? UINT64_MAX : sizeof(uint64_t);
}

/* The symbol that covers an address; UINT32_MAX where there is none. */
static uint32_t symbol_over(const struct collector *collector, uint64_t address)
{
	const struct xref *xref = collector->xref;
	size_t after = xref_first_symbol(xref, address + 1);
	const struct elf_symbol *symbol;

	if (!after || address < collector->low || address >= collector->high)
		return UINT32_MAX;
	after = xref_first_symbol(xref, xref->symbols[after - 1].address);
	symbol = &xref->symbols[after];
	return address - symbol->address < reach_of(symbol) ? (uint32_t)after : UINT32_MAX;
}

/* Pointers need no site; those of a table come one after the other, and one edge will do. */
static struct cs_error *add_pointer(struct edges *edges, uint32_t from, uint32_t to)
{
	const struct edge *last = edges->count ? &edges->items[edges->count - 1] : NULL;

	if (from == to || (last && last->from == from && last->to == to))
		return NULL;
	return add(edges, (struct edge){.from = from, .to = to});
}

/* From a function to what its instruction names: a function or an object. */
static struct cs_error *add_reference(struct collector *collector, uint32_t from, uint64_t address)
{
	uint32_t named = symbol_over(collector, address);
	uint32_t to = named == UINT32_MAX ? named : collector->node[named];

	/* Into the middle of a function: a label, not the function. */
	if (to == UINT32_MAX ||
	    (collector->xref->symbols[named].function && address != collector->xref->symbols[named].address))
		return NULL;
	return add_pointer(collector->pointers, from, to);
}

static struct cs_error *add_branch(struct collector *collector, uint32_t from, uint64_t site, uint64_t target,
				   bool call)
{
	const struct xref *xref = collector->xref;
	size_t entry = xref_first_symbol(xref, target);
	uint32_t to;

	if (entry == xref->symbol_count || xref->symbols[entry].address != target)
		return NULL;
	to = collector->node[entry];
	if (to == from)
		return NULL;
	return add(collector->calls,
		   (struct edge){.from = from, .to = to, .site = site, .target = target, .call = call});
}

/* The first address after `walk`'s last symbol that another symbol has. */
static uint64_t next_symbol_address(const struct walk *walk)
{
	return walk->next_symbol < walk->xref->symbol_count ? walk->xref->symbols[walk->next_symbol].address
							    : UINT64_MAX;
}

static struct cs_error *collect_instruction(struct collector *collector, const struct walk *walk, size_t offset,
					    const struct shape *shape)
{
	const uint8_t *bytes = walk->bytes + offset;
	uint64_t address = walk->address + offset;
	uint64_t begin = walk->next_symbol ? collector->xref->symbols[walk->next_symbol - 1].address : 0;
	uint32_t from;

	if (!walk->next_symbol || begin < walk->address)
		return NULL; /* before the section's first symbol: code of nobody */
	from = collector->node[walk->next_symbol - 1];
	if (shape->branches) {
		uint64_t target = address + shape->length + (uint64_t)shape_immediate(shape, bytes);

		/* Most branches stay between two symbols, where no function begins. */
		return target > begin && target < next_symbol_address(walk)
			       ? NULL
			       : add_branch(collector, from, address, target, shape->calls);
	}
	if (shape->access && shape->displacement_size >= 4) {
		uint64_t displacement = (uint64_t)shape_displacement(shape, bytes);

		CS_TRY(add_reference(collector, from,
				     shape->memory == SHAPE_RELATIVE ? address + shape->length + displacement
								     : displacement));
	}
	if (shape->immediate_size >= 4)
		return add_reference(collector, from, (uint64_t)shape_immediate(shape, bytes));
	return NULL;
}

static struct cs_error *collect_code(struct collector *collector, const struct elf_section *section,
				     const uint8_t *bytes)
{
	struct walk walk;
	struct shape shape;
	size_t offset;

	walk_begin(&walk, collector->xref, section, bytes);
	while (walk_next(&walk, &offset, &shape))
		CS_TRY(collect_instruction(collector, &walk, offset, &shape));
	return NULL;
}

/* `relative`: it was worked out of a distance, as small numbers and bit masks are one: only a function's entry counts.
 */
static struct cs_error *add_datum(struct collector *collector, uint64_t address, uint64_t value, bool relative)
{
	uint32_t holder, named = symbol_over(collector, value);
	const struct elf_symbol *symbol;

	if (named == UINT32_MAX)
		return NULL;
	symbol = &collector->xref->symbols[named];
	if (relative && !symbol->function)
		return NULL;
	holder = symbol_over(collector, address);
	if (holder == UINT32_MAX || xref_is_listing(collector->xref->symbols[holder].name) ||
	    (symbol->function && value != symbol->address))
		return NULL;
	return add_pointer(collector->pointers, collector->node[holder], collector->node[named]);
}

/* The addresses that the bytes at `at` may be: an object's 8-byte pointer, or the 4-byte distance to a function that
 * tables of initcalls hold. */
static struct cs_error *collect_word(struct collector *collector, const struct elf_section *section,
				     const uint8_t *bytes, size_t at)
{
	uint64_t address = section->address + at, value = 0;
	int32_t distance;

	if (section->size - at >= sizeof(value))
		memcpy(&value, bytes + at, sizeof(value));
	if (value >= collector->low && value < collector->high)
		CS_TRY(add_datum(collector, address, value, false));
	memcpy(&distance, bytes + at, sizeof(distance));
	value = address + (uint64_t)(int64_t)distance;
	return value >= collector->text_low && value < collector->text_high ? add_datum(collector, address, value, true)
									    : NULL;
}

static struct cs_error *collect_data(struct collector *collector, const struct elf_section *section,
				     const uint8_t *bytes)
{
	for (size_t at = 0; at + sizeof(uint32_t) <= section->size; at += sizeof(uint32_t))
		CS_TRY(collect_word(collector, section, bytes, at));
	return NULL;
}

static void widen(uint64_t *low, uint64_t *high, const struct elf_section *section)
{
	uint64_t end = section->address + section->size;

	*low = section->address < *low ? section->address : *low;
	*high = end > *high ? end : *high;
}

static void find_bounds(struct collector *collector, const struct elf_section *sections, size_t count)
{
	collector->low = collector->text_low = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		if (sections[i].address)
			widen(&collector->low, &collector->high, &sections[i]);
		if (sections[i].executable)
			widen(&collector->text_low, &collector->text_high, &sections[i]);
	}
}

struct cs_error *edges_collect(const struct xref *xref, const uint32_t *node, struct edges *calls,
			       struct edges *pointers)
{
	struct collector collector = {.xref = xref, .node = node, .calls = calls, .pointers = pointers};
	size_t count;
	const struct elf_section *sections = elf_sections(xref->elf, &count);

	find_bounds(&collector, sections, count);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *bytes = elf_bytes(xref->elf, sections[i].address, sections[i].size);

		if (!bytes || xref_is_bookkeeping(sections[i].name))
			continue;
		if (sections[i].executable)
			CS_TRY(collect_code(&collector, &sections[i], bytes));
		else
			CS_TRY(collect_data(&collector, &sections[i], bytes));
	}
	return NULL;
}
