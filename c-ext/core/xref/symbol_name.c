/* SPDX-License-Identifier: MIT */
/* What an expression names: FILE:NAME, NAME+OFFSET, NAME.field[2], 0xADDRESS. */
#include "xref/symbol_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "xref/data_type.h"
#include "xref/nearest.h"
#include "xref/xref_internal.h"

/* How many of several equal names an error lists. */
#define LISTED 6

/* An expression cut up; the strings point into `copy`. */
struct parts {
	char *copy;
	const char *file; /* NULL: none given */
	char *name;       /* with what follows, until a symbol is found */
};

static void parts_destroy(struct parts *parts)
{
	free(parts->copy);
}

static struct cs_error *parts_create(const char *expression, struct parts *ret)
{
	char *colon;

	ret->copy = strdup(expression);
	if (!ret->copy)
		return &cs_error_no_memory;
	ret->name = ret->copy;
	colon = strchr(ret->copy, ':');
	if (colon) {
		*colon = '\0';
		ret->file = ret->copy;
		ret->name = colon + 1;
	}
	if (*ret->name)
		return NULL;
	return cs_error_create(CS_ERROR_ARGUMENT, "no name in '%s': give NAME, FILE:NAME, NAME.field or 0xADDRESS",
			       expression);
}

/* By base name: symbol tables know no more of a file than "tsc.c". */
static bool is_file(const char *given, const char *file)
{
	const char *base = strrchr(given, '/') ? strrchr(given, '/') + 1 : given;
	const char *file_base = file && strrchr(file, '/') ? strrchr(file, '/') + 1 : file;

	return file_base && strcmp(base, file_base) == 0;
}

/* The symbols that a name may mean. */
struct choice {
	const struct elf_symbol *items[LISTED];
	size_t count; /* may exceed LISTED */
};

static struct cs_error *choose(struct xref *xref, const char *name, const char *file, bool code, struct choice *ret)
{
	const struct elf_symbol *found = NULL, *previous = NULL;

	*ret = (struct choice){.count = 0};
	for (;; previous = found) {
		const char *its_file = NULL;

		CS_TRY(elf_find(xref->elf, name, previous, &found));
		if (!found)
			return NULL;
		/* Two symbols at one address are one thing under two entries. */
		if (xref_is_code(xref, found) != code || (previous && found->address == previous->address))
			continue;
		if (file)
			CS_TRY(xref_file_of(xref, found, &its_file));
		if (file && !is_file(file, its_file))
			continue;
		if (ret->count < LISTED)
			ret->items[ret->count] = found;
		ret->count++;
	}
}

/* The functions of which only parts are left (f.isra.0): one for each file that has such parts. */
static struct cs_error *choose_variants(struct xref *xref, const char *name, const char *file, struct choice *ret)
{
	const struct elf_symbol *found = NULL;
	const char *last_file = NULL;

	for (;;) {
		const char *its_file;
		bool same;

		CS_TRY(elf_find_variant(xref->elf, name, found, &found));
		if (!found)
			return NULL;
		CS_TRY(xref_file_of(xref, found, &its_file));
		same = ret->count && (its_file == last_file || (its_file && last_file && !strcmp(its_file, last_file)));
		if (!xref_is_code(xref, found) || elf_is_cold_part(found->name) || same ||
		    (file && !is_file(file, its_file)))
			continue;
		if (ret->count < LISTED)
			ret->items[ret->count] = found;
		ret->count++;
		last_file = its_file;
	}
}

static struct cs_error *ambiguous(struct xref *xref, const char *name, const struct choice *choice)
{
	FREE char *list = strdup("");

