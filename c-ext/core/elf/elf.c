/* SPDX-License-Identifier: MIT */
#include "elf/elf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"

struct name_key {
	uint32_t hash;  /* of the base name */
	uint32_t index; /* into symbols */
};

struct elf {
	char *path;
	void *image;
	size_t size;
	Elf *handle;
	struct elf_section *sections;
	uint64_t *offsets; /* of each section's bytes in the file */
	size_t section_count;
	uint64_t build_id_offset, build_id_address;
	size_t build_id_size;

	/* Made at first use. */
	struct elf_symbol *symbols;
	uint64_t *reach; /* for each symbol the highest end among it and those before it */
	struct name_key *by_name;
	size_t symbol_count;
	char *banner;
};

static struct cs_error *bad(const struct elf *elf, const char *what)
{
	return cs_error_create(CS_ERROR_FORMAT, "%s: %s", elf->path, what);
}

static struct cs_error *map_file(struct elf *elf)
{
	CLOSE int fd = open(elf->path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "%s: cannot be opened", elf->path);
	if (!S_ISREG(status.st_mode))
		return bad(elf, "not a regular file; name the kernel's ELF with debug information (vmlinux)");
	if (status.st_size < EI_NIDENT)
		return bad(elf, "not an ELF file; name the kernel's ELF with debug information (vmlinux)");
	elf->size = (size_t)status.st_size;
	elf->image = mmap(NULL, elf->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (elf->image == MAP_FAILED) {
		elf->image = NULL;
		return cs_error_system(CS_ERROR_SYSTEM, errno, "%s: cannot be mapped", elf->path);
	}
	return NULL;
}

static struct cs_error *check_header(const struct elf *elf)
{
	const Elf64_Ehdr *header = elf->image;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return bad(elf, "not an ELF file; name the kernel's ELF with debug information (vmlinux, not bzImage)");
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return bad(elf, "a 32-bit ELF file; only x86-64 guests are supported");
	if (elf->size < sizeof(*header))
		return bad(elf, "truncated: the ELF header is cut off");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64)
		return cs_error_create(CS_ERROR_FORMAT, "%s: built for %s; only x86-64 guests are supported", elf->path,
				       header->e_machine == EM_AARCH64 ? "aarch64" : "another machine");
	if (!header->e_shoff)
		return bad(elf, "has no section headers; name the file as the linker wrote it");
	if (header->e_shoff > elf->size || header->e_shentsize != sizeof(Elf64_Shdr) ||
	    (uint64_t)header->e_shnum * sizeof(Elf64_Shdr) > elf->size - header->e_shoff)
		return bad(elf, "truncated: section headers lie beyond the end of the file");
	return NULL;
}

static bool in_file(const struct elf *elf, const GElf_Shdr *header)
{
	return header->sh_offset <= elf->size && header->sh_size <= elf->size - header->sh_offset;
}

/* Finds the GNU build id in one section of notes. Facts: elf(5), "Notes"; entries are aligned to four bytes. */
static void scan_notes(struct elf *elf, const GElf_Shdr *header)
{
	const uint8_t *bytes = (const uint8_t *)elf->image + header->sh_offset;
	uint64_t at = 0;

	while (!elf->build_id_size && header->sh_size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name = at + sizeof(note), description, end;

		memcpy(&note, bytes + at, sizeof(note));
		description = name + ((note.n_namesz + 3ull) & ~3ull);
		end = description + ((note.n_descsz + 3ull) & ~3ull);
		if (description + note.n_descsz > header->sh_size)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(bytes + name, "GNU", 4)) {
			elf->build_id_offset = header->sh_offset + description;
			elf->build_id_address = header->sh_addr + description;
			elf->build_id_size = note.n_descsz;
		}
		at = end < header->sh_size ? end : header->sh_size;
	}
}

static struct cs_error *add_section(struct elf *elf, const GElf_Shdr *header, const char *name)
{
	struct elf_section *section = &elf->sections[elf->section_count];

	if (header->sh_type != SHT_NOBITS && !in_file(elf, header))
		return cs_error_create(CS_ERROR_FORMAT, "%s: truncated: section %s lies beyond the end of the file",
				       elf->path, name);
	if (header->sh_type == SHT_NOTE)
		scan_notes(elf, header);
	if (!(header->sh_flags & SHF_ALLOC) || header->sh_flags & SHF_TLS || !header->sh_size ||
	    header->sh_addr + header->sh_size < header->sh_addr)
		return NULL;
	section->name = name;
	section->address = header->sh_addr;
	section->size = header->sh_size;
	section->executable = header->sh_flags & SHF_EXECINSTR;
	section->has_bytes = header->sh_type != SHT_NOBITS;
	elf->offsets[elf->section_count++] = header->sh_offset;
	return NULL;
}

