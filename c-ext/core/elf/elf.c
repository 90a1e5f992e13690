/* SPDX-License-Identifier: MIT */
#include "elf/elf_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "arch/machines.h"
#include "base/util.h"

struct cs_error *elf_bad(const struct elf *elf, const char *what)
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
		return elf_bad(elf, "not a regular file; name the kernel's ELF with debug information (vmlinux)");
	if (status.st_size < EI_NIDENT)
		return elf_bad(elf, "not an ELF file; name the kernel's ELF with debug information (vmlinux)");
	elf->size = (size_t)status.st_size;
	elf->image = mmap(NULL, elf->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (elf->image == MAP_FAILED) {
		elf->image = NULL;
		return cs_error_system(CS_ERROR_SYSTEM, errno, "%s: cannot be mapped", elf->path);
	}
	return NULL;
}

/* `e_machine` lies at the same place in files of 32 and 64 bits. */
static struct cs_error *check_machine(struct elf *elf)
{
	const Elf64_Ehdr *header = elf->image;
	bool big = header->e_ident[EI_DATA] == ELFDATA2MSB;
	uint16_t machine = big ? __builtin_bswap16(header->e_machine) : header->e_machine;
	bool narrow = header->e_ident[EI_CLASS] != ELFCLASS64;
	const char *known = arch_at(0)->name;

	elf->arch = header->e_ident[EI_DATA] == ELFDATA2LSB && !narrow ? machine_of_elf(machine) : NULL;
	if (elf->arch)
		return NULL;
	if (narrow)
		return cs_error_create(CS_ERROR_FORMAT, "%s: a 32-bit ELF file (%s); only %s guests are supported",
				       elf->path, machine_name_of_elf(machine), known);
	return cs_error_create(CS_ERROR_FORMAT, "%s: built for %s%s; only %s guests are supported", elf->path,
			       machine_name_of_elf(machine), big ? " (big-endian)" : "", known);
}

static struct cs_error *check_header(struct elf *elf)
{
	const Elf64_Ehdr *header = elf->image;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return elf_bad(elf,
			       "not an ELF file; name the kernel's ELF with debug information (vmlinux, not bzImage)");
	if (elf->size < sizeof(Elf32_Ehdr) || (header->e_ident[EI_CLASS] == ELFCLASS64 && elf->size < sizeof(*header)))
		return elf_bad(elf, "truncated: the ELF header is cut off");
	CS_TRY(check_machine(elf));
	/* Its sections have no addresses yet, and what calls and stores refer to stands in relocations. */
	if (header->e_type == ET_REL)
		return elf_bad(elf, "an object file that is not linked yet, as modules (.ko) are: nothing in it has an "
				    "address; name the kernel's own ELF (vmlinux)");
	if (!header->e_shoff)
		return elf_bad(elf, "has no section headers; name the file as the linker wrote it");
	if (header->e_shoff > elf->size || header->e_shentsize != sizeof(Elf64_Shdr) ||
	    (uint64_t)header->e_shnum * sizeof(Elf64_Shdr) > elf->size - header->e_shoff)
		return elf_bad(elf, "truncated: section headers lie beyond the end of the file");
	return NULL;
}

static bool in_file(const struct elf *elf, const GElf_Shdr *header)
{
	return header->sh_offset <= elf->size && header->sh_size <= elf->size - header->sh_offset;
}

/* Facts: elf(5), "Notes"; entries are aligned to four bytes. */
const uint8_t *elf_find_build_id(const uint8_t *notes, size_t size, size_t *size_ret)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name = at + sizeof(note), description, end;

		memcpy(&note, notes + at, sizeof(note));
		description = name + ((note.n_namesz + 3ull) & ~3ull);
		end = description + ((note.n_descsz + 3ull) & ~3ull);
		if (description + note.n_descsz > size)
			return NULL;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(notes + name, "GNU", 4) &&
		    note.n_descsz) {
			*size_ret = note.n_descsz;
			return notes + description;
		}
		at = end < size ? end : size;
	}
	return NULL;
}

