/* SPDX-License-Identifier: MIT */
#include "xref/xref.h"

#include "base/util.h"
#include "xref/object.h"
#include "xref/xref_internal.h"

struct cs_error *xref_create(struct elf *elf, struct xref **ret)
{
	struct xref *xref = calloc(1, sizeof(*xref));
	struct cs_error *error;

	if (!xref)
		return &cs_error_no_memory;
	xref->elf = elf;
	error = elf_symbols(elf, &xref->symbols, &xref->symbol_count);
	if (!error)
		error = object_create(elf_handle(elf), &xref->object);
	if (error) {
		xref_destroy(xref);
		return error;
	}
	*ret = xref;
	return NULL;
}

void xref_destroy(struct xref *xref)
{
	if (!xref)
		return;
	object_destroy(xref->object);
	free(xref);
}

struct cs_error *xref_has_relocations(struct xref *xref, bool *ret)
{
	return object_has_relocations(xref->object, ret);
}

struct cs_error *xref_file_of(struct xref *xref, const struct elf_symbol *symbol, const char **ret)
{
	*ret = NULL;
	return symbol->global ? NULL : object_file_of(xref->object, symbol->address, ret);
}

size_t xref_first_symbol(const struct xref *xref, uint64_t address)
{
	size_t low = 0;
	size_t high = xref->symbol_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (xref->symbols[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct cs_error *xref_symbol_over(struct xref *xref, uint64_t address, const struct elf_symbol **ret)
{
	size_t after;

	CS_TRY(elf_symbol_at(xref->elf, address, ret));
	after = *ret ? 0 : xref_first_symbol(xref, address + 1);
	if (after && !xref->symbols[after - 1].size)
		*ret = &xref->symbols[xref_first_symbol(xref, xref->symbols[after - 1].address)];
	return NULL;
}

bool xref_is_code(const struct xref *xref, const struct elf_symbol *symbol)
{
	return elf_text_section(xref->elf, symbol->address) != NULL;
}
