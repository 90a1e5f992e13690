/* SPDX-License-Identifier: MIT */
/* Data that holds addresses: tables of functions, pointers to variables. */
#include "xref/pointers.h"

#include <string.h>

#include "base/util.h"
#include "xref/object.h"
#include "xref/scan.h"
#include "xref/xref_internal.h"

struct pointer_search {
	struct xref *xref;
	const struct xref_target *target;
	struct xref_sites *sites;
	const uint8_t *bytes;
	uint64_t address;
	size_t size;
};

bool xref_is_bookkeeping(const char *name)
{
	/* Names as the linkers of Linux, NetBSD and FreeBSD give them. */
	static const char *const prefixes[] = {
		".orc_",
		".eh_frame",
		"__ex_table",
		"__bug_table",
		".return_sites",
		".call_sites",
		".smp_locks",
		".altinstructions",
		".retpoline_sites",
		".parainstructions",
		".ibt_endbr",
		"__mcount_loc",
		".notes",
		".note",
		".BTF",
		".rel",
		".dynsym",
		".dynstr",
		".gnu.",
		".hash",
		"__patchable",
		".init.scratch",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

bool xref_is_listing(const char *symbol_name)
{
	static const char *const prefixes[] = {"__start_mcount_loc", "_kbl_addr_", "_eil_addr_", "__stop_kprobe",
					       "kallsyms_"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(symbol_name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

bool xref_is_export(const char *symbol_name)
{
	static const char prefix[] = "__ksymtab_";

	return strncmp(symbol_name, prefix, sizeof(prefix) - 1) == 0;
}

static bool in_target(const struct xref_target *target, uint64_t address)
{
	return address >= target->whole_low && address < target->whole_high;
}

/* Whether the bytes at `offset` are an absolute or a relative pointer to the target. */
static bool points_at(const struct pointer_search *search, size_t offset, struct xref_site *ret)
{
	const struct xref_target *target = search->target;
	uint64_t absolute;
	int32_t relative;

	*ret = (struct xref_site){.address = search->address + offset, .access = SHAPE_ADDRESS};
	if (search->size - offset >= sizeof(absolute)) {
		memcpy(&absolute, search->bytes + offset, sizeof(absolute));
		ret->kind = XREF_POINTER;
		ret->target = absolute;
		if (in_target(target, absolute))
			return true;
	}
	memcpy(&relative, search->bytes + offset, sizeof(relative));
	ret->kind = XREF_RELATIVE;
	ret->target = ret->address + (uint64_t)(int64_t)relative;
	/* Relative pointers are aligned, and lead to another section: within one, any small number would be one.
	 * Per-CPU variables at small addresses are out of their reach. */
	return in_target(target, ret->target) && !target->zero_based && ret->address % 4 == 0 &&
	       ret->target - search->address >= search->size;
}

static struct cs_error *visit_data(void *context, size_t offset)
{
	struct pointer_search *search = context;
	struct xref_site site;
	const struct elf_symbol *holder;
	bool genuine = true;

	if (!points_at(search, offset, &site))
		return NULL;
	if (search->target->zero_based)
		CS_TRY(object_is_relocated(search->xref->object, site.address, &genuine));
	if (!genuine)
		return NULL;
	CS_TRY(xref_symbol_over(search->xref, site.address, &holder));
	return holder && xref_is_listing(holder->name) ? NULL : xref_sites_add(search->sites, site);
}

struct cs_error *xref_pointers(struct xref *xref, const struct xref_target *target, struct xref_sites *ret)
{
	size_t count;
	const struct elf_section *sections = elf_sections(xref->elf, &count);

	for (size_t i = 0; i < count; i++) {
		const struct elf_section *section = &sections[i];
		struct pointer_search search = {xref, target, ret, NULL, section->address, section->size};

		if (section->executable || !section->has_bytes || xref_is_bookkeeping(section->name))
			continue;
		search.bytes = elf_bytes(xref->elf, section->address, section->size);
		if (search.bytes)
			CS_TRY(scan_candidates(search.bytes, section->size, section->address, target->whole_low,
					       target->whole_high, visit_data, &search));
	}
	return NULL;
}