	for (size_t i = 0; i < choice->count && i < LISTED; i++) {
		FREE char *shorter = list;
		const char *file;

		list = NULL;
		CS_TRY(xref_file_of(xref, choice->items[i], &file));
		if (!shorter || asprintf(&list, "%s%s%s%s%s (0x%" PRIx64 ")", shorter, *shorter ? ", " : "",
					 file ? file : "", file ? ":" : "", name, choice->items[i]->address) < 0) {
			list = NULL;
			return &cs_error_no_memory;
		}
	}
	return cs_error_create(CS_ERROR_ARGUMENT, "%zu symbols are named %s: %s%s; give FILE:NAME or the address",
			       choice->count, name, list, choice->count > LISTED ? ", ..." : "");
}

struct wanted_kind {
	const struct xref *xref;
	bool code;
};

static const char *candidate_name(const void *context, size_t i)
{
	const struct wanted_kind *wanted = context;
	const struct elf_symbol *symbol = &wanted->xref->symbols[i];

	/* A name first: whether it is code costs a look into the sections. */
	return xref_is_code(wanted->xref, symbol) == wanted->code ? symbol->name : NULL;
}

static struct cs_error *unknown(struct xref *xref, const char *name, const char *file, bool code)
{
	struct wanted_kind wanted = {xref, code};
	const char *what = code ? "function" : "variable";
	FREE char *nearest = NULL;
	size_t length = strcspn(name, ".[+");
	FREE char *base = strndup(name, length);

	if (!xref->symbol_count)
		return cs_error_create(
			CS_ERROR_NOT_FOUND,
			"%s has no symbol table (stripped): give an address, or the kernel with its symbols",
			elf_path(xref->elf));
	nearest = base ? nearest_names(base, candidate_name, &wanted, xref->symbol_count) : NULL;
	if (!nearest)
		return &cs_error_no_memory;
	return cs_error_create(CS_ERROR_NOT_FOUND, "no %s %s%s%s in %s%s", what, base, file ? " of " : "",
			       file ? file : "", elf_path(xref->elf), nearest);
}

/* Finds the longest beginning of `name` that is a symbol: symbols have dots too (count.1). `*rest_ret` is what
 * follows. Nothing found: `*ret` has count 0. */
static struct cs_error *longest_symbol(struct xref *xref, const struct parts *parts, bool code, char **rest_ret,
				       struct choice *ret)
{
	char *end = parts->name + strlen(parts->name);

	for (;;) {
		char cut = *end;

		*end = '\0';
		CS_TRY(choose(xref, parts->name, parts->file, code, ret));
		if (ret->count > 1)
			return ambiguous(xref, parts->name, ret);
		*end = cut;
		if (ret->count) {
			*rest_ret = end;
			return NULL;
		}
		while (end > parts->name && !strchr(".[+", *--end))
			;
		if (end == parts->name)
			return NULL;
	}
}

/* Whether the expression is an address: "0x" and digits. */
static bool parse_address(const char *text, uint64_t *ret)
{
	char *end;

	if (strncmp(text, "0x", 2) != 0)
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 16);
	return !errno && end != text + 2 && !*end;
}

/* A variable's size: the greatest of the symbols at its address (jiffies has none, jiffies_64 has), else what lies
 * up to the next symbol. */
static uint64_t extent_of(const struct xref *xref, uint64_t address)
{
	size_t i = xref_first_symbol(xref, address);
	uint64_t size = 0;

	for (; i < xref->symbol_count && xref->symbols[i].address == address; i++)
		size = xref->symbols[i].size > size ? xref->symbols[i].size : size;
	if (!size && i < xref->symbol_count)
		size = xref->symbols[i].address - address;
	/* A table may lie: no variable reaches around the address space. */
	return !size || size > UINT64_MAX - address ? 1 : size;
}

static void set_whole(const struct elf_symbol *symbol, uint64_t low, uint64_t size, struct xref_target *target)
{
	*target = (struct xref_target){
		.symbol = symbol,
		.low = low,
		.high = low + size,
		.whole_low = low,
		.whole_high = low + size,
		.repeat_low = low,
		.repeat_high = low + size,
		.stride = 1,
	};
}

/* One byte at an offset: an access to the field there covers it. */
static struct cs_error *narrow_to_offset(const char *rest, struct xref_target *target)
{
	char *end;
	unsigned long long offset;