/* Insertion sort: linkers write sections in order of address, or nearly so. */
static void sort_sections(struct elf *elf)
{
	for (size_t i = 1; i < elf->section_count; i++) {
		struct elf_section section = elf->sections[i];
		uint64_t offset = elf->offsets[i];
		size_t k = i;

		for (; k > 0 && elf->sections[k - 1].address > section.address; k--) {
			elf->sections[k] = elf->sections[k - 1];
			elf->offsets[k] = elf->offsets[k - 1];
		}
		elf->sections[k] = section;
		elf->offsets[k] = offset;
	}
}

static struct cs_error *read_sections(struct elf *elf)
{
	size_t count = 0, names = 0;
	Elf_Scn *scn = NULL;
	GElf_Shdr header;

	if (elf_getshdrnum(elf->handle, &count) < 0 || elf_getshdrstrndx(elf->handle, &names) < 0)
		return bad(elf, "malformed section headers");
	elf->sections = calloc(count + 1, sizeof(*elf->sections));
	elf->offsets = calloc(count + 1, sizeof(*elf->offsets));
	if (!elf->sections || !elf->offsets)
		return &cs_error_no_memory;
	while ((scn = elf_nextscn(elf->handle, scn)) && elf->section_count < count) {
		const char *name;

		if (!gelf_getshdr(scn, &header))
			return bad(elf, "malformed section headers");
		name = elf_strptr(elf->handle, names, header.sh_name);
		CS_TRY(add_section(elf, &header, name ? name : ""));
	}
	sort_sections(elf);
	return NULL;
}

static struct cs_error *open_file(struct elf *elf, const char *path)
{
	elf->path = strdup(path);
	if (!elf->path)
		return &cs_error_no_memory;
	CS_TRY(map_file(elf));
	CS_TRY(check_header(elf));
	elf_version(EV_CURRENT);
	elf->handle = elf_memory(elf->image, elf->size);
	if (!elf->handle)
		return cs_error_create(CS_ERROR_FORMAT, "%s: %s", elf->path, elf_errmsg(-1));
	return read_sections(elf);
}

struct cs_error *elf_create(const char *path, struct elf **ret)
{
	struct elf *elf = calloc(1, sizeof(*elf));
	struct cs_error *error = elf ? open_file(elf, path) : &cs_error_no_memory;

	if (error) {
		elf_destroy(elf);
		return error;
	}
	*ret = elf;
	return NULL;
}

void elf_destroy(struct elf *elf)
{
	if (!elf)
		return;
	elf_end(elf->handle);
	if (elf->image)
		munmap(elf->image, elf->size);
	free(elf->sections);
	free(elf->offsets);
	free(elf->symbols);
	free(elf->reach);
	free(elf->by_name);
	free(elf->banner);
	free(elf->path);
	free(elf);
}

const char *elf_path(const struct elf *elf)
{
	return elf->path;
}

struct Elf *elf_handle(const struct elf *elf)
{
	return elf->handle;
}

const struct elf_section *elf_sections(const struct elf *elf, size_t *count_ret)
{
	*count_ret = elf->section_count;
	return elf->sections;
}

static const struct elf_section *section_at(const struct elf *elf, uint64_t address)
{
	for (size_t i = 0; i < elf->section_count; i++)
		if (address - elf->sections[i].address < elf->sections[i].size)
			return &elf->sections[i];
	return NULL;
}

const struct elf_section *elf_text_section(const struct elf *elf, uint64_t address)
{
	const struct elf_section *section = section_at(elf, address);

	return section && section->executable ? section : NULL;
}

const uint8_t *elf_bytes(const struct elf *elf, uint64_t address, size_t size)
{
	const struct elf_section *section = section_at(elf, address);

	if (!section || !section->has_bytes || size > section->size - (address - section->address))
		return NULL;
	return (const uint8_t *)elf->image + elf->offsets[section - elf->sections] + (address - section->address);
}

void elf_build_id(const struct elf *elf, const uint8_t **ret, size_t *size_ret, uint64_t *address_ret)
{
	*ret = elf->build_id_size ? (const uint8_t *)elf->image + elf->build_id_offset : NULL;
	*size_ret = elf->build_id_size;
	*address_ret = elf->build_id_address;
}

/* Symbols */

