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

/* Fills a site from an entry of one size, or leaves its address 0 where the entry is empty; false where it makes no
 * sense, so the size is another. */
typedef bool read_entry(const struct entry *entry, struct site *ret);

struct table {
	const char *name;
	const char *start, *stop; /* the linker script's symbols */
	enum site_kind kind;
	size_t sizes[4]; /* of an entry in the kernels known, most recent first */
	read_entry *read;
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

/* Length of a direct call, jmp or jcc, with its segment prefix if it has one. */
static uint32_t transfer_length(const struct entry *entry, uint64_t address)
{
	const uint8_t *bytes = elf_bytes(entry->elf, address, 2);
	uint32_t prefix = bytes && (bytes[0] == 0x2e || bytes[0] == 0x3e);

	return bytes ? prefix + (bytes[prefix] == 0x0f ? 6 : 5) : 0;
}

/* struct alt_instr: offsets of text and replacement; cpuid (and, since 6.3, flags); then the two lengths, which
 * were followed by a padding length until 5.12. */
static bool read_alternative(const struct entry *entry, struct site *ret)
{
	size_t lengths = entry->size == 14 ? 12 : 10;

	ret->address = relative(entry, 0);
	ret->target = relative(entry, 4);
	ret->length = entry->bytes[lengths];
	ret->extent = entry->bytes[lengths + 1];
	return is_text(entry, ret->address) && ret->length && ret->extent <= ret->length &&
	       (!ret->extent || elf_bytes(entry->elf, ret->target, ret->extent));
}

/* struct jump_entry: code, target, key; relative since 4.19, absolute before. The text is a jump or nop of two or
 * of five bytes. */
static bool read_static_key(const struct entry *entry, struct site *ret)
{
	const uint8_t *text;

	ret->address = entry->size == 16 ? relative(entry, 0) : number(entry, 0, 8);
	ret->target = entry->size == 16 ? relative(entry, 4) : number(entry, 8, 8);
	text = elf_bytes(entry->elf, ret->address, 2);
	ret->length = text && (text[0] == 0xeb || (text[0] == 0x66 && text[1] == 0x90)) ? 2 : 5;
	return text && is_text(entry, ret->address) && is_text(entry, ret->target);
}

/* struct static_call_site, and the lists of return and retpoline sites: offset of a call or jump first. */
static bool read_transfer(const struct entry *entry, struct site *ret)
{
	ret->address = relative(entry, 0);
	ret->length = transfer_length(entry, ret->address);
	return ret->length && is_text(entry, ret->address);
}

/* Functions that the linker dropped leave zeros. */
static bool read_mcount(const struct entry *entry, struct site *ret)
{
	ret->address = number(entry, 0, 8);
	ret->length = 5;
	return !ret->address || is_text(entry, ret->address);
}

/* struct paravirt_patch_site: address, type, length. */
static bool read_paravirt(const struct entry *entry, struct site *ret)
{
	ret->address = number(entry, 0, 8);
	ret->length = entry->bytes[9];
	return is_text(entry, ret->address) && ret->length;
}

/* The section is filled up with zeros to a page's end. */
static bool read_lock(const struct entry *entry, struct site *ret)
{
	if (!number(entry, 0, 4))
		return true;
	ret->address = relative(entry, 0);
	ret->length = 1;
	return is_text(entry, ret->address);
}

static bool read_endbr(const struct entry *entry, struct site *ret)
{
	ret->address = relative(entry, 0);
	ret->length = 4;
	return is_text(entry, ret->address);
}

/* struct exception_table_entry: instruction, fixup, and what to do there. */
static bool read_fixup(const struct entry *entry, struct site *ret)
{
	ret->address = relative(entry, 0);
	ret->target = relative(entry, 4);
	return is_text(entry, ret->address) && is_text(entry, ret->target);
}

/* struct bug_entry: address, file and line (CONFIG_DEBUG_BUGVERBOSE), flags; BUGFLAG_WARNING is bit 0. */
static bool read_bug(const struct entry *entry, struct site *ret)
{
	const uint8_t *text;

	ret->address = relative(entry, 0);
	text = elf_bytes(entry->elf, ret->address, 2);
	if (number(entry, entry->size == 12 ? 10 : 4, 2) & 1)
		ret->kind = SITE_WARN;
	return text && is_text(entry, ret->address) && text[0] == 0x0f && (text[1] == 0x0b || text[1] == 0xb9);
}

static const struct table tables[SITES_TABLES] = {
	{"alternatives",
	 "__alt_instructions",
	 "__alt_instructions_end",
	 SITE_ALTERNATIVE,
	 {14, 12, 13},
	 read_alternative},
	{"static keys", "__start___jump_table", "__stop___jump_table", SITE_STATIC_KEY, {16, 24}, read_static_key},
	{"static calls", "__start_static_call_sites", "__stop_static_call_sites", SITE_STATIC_CALL, {8}, read_transfer},
	{"retpolines", "__retpoline_sites", "__retpoline_sites_end", SITE_RETPOLINE, {4}, read_transfer},
	{"returns", "__return_sites", "__return_sites_end", SITE_RETURN, {4}, read_transfer},
	{"mcount", "__start_mcount_loc", "__stop_mcount_loc", SITE_MCOUNT, {8}, read_mcount},
	{"paravirt", "__parainstructions", "__parainstructions_end", SITE_PARAVIRT, {16}, read_paravirt},
	{"locks", "__smp_locks", "__smp_locks_end", SITE_LOCK, {4}, read_lock},
	{"endbr", "__ibt_endbr_seal", "__ibt_endbr_seal_end", SITE_ENDBR, {4}, read_endbr},
	{"fixups", "__start___ex_table", "__stop___ex_table", SITE_FIXUP, {12, 8}, read_fixup},
	{"bugs", "__start___bug_table", "__stop___bug_table", SITE_BUG, {12, 6, 8}, read_bug},
};

/* Appends a table whose entries have `entry.size` bytes to `sites`, which has room for them; false, and nothing is
 * appended, where an entry makes no sense. */
static bool read_table(const struct table *table, struct entry entry, size_t total, struct sites *sites)
{
	size_t count = sites->count;

	for (size_t at = 0; at < total; at += entry.size) {
		struct site *site = &sites->items[count];

		*site = (struct site){.kind = table->kind};
		if (!table->read(&entry, site))
			return false;
		count += site->address != 0;
		entry.bytes += entry.size;
		entry.address += entry.size;
	}
	sites->count = count;
	return true;
}

static struct cs_error *add_table(struct elf *elf, const struct table *table, struct sites *sites)
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
	struct sites *sites = calloc(1, sizeof(*sites));
	struct cs_error *error = sites ? NULL : &cs_error_no_memory;

	for (size_t i = 0; !error && i < ARRAY_SIZE(tables); i++)
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
		[SITE_ENDBR] = "endbr",
		[SITE_FIXUP] = "exception",
		[SITE_BUG] = "BUG",
		[SITE_WARN] = "WARN",
	};

	return names[kind];
}
