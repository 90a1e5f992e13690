/* SPDX-License-Identifier: MIT */
/* Symbols by address and by name. */
#include <ctype.h>
#include <gelf.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "elf/elf_internal.h"

#define LARGE_PAGE ((size_t)2 << 20)

size_t elf_base_name_length(const char *name)
{
	static const char *const suffixes[] = {".cold", ".part.", ".isra.", ".constprop.", ".llvm."};
	const char *end = strchrnul(name, '.');
	size_t length = (size_t)(end - name);

	if (!*end)
		return length; /* as nearly all of a kernel's 100,000 names */
	length += strlen(end);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		const char *found = strstr(name, suffixes[i]);

		if (found && found > name && (size_t)(found - name) < length)
			length = (size_t)(found - name);
	}
	return length;
}

bool elf_is_cold_part(const char *name)
{
	const char *found = strstr(name, ".cold");

	/* GCC before 9 numbered them: f.cold.12 */
	return found && found > name && (!found[5] || (found[5] == '.' && isdigit((unsigned char)found[6])));
}

/* FNV-1a, of eight bytes at once; what is left of them is mixed into the low bits, of which the bucket is made. */
static uint32_t hash(const char *bytes, size_t length)
{
	uint64_t value = 14695981039346656037u;

	for (size_t size; length; bytes += size, length -= size) {
		uint64_t word = 0;

		size = length < sizeof(word) ? length : sizeof(word);
		memcpy(&word, bytes, size);
		value = (value ^ word) * 1099511628211u;
		value ^= value >> 32;
	}
	return (uint32_t)value;
}

/* By address; functions, then large ones, then global ones first. */
static int compare_symbols(const void *left, const void *right)
{
	const struct elf_symbol *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->function != b->function)
		return a->function ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	if (a->global != b->global)
		return a->global ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* The section that holds an address or ends there: symbols mark both ends of a table. `*first` is for addresses that
 * rise from call to call: all sections before it end below them. */
static const struct elf_section *section_of(const struct elf *elf, uint64_t address, size_t *first)
{
	const struct elf_section *section;

	for (; *first < elf->section_count; ++*first) {
		section = &elf->sections[*first];
		if (section->address > address)
			break;
		if (address - section->address < section->size)
			return section;
	}
	return address ? elf_section_at(elf, address - 1) : NULL;
}

/* All that matters but the section. */
static bool is_wanted(const Elf64_Sym *symbol)
{
	int type = ELF64_ST_TYPE(symbol->st_info);

	return symbol->st_name && symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && type != STT_SECTION &&
	       type != STT_FILE && type != STT_TLS;
}

/* Symbols may lie at any offset. */
static Elf64_Sym symbol_in(const Elf_Data *table, size_t index)
{
	Elf64_Sym symbol;

	memcpy(&symbol, (const char *)table->d_buf + index * sizeof(symbol), sizeof(symbol));
	return symbol;
}

/* The numbers of those that are wanted, by address. */
static struct cs_error *order(const Elf_Data *table, size_t table_count, uint32_t **ret, size_t *count_ret)
{
	FREE uint32_t *indices = malloc((table_count + 1) * sizeof(*indices));
	size_t count = 0;

	if (!indices)
		return &cs_error_no_memory;
	for (size_t i = 1; i < table_count && i < NO_SYMBOL; i++) {
		Elf64_Sym symbol = symbol_in(table, i);

		if (is_wanted(&symbol))
			indices[count++] = (uint32_t)i;
	}
	CS_TRY(elf_order_symbols(table->d_buf, indices, count));
	*ret = TAKE_PTR(indices);
	*count_ret = count;
	return NULL;
}