size_t elf_base_name_length(const char *name)
{
	static const char *const suffixes[] = {".cold", ".part.", ".isra.", ".constprop.", ".llvm."};
	size_t length = strlen(name);

	if (!strchr(name, '.'))
		return length; /* as nearly all of a kernel's 100,000 names */
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

/* FNV-1a */
static uint32_t hash(const char *bytes, size_t length)
{
	uint32_t value = 2166136261u;

	for (size_t i = 0; i < length; i++)
		value = (value ^ (uint8_t)bytes[i]) * 16777619u;
	return value;
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

static int compare_keys(const void *left, const void *right)
{
	const struct name_key *a = left, *b = right;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* The section that holds an address or ends there: symbols mark both ends of a table. */
static const struct elf_section *section_of(const struct elf *elf, uint64_t address)
{
	const struct elf_section *section = section_at(elf, address);

	return section || !address ? section : section_at(elf, address - 1);
}

static void read_symbol(struct elf *elf, const GElf_Sym *symbol, const char *name)
{
	int type = GELF_ST_TYPE(symbol->st_info);
	const struct elf_section *section;

	if (!name || !*name || symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS || type == STT_SECTION ||
	    type == STT_FILE || type == STT_TLS)
		return;
	section = section_of(elf, symbol->st_value);
	if (!section)
		return;
	elf->symbols[elf->symbol_count++] = (struct elf_symbol){
		.name = name,
		.address = symbol->st_value,
		.size = symbol->st_size,
		.function = (type == STT_FUNC || type == STT_GNU_IFUNC) && elf_text_section(elf, symbol->st_value),
		.global = GELF_ST_BIND(symbol->st_info) != STB_LOCAL,
	};
}

static struct cs_error *read_symbol_table(struct elf *elf, Elf_Scn *scn, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count = data ? data->d_size / sizeof(Elf64_Sym) : 0;

	elf->symbols = calloc(count + 1, sizeof(*elf->symbols));
	elf->reach = calloc(count + 1, sizeof(*elf->reach));
	elf->by_name = calloc(count + 1, sizeof(*elf->by_name));
	if (!elf->symbols || !elf->reach || !elf->by_name)
		return &cs_error_no_memory;
	for (size_t i = 1; i < count && i <= INT32_MAX; i++) {
		GElf_Sym symbol;

		if (gelf_getsym(data, (int)i, &symbol))
			read_symbol(elf, &symbol, elf_strptr(elf->handle, header->sh_link, symbol.st_name));
	}
	return NULL;
}

/* Gives functions of unknown size what lies up to the next symbol; none reaches beyond its section. */
static void complete_sizes(struct elf *elf)
{
	uint64_t here = UINT64_MAX, next = UINT64_MAX; /* the symbols' address, and the next one above it */

	for (size_t i = elf->symbol_count; i-- > 0;) {
		struct elf_symbol *symbol = &elf->symbols[i];
		const struct elf_section *section = section_of(elf, symbol->address);
		uint64_t end = section->address + section->size;

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

static void index_symbols(struct elf *elf)
{
	uint64_t reach = 0;

	qsort(elf->symbols, elf->symbol_count, sizeof(*elf->symbols), compare_symbols);
	complete_sizes(elf);
	for (size_t i = 0; i < elf->symbol_count; i++) {
		const struct elf_symbol *symbol = &elf->symbols[i];
		uint64_t end = symbol->address + (symbol->size ? symbol->size : 1);

		reach = end > reach ? end : reach;
		elf->reach[i] = reach;
		elf->by_name[i].hash = hash(symbol->name, elf_base_name_length(symbol->name));
		elf->by_name[i].index = (uint32_t)i;
	}
	qsort(elf->by_name, elf->symbol_count, sizeof(*elf->by_name), compare_keys);
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
		return bad(elf, "has no symbol table; name the kernel's ELF with debug information");
	CS_TRY(read_symbol_table(elf, found, &table));
	index_symbols(elf);
	return NULL;
}

struct cs_error *elf_symbols(struct elf *elf, const struct elf_symbol **ret, size_t *count_ret)
{
	CS_TRY(load_symbols(elf));
	*ret = elf->symbols;
	*count_ret = elf->symbol_count;
	return NULL;
}

/* The first key of a hash that comes after symbol index `after`. */
static size_t first_key(const struct elf *elf, uint32_t value, int64_t after)
{
	size_t low = 0, high = elf->symbol_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct name_key *key = &elf->by_name[middle];

		if (key->hash < value || (key->hash == value && (int64_t)key->index <= after))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct cs_error *find(struct elf *elf, const char *name, bool variants, const struct elf_symbol *after,
			     const struct elf_symbol **ret)
{
	size_t length = elf_base_name_length(name);
	uint32_t value = hash(name, length);

	*ret = NULL;
	CS_TRY(load_symbols(elf));
	for (size_t i = first_key(elf, value, after ? after - elf->symbols : -1);
	     i < elf->symbol_count && elf->by_name[i].hash == value; i++) {
		const struct elf_symbol *symbol = &elf->symbols[elf->by_name[i].index];

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

struct cs_error *elf_banner(struct elf *elf, const char **ret)
{
	static const char *const names[] = {"linux_banner", "version"};
	const struct elf_symbol *symbol = NULL;
	const uint8_t *bytes = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names) && !elf->banner && !bytes; i++) {
		CS_TRY(elf_find(elf, names[i], NULL, &symbol));
		bytes = symbol && symbol->size < 4096 ? elf_bytes(elf, symbol->address, symbol->size) : NULL;
	}
	if (!elf->banner) {
		elf->banner = bytes ? strndup((const char *)bytes, symbol->size) : strdup("");
		if (!elf->banner)
			return &cs_error_no_memory;
		elf->banner[strcspn(elf->banner, "\n")] = '\0';
	}
	*ret = elf->banner;
	return NULL;
}
