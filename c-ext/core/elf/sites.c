/* SPDX-License-Identifier: MIT */
#include "elf/sites.h"

#include <string.h>

#include "base/util.h"
#include "base/vector.h"

/* One entry as it lies in the table. */
struct entry {
	const struct elf *elf;
	const uint8_t *bytes;
	uint64_t address;
	size_t size;
};

static uint64_t number(const struct entry *entry, size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, entry->bytes + offset, size);
	return value;
}

/* A 32-bit offset from its own place. */
static uint64_t relative(const struct entry *entry, size_t offset)
{
	return entry->address + offset + (uint64_t)(int64_t)(int32_t)number(entry, offset, 4);
}

static bool is_text(const struct entry *entry, uint64_t address)
{
	return elf_text_section(entry->elf, address) != NULL;
}

/* struct alt_instr: see SITE_FORM_ALTERNATIVE. */
static void read_alternative(const struct entry *entry, struct site *ret)
{
	size_t lengths = entry->size == 14 ? 12 : 10;

	ret->address = relative(entry, 0);
	ret->target = relative(entry, 4);
	ret->length = entry->bytes[lengths];
	ret->extent = entry->bytes[lengths + 1];
}

static void read_key(const struct entry *entry, struct site *ret)
{
	ret->address = entry->size == 16 ? relative(entry, 0) : number(entry, 0, 8);
	ret->target = entry->size == 16 ? relative(entry, 4) : number(entry, 8, 8);
}

static void read_paravirt(const struct entry *entry, struct site *ret)
{
	ret->address = number(entry, 0, 8);
	ret->length = entry->bytes[9];
}

static void read_fixup(const struct entry *entry, struct site *ret)
{
	ret->address = relative(entry, 0);
	ret->target = relative(entry, 4);
}

static void read_bug(const struct entry *entry, struct site *ret)
{
	ret->address = relative(entry, 0);
	if (number(entry, entry->size == 12 ? 10 : 4, 2) & 1)
		ret->kind = SITE_WARN;
}

static void read_fields(const struct entry *entry, enum site_form form, struct site *ret)
{
	switch (form) {
	case SITE_FORM_ALTERNATIVE: read_alternative(entry, ret); break;
	case SITE_FORM_KEY: read_key(entry, ret); break;
	case SITE_FORM_RELATIVE: ret->address = relative(entry, 0); break;
	case SITE_FORM_ABSOLUTE: ret->address = number(entry, 0, 8); break;
	case SITE_FORM_PARAVIRT: read_paravirt(entry, ret); break;
	case SITE_FORM_FIXUP: read_fixup(entry, ret); break;
	case SITE_FORM_BUG: read_bug(entry, ret); break;
	}
}

/* Whether what an entry leads to is there. */
static bool is_sensible(const struct entry *entry, const struct site *site)
{
	switch (site->kind) {
	case SITE_ALTERNATIVE:
		return site->length && site->extent <= site->length &&
		       (!site->extent || elf_bytes(entry->elf, site->target, site->extent));
	case SITE_STATIC_KEY:
	case SITE_FIXUP: return is_text(entry, site->target);
	case SITE_STATIC_CALL:
	case SITE_RETPOLINE:
	case SITE_RETURN:
	case SITE_MCOUNT:
	case SITE_PARAVIRT:
	case SITE_LOCK:
	case SITE_MARKER: return site->length;
	case SITE_BUG:
	case SITE_WARN: return true;
	}
	return false;
}

/* Fills a site from an entry of one size, or leaves its address 0 where the entry is empty; false where it makes no
 * sense, so the size is another. */
static bool read_site(const struct site_table *table, const struct entry *entry, struct site *ret)
{
	const uint8_t *text;
	uint32_t length;

	if (table->may_be_empty && !number(entry, 0, table->form == SITE_FORM_ABSOLUTE ? 8 : 4))
		return true;
	read_fields(entry, table->form, ret);
	if (!is_text(entry, ret->address))
		return false;
	text = table->length ? elf_bytes(entry->elf, ret->address, 2) : NULL;
	length = text ? table->length(text) : 0;
	if (table->length && !length)
		return false;
	if (table->length && site_is_patched(ret->kind))
		ret->length = length;
	return is_sensible(entry, ret);
}