/* Takes the symbols in the order of their addresses. `reach` is for now where each one's section ends. */
static void take_symbols(struct elf *elf, const Elf_Data *table, size_t strings, const uint32_t *indices, size_t count)
{
	size_t first = 0;

	for (size_t i = 0; i < count; i++) {
		Elf64_Sym symbol = symbol_in(table, indices[i]);
		const struct elf_section *section = section_of(elf, symbol.st_value, &first);
		const char *name = section ? elf_strptr(elf->handle, strings, symbol.st_name) : NULL;
		int type = ELF64_ST_TYPE(symbol.st_info);

		if (!name || !*name)
			continue;
		elf->reach[elf->symbol_count] = section->address + section->size;
		elf->symbols[elf->symbol_count++] = (struct elf_symbol){
			.name = name,
			.address = symbol.st_value,
			.size = symbol.st_size,
			.function = (type == STT_FUNC || type == STT_GNU_IFUNC) && section->executable &&
				    symbol.st_value - section->address < section->size,
			.variable = type == STT_OBJECT,
			.global = ELF64_ST_BIND(symbol.st_info) != STB_LOCAL,
		};
	}
}

/* Puts the best of each address first. */
static void sort_namesakes(struct elf *elf)
{
	size_t end;

	for (size_t begin = 0; begin < elf->symbol_count; begin = end) {
		struct elf_symbol *symbols = elf->symbols;

		for (end = begin + 1; end < elf->symbol_count && symbols[end].address == symbols[begin].address;)
			end++;
		if (end - begin > 1)
			qsort(symbols + begin, end - begin, sizeof(*symbols), compare_symbols);
	}
}

/* Gives functions of unknown size what lies up to the next symbol; none reaches beyond its section. */
static void complete_sizes(struct elf *elf)
{
	uint64_t here = UINT64_MAX, next = UINT64_MAX; /* the symbols' address, and the next one above it */

	for (size_t i = elf->symbol_count; i-- > 0;) {
		struct elf_symbol *symbol = &elf->symbols[i];
		uint64_t end = elf->reach[i];

		if (symbol->address != here) {
			next = here;
			here = symbol->address;
		}
		if (!symbol->function)
			continue;
		if (!symbol->size)
			symbol->size = (next < end ? next : end) - symbol->address;
		else if (symbol->size > end - symbol->address)
			symbol->size = end - symbol->address;
	}
}

static void find_reaches(struct elf *elf)
{
	uint64_t reach = 0;

	for (size_t i = 0; i < elf->symbol_count; i++) {
		const struct elf_symbol *symbol = &elf->symbols[i];
		uint64_t end = symbol->address + (symbol->size ? symbol->size : 1);

		reach = end > reach ? end : reach;
		elf->reach[i] = reach;
	}
}

/* Some megabytes, that are asked for in pieces of two where the system has such: a page of 4 KB at a time, their first
 * use took as long as all the rest. */
static struct elf_symbol *room_for_symbols(size_t count)
{
	size_t size = count * sizeof(struct elf_symbol);
	void *room;

	if (size < LARGE_PAGE / 2)
		return malloc(size);
	size = (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
	room = aligned_alloc(LARGE_PAGE, size);
	if (room)
		madvise(room, size, MADV_HUGEPAGE); /* a wish */
	return room;
}

static struct cs_error *read_symbol_table(struct elf *elf, Elf_Scn *scn, size_t strings)
{
	Elf_Data *table = elf_getdata(scn, NULL);
	FREE uint32_t *indices = NULL;
	size_t count = 0;

	if (table && table->d_buf)
		CS_TRY(order(table, table->d_size / sizeof(Elf64_Sym), &indices, &count));
	elf->symbols = room_for_symbols(count + 1);
	elf->reach = malloc((count + 1) * sizeof(*elf->reach));
	if (!elf->symbols || !elf->reach) {
		free(TAKE_PTR(elf->symbols));
		free(TAKE_PTR(elf->reach));
		return &cs_error_no_memory;
	}
	take_symbols(elf, table, strings, indices, count);
	sort_namesakes(elf);
	complete_sizes(elf);
	find_reaches(elf);
	return NULL;
}

static struct cs_error *load_symbols(struct elf *elf)
{
	Elf_Scn *scn = NULL, *found = NULL;
	GElf_Shdr header, table = {.sh_type = SHT_NULL};

