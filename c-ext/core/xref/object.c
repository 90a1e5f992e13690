/* SPDX-License-Identifier: MIT */
#include "xref/object.h"

#include <gelf.h>
#include <string.h>

#include "base/addresses.h"
#include "base/util.h"
#include "base/vector.h"

struct local_symbol {
	uint64_t address;
	const char *file;
};

struct object {
	Elf *elf; /* not owned */
	Dwarf *dwarf;
	bool relocations_read, locals_read, dwarf_read;
	uint64_t *relocated; /* sorted virtual addresses */
	size_t relocated_count;
	size_t relocated_room;
	struct local_symbol *locals; /* sorted by address */
	size_t local_count;
};

struct cs_error *object_create(struct Elf *elf, struct object **ret)
{
	struct object *object = calloc(1, sizeof(*object));

	if (!object)
		return &cs_error_no_memory;
	object->elf = elf;
	*ret = object;
	return NULL;
}

void object_destroy(struct object *object)
{
	if (!object)
		return;
	free(object->relocated);
	free(object->locals);
	dwarf_end(object->dwarf);
	free(object);
}

/* Both kinds of elements begin with the address by which they are sorted. */
static void sort_by_address(void *items, size_t count, size_t size)
{
	/* The linker nearly always has done it. */
	for (size_t i = 1; i < count; i++) {
		if (address_compare((char *)items + (i - 1) * size, (char *)items + i * size) > 0) {
			qsort(items, count, size, address_compare);
			return;
		}
	}
}

/* Whether a section holds relocations of one that is loaded. */
static bool applies_to_loaded(Elf *elf, const GElf_Shdr *header)
{
	GElf_Shdr target;
	Elf_Scn *section = elf_getscn(elf, header->sh_info);

	return header->sh_type == SHT_RELA && header->sh_info && gelf_getshdr(section, &target) &&
	       (target.sh_flags & SHF_ALLOC);
}

static struct cs_error *append_relocations(struct object *object, Elf_Scn *section)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data ? data->d_size / sizeof(Elf64_Rela) : 0;

	if (!count)
		return NULL;
	CS_TRY(VECTOR_ROOM(object->relocated, object->relocated_count + count, object->relocated_room));
	for (size_t i = 0; i < count; i++) {
		GElf_Rela rela;

		if (!gelf_getrela(data, (int)i, &rela))
			break;
		switch (GELF_R_TYPE(rela.r_info)) {
		case R_X86_64_64:
		case R_X86_64_32:
		case R_X86_64_32S: object->relocated[object->relocated_count++] = rela.r_offset; break;
		default: break; /* relative ones say what the code says itself */
		}
	}
	return NULL;
}

static struct cs_error *read_relocations(struct object *object)
{
	Elf_Scn *section = NULL;
	GElf_Ehdr header;

	if (object->relocations_read)
		return NULL;
	/* In a relocatable file the offsets are no addresses. */
	while (gelf_getehdr(object->elf, &header) && header.e_type != ET_REL &&
	       (section = elf_nextscn(object->elf, section))) {
		GElf_Shdr section_header;

		if (gelf_getshdr(section, &section_header) && applies_to_loaded(object->elf, &section_header))
			CS_TRY(append_relocations(object, section));
	}
	sort_by_address(object->relocated, object->relocated_count, sizeof(*object->relocated));
	object->relocations_read = true;
	return NULL;
}

struct cs_error *object_has_relocations(struct object *object, bool *ret)
{
	CS_TRY(read_relocations(object));
	*ret = object->relocated_count > 0;
	return NULL;
}

struct cs_error *object_is_relocated(struct object *object, uint64_t address, bool *ret)
{
	CS_TRY(read_relocations(object));
	*ret = addresses_hold(object->relocated, object->relocated_count, address);
	return NULL;
}

static Elf_Scn *symbol_table(Elf *elf, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == SHT_SYMTAB)
			return section;
	return NULL;
}

/* The table has, for each source file, a STT_FILE symbol and then the file's static symbols. */
static struct cs_error *read_locals(struct object *object)
{
	GElf_Shdr header;
	Elf_Scn *section = symbol_table(object->elf, &header);
	Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
	size_t count = data ? data->d_size / sizeof(Elf64_Sym) : 0;
	const char *file = NULL;

	object->locals = count ? calloc(count, sizeof(*object->locals)) : NULL;
	if (count && !object->locals)
		return &cs_error_no_memory;
	for (size_t i = 0; i < count; i++) {
		GElf_Sym symbol;

		if (!gelf_getsym(data, (int)i, &symbol) || GELF_ST_BIND(symbol.st_info) != STB_LOCAL)
			continue;
		if (GELF_ST_TYPE(symbol.st_info) == STT_FILE)
			file = elf_strptr(object->elf, header.sh_link, symbol.st_name);
		else if (file && *file && symbol.st_shndx != SHN_UNDEF)
			object->locals[object->local_count++] = (struct local_symbol){symbol.st_value, file};
	}
	sort_by_address(object->locals, object->local_count, sizeof(*object->locals));
	return NULL;
}

struct cs_error *object_file_of(struct object *object, uint64_t address, const char **ret)
{
	const struct local_symbol *found = NULL;

	if (!object->locals_read) {
		CS_TRY(read_locals(object));
		object->locals_read = true;
	}
	if (object->local_count)
		found = bsearch(&address, object->locals, object->local_count, sizeof(*found), address_compare);
	*ret = found ? found->file : NULL;
	return NULL;
}

struct cs_error *object_dwarf(struct object *object, Dwarf **ret, const uint8_t **bytes_ret, size_t *size_ret)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names = 0;

	if (!object->dwarf_read) {
		object->dwarf = dwarf_begin_elf(object->elf, DWARF_C_READ, NULL);
		object->dwarf_read = true;
	}
	*ret = object->dwarf;
	*bytes_ret = NULL;
	*size_ret = 0;
	if (elf_getshdrstrndx(object->elf, &names) < 0)
		return NULL;
	while ((section = elf_nextscn(object->elf, section))) {
		const char *name =
			gelf_getshdr(section, &header) ? elf_strptr(object->elf, names, header.sh_name) : NULL;
		Elf_Data *data;

		if (!name || strcmp(name, ".debug_info") != 0 || (header.sh_flags & SHF_COMPRESSED))
			continue;
		data = elf_rawdata(section, NULL);
		*bytes_ret = data ? data->d_buf : NULL;
		*size_ret = data && data->d_buf ? data->d_size : 0;
	}
	return NULL;
}