/* Appends a table whose entries have `entry.size` bytes to `sites`, which has room for them; false, and nothing is
 * appended, where an entry makes no sense. */
static bool read_table(const struct site_table *table, struct entry entry, size_t total, struct sites *sites)
{
	size_t count = sites->count;

	for (size_t at = 0; at < total; at += entry.size) {
		struct site *site = &sites->items[count];

		*site = (struct site){.kind = table->kind};
		if (!read_site(table, &entry, site))
			return false;
		count += site->address != 0;
		entry.bytes += entry.size;
		entry.address += entry.size;
	}
	sites->count = count;
	return true;
}

static struct cs_error *add_table(struct elf *elf, const struct site_table *table, struct sites *sites)
{
	const struct elf_symbol *start, *stop;
	struct entry entry = {.elf = elf};
	uint64_t total;

	CS_TRY(elf_find(elf, table->start, NULL, &start));
	CS_TRY(elf_find(elf, table->stop, NULL, &stop));
	if (!start || !stop || stop->address <= start->address)
		return NULL;
	total = stop->address - start->address;
	entry.address = start->address;
	entry.bytes = elf_bytes(elf, start->address, total);
	for (size_t i = 0; entry.bytes && i < ARRAY_SIZE(table->sizes) && table->sizes[i]; i++) {
		entry.size = table->sizes[i];
		if (total % entry.size)
			continue;
		CS_TRY(VECTOR_ROOM(sites->items, sites->count + total / entry.size, sites->room));
		if (read_table(table, entry, total, sites))
			return NULL;
	}
	sites->unread[sites->unread_count++] = table->name;
	return NULL;
}

static int compare_sites(const void *left, const void *right)
{
	const struct site *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return (int)a->kind - (int)b->kind;
}

struct cs_error *sites_create(struct elf *elf, struct sites **ret)
{
	const struct site_table *tables = elf_arch(elf)->site_tables;
	struct sites *sites = calloc(1, sizeof(*sites));
	struct cs_error *error = sites ? NULL : &cs_error_no_memory;

	for (size_t i = 0; !error && tables[i].name; i++)
		error = add_table(elf, &tables[i], sites);
	if (error) {
		sites_destroy(sites);
		return error;
	}
	if (sites->count)
		qsort(sites->items, sites->count, sizeof(*sites->items), compare_sites);
	*ret = sites;
	return NULL;
}

void sites_destroy(struct sites *sites)
{
	if (!sites)
		return;
	free(sites->items);
	free(sites);
}

#define LONGEST 255u /* bytes of text in one site: lengths of alternatives are bytes */

const struct site *sites_between(const struct sites *sites, uint64_t start, uint64_t end, size_t *count_ret)
{
	uint64_t from = start > LONGEST ? start - LONGEST : 0;
	size_t low = 0, high = sites ? sites->count : 0, last;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sites->items[middle].address < from)
			low = middle + 1;
		else
			high = middle;
	}
	*count_ret = 0;
	if (!sites)
		return NULL;
	while (low < sites->count && sites->items[low].address < start &&
	       sites->items[low].address + sites->items[low].length <= start)
		low++;
	for (last = low; last < sites->count && sites->items[last].address < end; last++)
		;
	*count_ret = last - low;
	return sites->items + low;
}

bool site_is_patched(enum site_kind kind)
{
	return kind != SITE_FIXUP && kind != SITE_BUG && kind != SITE_WARN;
}

const char *site_kind_name(enum site_kind kind)
{
	static const char *const names[] = {
		[SITE_ALTERNATIVE] = "alternative",
		[SITE_STATIC_KEY] = "static key",
		[SITE_STATIC_CALL] = "static call",
		[SITE_RETPOLINE] = "retpoline",
		[SITE_RETURN] = "return",
		[SITE_MCOUNT] = "function entry",
		[SITE_PARAVIRT] = "paravirt",
		[SITE_LOCK] = "lock prefix",
		[SITE_MARKER] = "entry marker",
		[SITE_FIXUP] = "exception",
		[SITE_BUG] = "BUG",
		[SITE_WARN] = "WARN",
	};

	return names[kind];
}