/* Of several build ids the first counts, but one that is loaded before one that is not. */
static void scan_notes(struct elf *elf, const GElf_Shdr *header)
{
	uint64_t loaded = header->sh_flags & SHF_ALLOC ? header->sh_addr : 0;
	const uint8_t *found;
	size_t size;

	if (elf->build_id && (elf->build_id_notes || !loaded))
		return;
	found = elf_find_build_id((const uint8_t *)elf->image + header->sh_offset, header->sh_size, &size);
	if (!found)
		return;
	elf->build_id = found;
	elf->build_id_size = size;
	elf->build_id_notes = loaded;
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
		return elf_bad(elf, "malformed section headers");
	elf->sections = calloc(count + 1, sizeof(*elf->sections));
	elf->offsets = calloc(count + 1, sizeof(*elf->offsets));
	if (!elf->sections || !elf->offsets)
		return &cs_error_no_memory;
	while ((scn = elf_nextscn(elf->handle, scn)) && elf->section_count < count) {
		const char *name;

		if (!gelf_getshdr(scn, &header))
			return elf_bad(elf, "malformed section headers");
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
	free(elf->buckets);
	free(elf->next);
	free(elf->banner);
	free(elf->path);
	free(elf);
}

const char *elf_path(const struct elf *elf)
{
	return elf->path;
}

const struct arch *elf_arch(const struct elf *elf)
{
	return elf->arch;
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

/* Finds a section of that name, and one of that type, where they are asked for. */
static bool has_section(const struct elf *elf, const char *name, uint32_t type)
{
	Elf_Scn *scn = NULL;
	size_t names = 0;
	GElf_Shdr header;

	if (elf_getshdrstrndx(elf->handle, &names) < 0)
		return false;
	while ((scn = elf_nextscn(elf->handle, scn))) {
		const char *found;

		if (!gelf_getshdr(scn, &header) || (type && header.sh_type != type))
			continue;
		found = elf_strptr(elf->handle, names, header.sh_name);
		if (!name || (found && !strcmp(found, name)))
			return true;
	}
	return false;
}

bool elf_has_section(const struct elf *elf, const char *name)
{
	return has_section(elf, name, SHT_NULL);
}

bool elf_is_stripped(const struct elf *elf)
{
	return !has_section(elf, NULL, SHT_SYMTAB);
}

const struct elf_section *elf_section_at(const struct elf *elf, uint64_t address)
{
	for (size_t i = 0; i < elf->section_count; i++)
		if (address - elf->sections[i].address < elf->sections[i].size)
			return &elf->sections[i];
	return NULL;
}

const struct elf_section *elf_text_section(const struct elf *elf, uint64_t address)
{
	const struct elf_section *section = elf_section_at(elf, address);

	return section && section->executable ? section : NULL;
}

const uint8_t *elf_bytes_from(const struct elf *elf, uint64_t address, size_t *size_ret)
{
	const struct elf_section *section = elf_section_at(elf, address);

	if (!section || !section->has_bytes)
		return NULL;
	*size_ret = section->size - (address - section->address);
	return (const uint8_t *)elf->image + elf->offsets[section - elf->sections] + (address - section->address);
}

const uint8_t *elf_bytes(const struct elf *elf, uint64_t address, size_t size)
{
	size_t available;
	const uint8_t *bytes = elf_bytes_from(elf, address, &available);

	return bytes && size <= available ? bytes : NULL;
}

bool elf_segment(const struct elf *elf, size_t number, struct elf_segment *ret)
{
	GElf_Phdr header;
	size_t count;

	if (elf_getphdrnum(elf->handle, &count) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf->handle, (int)i, &header))
			return false;
		if (header.p_type != PT_LOAD || number-- > 0)
			continue;
		*ret = (struct elf_segment){header.p_vaddr, header.p_paddr, header.p_filesz};
		return true;
	}
	return false;
}

const uint8_t *elf_build_id(const struct elf *elf, size_t *size_ret)
{
	*size_ret = elf->build_id_size;
	return elf->build_id;
}

const struct elf_section *elf_build_id_notes(const struct elf *elf)
{
	return elf->build_id_notes ? elf_section_at(elf, elf->build_id_notes) : NULL;
}