	errno = 0;
	offset = strtoull(rest + 1, &end, 0);
	if (errno || end == rest + 1 || *end)
		return cs_error_create(CS_ERROR_ARGUMENT, "'%s' is no offset: give NAME+0x18", rest);
	if (offset >= target->whole_high - target->whole_low)
		return cs_error_create(CS_ERROR_ARGUMENT, "%s has %" PRIu64 " bytes: +%llu is beyond them",
				       target->symbol->name, target->whole_high - target->whole_low, offset);
	target->low += offset;
	target->high = target->low + 1;
	return NULL;
}

static struct cs_error *address_target(struct xref *xref, uint64_t address, struct xref_target *ret)
{
	const struct elf_symbol *symbol;
	uint64_t size;

	if (address == UINT64_MAX)
		return cs_error_create(CS_ERROR_ARGUMENT, "0x%" PRIx64 " is not an address of a variable", address);
	CS_TRY(elf_symbol_at(xref->elf, address, &symbol));
	size = symbol ? extent_of(xref, symbol->address) : 0;
	if (!symbol || address - symbol->address >= size) {
		set_whole(NULL, address, 1, ret);
		return NULL;
	}
	set_whole(symbol, symbol->address, size, ret);
	if (address != symbol->address) {
		ret->low = address;
		ret->high = address + 1;
	}
	return NULL;
}

/* Linux before 6.15 links per-CPU variables at 0 and up; an address there is an offset from %gs. */
static void mark_zero_based(struct xref *xref, struct xref_target *target)
{
	size_t count;
	const struct elf_section *sections = elf_sections(xref->elf, &count);

	for (size_t i = 0; i < count; i++)
		if (target->low >= sections[i].address && target->low - sections[i].address < sections[i].size)
			target->zero_based = sections[i].address == 0;
}

struct cs_error *xref_variable(struct xref *xref, const char *expression, struct xref_target *ret)
{
	CLEANUP(parts_destroy) struct parts parts = {0};
	struct choice choice;
	char *rest = NULL;
	uint64_t address;

	if (parse_address(expression, &address)) {
		CS_TRY(address_target(xref, address, ret));
		mark_zero_based(xref, ret);
		return NULL;
	}
	CS_TRY(parts_create(expression, &parts));
	CS_TRY(longest_symbol(xref, &parts, false, &rest, &choice));
	if (!choice.count) /* assembly keeps data between functions */
		CS_TRY(longest_symbol(xref, &parts, true, &rest, &choice));
	if (!choice.count)
		return unknown(xref, parts.name, parts.file, false);
	set_whole(choice.items[0], choice.items[0]->address, extent_of(xref, choice.items[0]->address), ret);
	mark_zero_based(xref, ret);
	if (*rest == '+')
		return narrow_to_offset(rest, ret);
	return *rest ? xref_narrow(xref, rest, ret) : NULL;
}

struct cs_error *xref_function(struct xref *xref, const char *expression, const struct elf_symbol **ret)
{
	CLEANUP(parts_destroy) struct parts parts = {0};
	struct choice choice;
	uint64_t address;

	if (parse_address(expression, &address)) {
		CS_TRY(elf_symbol_at(xref->elf, address, ret));
		if (*ret && xref_is_code(xref, *ret))
			return NULL;
		return cs_error_create(CS_ERROR_NOT_FOUND, "no function at %s in %s", expression, elf_path(xref->elf));
	}
	CS_TRY(parts_create(expression, &parts));
	CS_TRY(choose(xref, parts.name, parts.file, true, &choice));
	if (!choice.count)
		CS_TRY(choose_variants(xref, parts.name, parts.file, &choice));
	if (!choice.count)
		return unknown(xref, parts.name, parts.file, true);
	if (choice.count > 1)
		return ambiguous(xref, parts.name, &choice);
	*ret = choice.items[0];
	return NULL;
}