	if (elf->symbols)
		return NULL;
	/* .symtab names everything; .dynsym alone is what a stripped program has. */
	while ((scn = elf_nextscn(elf->handle, scn))) {
		if (!gelf_getshdr(scn, &header))
			continue;
		if (header.sh_type == SHT_SYMTAB || (header.sh_type == SHT_DYNSYM && !found)) {
			found = scn;
			table = header;
		}
	}
	if (!found)
		return elf_bad(elf, "has no symbol table; name the kernel's ELF with debug information");
	return read_symbol_table(elf, found, table.sh_link);
}

struct cs_error *elf_symbols(struct elf *elf, const struct elf_symbol **ret, size_t *count_ret)
{
	CS_TRY(load_symbols(elf));
	*ret = elf->symbols;
	*count_ret = elf->symbol_count;
	return NULL;
}

static uint32_t bucket_of(const struct elf *elf, const char *name)
{
	return hash(name, elf_base_name_length(name)) & elf->bucket_mask;
}

/* Fills the lists from behind, so that each is in rising order. */
static struct cs_error *index_names(struct elf *elf)
{
	FREE uint32_t *buckets = NULL, *next = NULL;
	size_t bucket_count = 1;

	if (elf->buckets)
		return NULL;
	while (bucket_count < elf->symbol_count)
		bucket_count *= 2;
	buckets = malloc(bucket_count * sizeof(*buckets));
	next = malloc((elf->symbol_count + 1) * sizeof(*next));
	if (!buckets || !next)
		return &cs_error_no_memory;
	memset(buckets, 0xff, bucket_count * sizeof(*buckets)); /* NO_SYMBOL */
	elf->bucket_mask = (uint32_t)bucket_count - 1;
	for (size_t i = elf->symbol_count; i-- > 0;) {
		uint32_t bucket = bucket_of(elf, elf->symbols[i].name);

		next[i] = buckets[bucket];
		buckets[bucket] = (uint32_t)i;
	}
	elf->buckets = TAKE_PTR(buckets);
	elf->next = TAKE_PTR(next);
	return NULL;
}

static struct cs_error *find(struct elf *elf, const char *name, bool variants, const struct elf_symbol *after,
			     const struct elf_symbol **ret)
{
	size_t length = elf_base_name_length(name);
	uint32_t at;

	*ret = NULL;
	CS_TRY(load_symbols(elf));
	CS_TRY(index_names(elf));
	at = after ? elf->next[after - elf->symbols] : elf->buckets[bucket_of(elf, name)];
	for (; at != NO_SYMBOL; at = elf->next[at]) {
		const struct elf_symbol *symbol = &elf->symbols[at];

		if (variants ? !strncmp(symbol->name, name, length) && elf_base_name_length(symbol->name) == length
			     : !strcmp(symbol->name, name)) {
			*ret = symbol;
			return NULL;
		}
	}
	return NULL;
}

struct cs_error *elf_find(struct elf *elf, const char *name, const struct elf_symbol *after,
			  const struct elf_symbol **ret)
{
	return find(elf, name, false, after, ret);
}

struct cs_error *elf_find_variant(struct elf *elf, const char *base, const struct elf_symbol *after,
				  const struct elf_symbol **ret)
{
	return find(elf, base, true, after, ret);
}

struct cs_error *elf_symbol_at(struct elf *elf, uint64_t address, const struct elf_symbol **ret)
{
	const struct elf_symbol *best = NULL;
	size_t low = 0, high;

	CS_TRY(load_symbols(elf));
	high = elf->symbol_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (elf->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low > 0 && elf->reach[low - 1] > address; low--) {
		const struct elf_symbol *symbol = &elf->symbols[low - 1];

		if (address - symbol->address >= (symbol->size ? symbol->size : 1))
			continue;
		/* Among those at one address the sort has put the best first. */
		if (!best || (symbol->function && !best->function) || symbol->address == best->address)
			best = symbol;
	}
	*ret = best;
	return NULL;
}
